"""The ledger is stored with the backups, at least daily, so that years of evidence do not die with a host.

Each plan's repository gets it: whichever of them is left brings it back. A segment only grows, so that restic stores
little more than what is new. Where its plans are of more than one tenant only those that a plan names for it
(`ledger_repository:`) do: one tenant's repository must not tell of another's backups.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ccdr.evidence.lineage.comparison import read
from ccdr.evidence.lineage.own_records import LedgerStanding, Lineage, installation
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import LEDGER_REPOSITORY, rfc3339, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.plans.roles import as_role
from ccdr.storage import upkeep as storage
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import PROBE_WAIT, Restic

KIND = "ledger"  # of the snapshots that hold a ledger
EVERY, AGAIN = timedelta(days=1), timedelta(hours=1)
KEPT_FOR, KEPT_LEAST = timedelta(days=35), 7


@dataclass(frozen=True)
class LedgerCopy:
    """How it stands with a ledger in one plan's repository. `reason` is why it could not be stored when that was last
    tried, None where it was."""

    tried: str
    stored: str | None = None
    seq: int = 0
    reason: str | None = None
    ledger: str | None = None

    def of(self, lineage: Lineage) -> bool:
        """Is it the ledger that is here, and not one that was lost since?"""
        return self.ledger in (None, lineage.ledger)

    @property
    def not_ours(self) -> str:
        there = f"up to record {self.seq}, of " if self.stored else ""
        named = f", {self.ledger[:8]}…" if self.ledger else ""
        return f"what was stored there is {there}the ledger before this one{named}; the next `ccdr run` stores this one"

    def seen(self, lineage: Lineage) -> LedgerCopy:
        """The same of the ledger that is here."""
        return self if self.of(lineage) else LedgerCopy(self.tried, reason=self.not_ours, ledger=lineage.ledger)


Places = dict[str, LedgerCopy]  # stored-ledger.json, by plan


def elsewhere(loaded: LoadedPlan) -> LoadedPlan | None:
    """The plan as if the repository that it names for the ledger were its own; None where it names none."""
    other = loaded.plan.ledger_repository
    return None if other is None else replace(loaded, plan=loaded.plan.model_copy(update={"repository": other}))


def number(stored: RepoSnapshot) -> int:
    """How many records a stored ledger has by its tag."""
    count = stored.tag("ledger_seq") or ""
    return int(count) if count.isdecimal() else 0


def tenants(plans: Sequence[LoadedPlan]) -> frozenset[str]:
    """Whose data these plans protect."""
    return frozenset(p.plan.tenant_of(asset) for p in plans for asset in (None, *p.plan.assets))


def places(services: Services) -> dict[str, LedgerCopy]:
    """By plan: how it stands with the ledger in its repository, as of the last try."""
    return state_or_none(services.state.root / "stored-ledger.json", Places) or {}


def store_due(
    plans: Sequence[LoadedPlan],
    services: Services,
    every: Callable[[], Sequence[LoadedPlan]],
    *,
    at_once: bool = False,
) -> None:
    """Store the ledger into each repository of these plans where that is due; what came of it is in `places`. A ledger
    less than a day old is let be, but `at_once` where the plan has its first backup; one that was begun in a lost one's
    place is stored whatever its age, else only the lost one would be there. One that is not what was kept of it is let
    be. `every` gives all plans of this host,
    and raises CcdrError where not all can be read: then it is not known whose data the ledger tells of. CcdrError also
    where the ledger cannot be read."""
    lineage, now = read(services.state, services.ledger), services.clock.now()
    if lineage.ledger is None or lineage.kept is not LedgerStanding.HOLDS:
        return
    known = places(services)
    first = {p.plan.plan for p in plans if at_once and services.catalogue.knows(p.plan.plan)}
    wanted = [p for p in plans if _due(known.get(p.plan.plan), lineage, now, first=p.plan.plan in first)]
    if wanted:  # of two plans with one repository only the first is ever stored into
        wanted = [p for p in homes(plans, every()) if p.plan.plan in {one.plan.plan for one in wanted}]
    if not wanted:
        return
    with services.state.turn("store-ledger") as mine:
        if not mine:
            return
        for loaded in wanted:
            before = known.get(loaded.plan.plan)
            known[loaded.plan.plan] = _stored(
                loaded, services, before if before and before.of(lineage) else None, lineage.ledger, now
            )
            write_state(services.state.root / "stored-ledger.json", known)


def homes(plans: Sequence[LoadedPlan], every: Sequence[LoadedPlan]) -> list[LoadedPlan]:
    """One plan for each repository that the ledger goes into, that being its `repository` then. `every` plan of this
    host is in the ledger."""
    one_tenant = len(tenants(every)) == 1
    repositories = [elsewhere(p) or (p if one_tenant else None) for p in plans]
    return list({p.plan.repository.location: p for p in reversed(repositories) if p is not None}.values())[::-1]


def _due(place: LedgerCopy | None, lineage: Lineage, now: datetime, *, first: bool) -> bool:
    def past(at: str | None, wait: timedelta) -> bool:
        return at is None or not now - wait < utc(at) <= now + SET_BACK

    if place is None:
        return lineage.begun is not None and (first or past(lineage.begun, EVERY))
    return not place.of(lineage) or (past(place.stored, EVERY) and past(place.tried, AGAIN))


def _stored(
    loaded: LoadedPlan, services: Services, before: LedgerCopy | None, ledger: str, now: datetime
) -> LedgerCopy:
    old = before or LedgerCopy(rfc3339(now))
    try:
        of_ledger = loaded.plan.repository == loaded.plan.ledger_repository
        writing = loaded if of_ledger else as_role(loaded, Role.BACKUP)
        repo = services.repository(writing, limits_of(loaded), gentle=True).impatient(PROBE_WAIT)
        with services.state.reading(repo.location):
            if of_ledger:
                repo = replace(repo, named=LEDGER_REPOSITORY)
            if old.stored is None and of_ledger:
                services.make_if_missing(repo)  # the one that is the ledger's own, with the first that is stored there
            seq = store(repo, services)
        if of_ledger:  # no plan's upkeep comes by there
            with contextlib.suppress(CcdrError):
                prune_stored(repo, now)
        return LedgerCopy(rfc3339(now), rfc3339(now), seq, None, ledger)
    except Locked:
        return LedgerCopy(rfc3339(now), old.stored, old.seq, "the repository was in use", ledger)
    except CcdrError as error:
        return LedgerCopy(rfc3339(now), old.stored, old.seq, str(error), ledger)


def store(repo: Restic, services: Services) -> int:
    """Store the ledger as it is now; up to which record. CcdrError where it could not be."""
    ledger, head = services.lineage().ledger, services.ledger.head()
    if ledger is None or not head.seq:
        raise CcdrError("the ledger does not say which one it is")
    ours = installation(services.state, services.ledger.host)
    tags = [OURS, f"kind={KIND}", f"ledger={ledger}", f"ledger_seq={head.seq}", f"ledger_head={head.hash}"]
    directory = services.ledger.directory.absolute()
    repo.probe()  # one that is not there is not made by this
    stored = repo.backup([directory], tags=[*tags, f"installation={ours}"], exclude=[str(directory / "lock")])
    if stored.warning:
        raise CcdrError(f"the ledger was not stored whole: {stored.warning}")
    return head.seq


def superseded(listed: Sequence[RepoSnapshot], now: datetime) -> list[str]:
    """Ids of stored ledgers that may go. Each holds its ledger from the beginning, so that one would do; a month and a
    week's worth are kept, since what was cut is only found by one from before. None goes that has more records than a
    newer one, nor what whoever may write there could push out by storing more of them."""
    gone: list[str] = []
    by_ledger: dict[str, list[RepoSnapshot]] = {}
    for s in sorted(listed, key=lambda s: s.time):
        by_ledger.setdefault(s.tag("ledger") or "", []).append(s)
    for copies in by_ledger.values():
        for n, s in enumerate(copies):
            newer = copies[n + 1 :]
            if len(newer) >= KEPT_LEAST and now - s.time > KEPT_FOR and all(number(o) >= number(s) for o in newer):
                gone.append(s.id)
    return gone


def prune_stored(repo: Restic, now: datetime) -> int:
    """Forget what may go of the ledgers in a repository; how many. CcdrError where that is refused."""
    gone = superseded(repo.snapshots([OURS, f"kind={KIND}"]), now)
    if gone:
        storage.forget(repo, gone)
    return len(gone)
