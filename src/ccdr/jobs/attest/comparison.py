"""What a repository's snapshots attest, compared with the ledger.

A snapshot names the ledger that knows it, the number and hash of its last record when the snapshot was made, and where
its run began. On the host that has the chain: is that record there, and the same? Does a record know the run? One of
another host's ledger says nothing here; one from before snapshots said so is counted, and is no finding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from ccdr.evidence.lineage.comparing import keep, keep_first, read
from ccdr.evidence.lineage.values import AGREES, Compared
from ccdr.evidence.records.lineage import LedgerCompared, LedgerLost
from ccdr.evidence.records.values import code
from ccdr.jobs.attest.claims import LedgerComparison, compare
from ccdr.jobs.attest.when_due import EVERY, due, last_tried, note_try, recorded_within
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, Locked
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import PROBE_WAIT, Restic
from ccdr.storage.synchronised import Synchronised

RECENT = 50  # snapshots, the newest ones, that a backup compares; the daily comparison takes all of them


def compared(
    services: Services,
    plan: str,
    listed: Sequence[RepoSnapshot],
    *,
    recent: bool = False,
    vanished: Mapping[str, Sequence[str]] | None = None,
) -> LedgerComparison:
    """Compare, and keep what was found: a record once a day, and whenever it is news. `recent`: only the newest, where
    nothing was wrong the last time. CcdrError where ledger or state cannot be read or written."""
    last = read(services.state, services.ledger).compared.get(plan)
    few = recent and last is not None and last.result == AGREES
    outcome = compare(services, plan, listed, most=RECENT if few else None, vanished=vanished)
    record(services, outcome, whole=not few)
    return outcome


def learned(services: Services, plan: str, synchronised: Synchronised, assets: Collection[str]) -> None:
    """Keep what was found when the repository was asked for these assets: `ccdr status` tells of it at once. What comes
    of it is told by all that tells how the ledger stands; who may only read the state goes on without."""
    if services.there is not None:  # what a copy lacks is told of that copy
        return
    missed = {asset: [s.id for s in synchronised.vanished if s.asset == asset] for asset in assets}
    with contextlib.suppress(CcdrError, OSError):
        compared(services, plan, synchronised.listed, recent=True, vanished=missed)


def record(services: Services, outcome: LedgerComparison, *, whole: bool = True, by_hand: bool = False) -> None:
    """Keep what a comparison has found, of all snapshots or of the newest; one that a person asked for is recorded
    whether or not it is news. CcdrError where that cannot be written."""
    begins = not services.ledger.head().seq  # on a new host: there is nothing yet that could be kept
    if not outcome.problems:
        keep_first(services.state, services.ledger)
    plan, last = outcome.plan, read(services.state, services.ledger).compared.get(outcome.plan)
    for one in outcome.lost:
        services.ledger.write(LedgerLost(plan=plan, ledger=one.ledger, last_seq=one.seq, last_head=one.head))
    if by_hand or _news(last, outcome, services.clock.now(), whole=whole):
        found = LedgerCompared(
            plan=plan,
            result=code(outcome.result),
            reason="; ".join(outcome.problems) or None,
            snapshots=outcome.snapshots,
            elsewhere=outcome.elsewhere,
            unattested=outcome.unattested,
            newest=outcome.newest,
            problems=list(outcome.problems),
            vanished=None if outcome.vanished is None else {of: list(gone) for of, gone in outcome.vanished.items()},
            whole=whole,
            strangers=list(outcome.strangers) if whole else None,
        )
        services.ledger.write(found)
    keep(services.state, services.ledger, anew=begins)


def _news(last: Compared | None, outcome: LedgerComparison, now: datetime, *, whole: bool) -> bool:
    """Is there to be a record of it? Of one of the whole repository once a day: by these the next one is due."""
    gone = outcome.vanished or {}
    if last is None:
        some = outcome.snapshots or (whole and (outcome.unattested or outcome.elsewhere))
        return bool(some or outcome.problems or any(gone.values()))
    if last.problems != outcome.problems or any(set(ids) != set(last.vanished.get(of, ())) for of, ids in gone.items()):
        return True
    recorded = last.wholly if whole else last.at
    return recorded is None or not recorded_within(EVERY, recorded, now)


def compare_due(plans: Sequence[LoadedPlan], services: Services, at_once: Collection[str] = ()) -> list[str]:
    """Compare with the repositories of these plans where that is due: once a day, each hour after a finding. Sentences
    on what could not be asked; CcdrError where the ledger cannot be read or written. A ledger that was never compared
    is, at once: where all of the state is lost, the repository alone knows of another one. Of plans that are named in
    `at_once` the snapshots are looked at in any case."""
    lineage, now = read(services.state, services.ledger), services.clock.now()
    troubles = []
    for loaded in plans:
        plan = loaded.plan.plan
        if plan not in at_once and not due(lineage, lineage.compared.get(plan), last_tried(services, plan), now):
            continue
        note_try(services, plan)  # first: a store that does not answer is not asked again at once
        try:
            listed, vanished = listed_and_vanished(loaded, services)
            compared(services, plan, listed, vanished=vanished)
        except CcdrError as error:
            troubles.append(f"{plan}: the ledger could not be compared with its repository: {error}")
    keep(services.state, services.ledger)
    return troubles


def listed_and_vanished(
    loaded: LoadedPlan, services: Services
) -> tuple[list[RepoSnapshot], dict[str, list[str]] | None]:
    """What the plan's repository holds of it, and what has vanished from there (None: it is being pruned, and nobody
    can tell). CcdrError where it cannot be asked."""
    before, histories = services.catalogue.known(loaded.plan.plan), services.histories()
    repo = asked(loaded, services)
    try:
        with services.state.reading(repo.location):
            listed = repo.snapshots([OURS, f"plan={loaded.plan.plan}"])
            return listed, services.vanished(loaded, repo, listed, before, histories)
    except Locked:
        return listed_of(loaded, services), None


def listed_of(loaded: LoadedPlan, services: Services) -> list[RepoSnapshot]:
    """What the plan's repository holds of it. CcdrError where it cannot be asked."""
    return asked(loaded, services).snapshots([OURS, f"plan={loaded.plan.plan}"])


def asked(loaded: LoadedPlan, services: Services) -> Restic:
    """A plan's repository, for what must not take long."""
    return services.repository(loaded, limits_of(loaded)).impatient(PROBE_WAIT)
