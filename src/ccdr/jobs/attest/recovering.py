"""Bring a lost ledger back from the repositories that hold copies of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.comparison import directory_of, id_in, is_id, itself, keep, read, reader, waiting
from ccdr.evidence.lineage.own_records import LedgerStanding, Lost
from ccdr.evidence.records.lineage import LedgerLinked, LedgerLost
from ccdr.jobs.attest.comparison import asked, learned
from ccdr.jobs.attest.other_ledgers import Taken, copied, placed
from ccdr.jobs.attest.storing import KIND, elsewhere, number
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import BackupBad, CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import ATTESTED, Attestation, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import OURS, RepoSnapshot

MOST_TRIED = 5  # of these, when one is brought back
MOST_NAMED = 3  # of other hosts' ledgers, in one sentence
_BEGINNING = re.compile(r"[0-9a-f]{8,32}")  # of a ledger's id
NO_HEAD = "0" * 64  # of a ledger that no backup attests


def stored_in(loaded: LoadedPlan, services: Services, ledger: str) -> list[RepoSnapshot]:
    """What a plan's repository holds of a ledger, the one with most records last."""
    listed = asked(loaded, services).snapshots([OURS, f"kind={KIND}", f"ledger={ledger}"])
    return sorted(listed, key=lambda s: (number(s), s.time))


@dataclass(frozen=True)
class OfAnother:
    """A ledger that a plan's repository holds, and that is not known here. Nothing tells whether its host is lost, and
    this one stands in its place, or goes on beside it: a person knows."""

    plan: str
    ledger: str
    records: int  # by the tags of the copy with most
    until: datetime  # when that was stored

    def __str__(self) -> str:
        stored = f"{so_many(self.records, 'record')}, stored on {rfc3339(self.until)[:16].replace('T', ' ')} UTC"
        return f"{self.ledger[:8]}… in the repository of {self.plan} ({stored})"


@dataclass(frozen=True)
class Others:
    """Ledgers in repositories that are not known here, each once, the newest first; and, of each repository that could
    not be asked, why."""

    ledgers: Sequence[OfAnother]
    unasked: Sequence[str]

    def require_asked(self) -> None:
        """CcdrError where one could not be: nobody knows what it holds."""
        if self.unasked:
            raise CcdrError(
                f"which ledgers were stored could not be asked everywhere: {'; '.join(self.unasked)}",
                hint="call this again once it answers, or name the plans whose repositories do",
            )


def of_others(plans: Sequence[LoadedPlan], services: Services) -> Others:
    """Asks the repositories of these plans."""
    lineage, found, unasked = read(services.state, services.ledger), dict[str, OfAnother](), list[str]()
    known = {*lineage.known, *lineage.beside, *lineage.linked}
    for loaded in [place for p in plans for place in (elsewhere(p), p) if place is not None]:
        try:
            copies = asked(loaded, services).snapshots([OURS, f"kind={KIND}"])
        except CcdrError as error:
            unasked.append(f"{loaded.plan.plan}: {error}")
            continue
        for copy in sorted(copies, key=number):
            ledger = copy.tag("ledger") or ""
            before = found.get(ledger)
            longer = before is None or before.records <= number(copy)
            if longer and is_id(ledger) and ledger not in known:
                found[ledger] = OfAnother(loaded.plan.plan, ledger, number(copy), copy.time)
    return Others(sorted(found.values(), key=lambda one: one.until, reverse=True), unasked)


def recover(
    plans: Sequence[LoadedPlan], services: Services, said: str | None = None
) -> tuple[list[Taken], list[CcdrError]]:
    """Bring back what was lost from the repositories of these plans, and link it: LEDGER_LOST is over by it. Of each
    ledger that could not be brought back, why: what was is linked all the same. `said` begins the id of one that a
    person says was this host's, or of the host in whose place this one stands: that is recorded first.
    UsageProblem where nothing was lost, or what is there was changed: a person sets that aside first. CcdrError where
    none of it is stored anywhere, or that cannot be asked, LedgerBroken where what is stored is not what snapshots
    attest."""
    state, ledger = services.state, services.ledger
    lineage = read(state, ledger)
    if lineage.kept in (LedgerStanding.CUT, LedgerStanding.REWRITTEN, LedgerStanding.OTHER):
        raise UsageProblem(
            f"nothing is lost: {lineage.problem}",
            hint=f"keep {state.ledger} as evidence: move it away, and run this again; docs/explanation/evidence.md",
        )
    if said is not None:
        _say_lost(said, plans, services)
    wanted = waiting(state, ledger)
    if not wanted:
        raise _nothing_lost(of_others(plans, services))
    taken, failed = list[Taken](), list[CcdrError]()
    for one in wanted:
        try:
            taken.append(replace(_brought_back(one, plans, services), lost=one))
        except CcdrError as error:
            failed.append(error)
    if not taken:
        raise failed[0]
    for loaded in plans:
        with suppress(CcdrError):  # its next test or backup learns it, and until then status tells what is not here
            _learn(loaded, services)
    return taken, failed


def _nothing_lost(found: Others) -> UsageProblem:
    """By what is known here. A state directory at another path, or on another host, knows of no ledger before it.
    CcdrError where a repository that could not be asked may hold the only one."""
    others = found.ledgers
    if not others:
        found.require_asked()
        return UsageProblem(
            "no ledger was lost here: there is nothing to bring back",
            hint="nor do the repositories hold one that is not known here: what a lost host had not stored, once a "
            "day, is gone. If the whole state is gone, `ccdr run` or a backup must ask the repository first; then "
            "call this again",
        )
    more = f", and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    more += f"; what could not be asked may hold others: {'; '.join(found.unasked)}" if found.unasked else ""
    return UsageProblem(
        "no ledger is known to have been lost here, and there are ledgers of other hosts, or of another state "
        f"directory: {'; '.join(map(str, others[:MOST_NAMED]))}{more}",
        hint=f"does this host stand in the place of one that is lost? `ccdr ledger recover {others[0].plan} --ledger "
        f"{others[0].ledger[:8]}` brings its ledger back; where that host still runs, `ccdr ledger collect DIR`",
    )


def _say_lost(said: str, plans: Sequence[LoadedPlan], services: Services) -> None:
    """Record that this ledger is lost. UsageProblem unless `said` begins exactly one's id; CcdrError where that cannot
    be asked."""
    if _BEGINNING.fullmatch(said) is None:  # what is recorded stays: nobody is to hit one by a slip
        raise UsageProblem(
            "--ledger wants the beginning of a ledger's id: 8 hexadecimal digits, or more of its 32",
            hint="`ccdr ledger recover` without it names those that are stored, and not known here",
        )
    if any(one.ledger.startswith(said) for one in waiting(services.state, services.ledger)):
        return
    others = of_others(plans, services)
    fitting = [one for one in others.ledgers if one.ledger.startswith(said)]
    if not fitting:
        others.require_asked()
    if len(fitting) != 1:
        there = "; ".join(map(str, others.ledgers)) or "none"
        raise UsageProblem(
            f"{said}: {'more than one ledger begins' if fitting else 'no ledger that is not known here begins'} so",
            hint=f"the repositories hold, beside what is known here: {there}",
        )
    one = fitting[0]
    newest = _attested(one, next(p for p in plans if p.plan.plan == one.plan), services)
    seq, head = (newest.seq, newest.head) if newest else (0, NO_HEAD)
    services.ledger.write(LedgerLost(plan=one.plan, ledger=one.ledger, last_seq=seq, last_head=head))
    keep(services.state, services.ledger)


def _attested(one: OfAnother, loaded: LoadedPlan, services: Services) -> Attestation | None:
    """The last of its records that a backup tells of; None where none does."""
    found = list[Attestation]()
    for s in asked(loaded, services).snapshots([OURS, "kind=backup", f"ledger={one.ledger}"]):
        with suppress(ValueError):
            found.append(Attestation.of({key: s.tag(key) for key in ATTESTED}))
    return max(found, key=lambda a: a.seq, default=None)


def _learn(loaded: LoadedPlan, services: Services) -> None:
    """The catalogue may have been lost with the ledger: what that tells of is read from the repository again, before
    somebody is told that its entries were removed."""
    plan, assets, histories = loaded.plan.plan, list(loaded.plan.assets), services.histories()
    stored = {one for asset in assets for one in histories.get((plan, asset), AssetHistory()).stored_here}
    learned(services, plan, services.synchronise(loaded, asked(loaded, services), assets, stored), assets)


def _brought_back(one: Lost, plans: Sequence[LoadedPlan], services: Services) -> Taken:
    lost, seq = one.ledger, one.seq
    troubles: list[str] = []
    if (here := directory_of(services.state, lost)).is_dir():  # somebody had a copy, and has collected it
        verification = verify(here)
        if verification.ok and (seq == 0 or verification.records < seq or reader(here).hash_of(seq) == one.head):
            taken = Taken(lost, verification.records, verification.head, here, 0)
            return link(taken, None, max(0, seq - verification.records), services)
        troubles.append(f"{here} {'is another chain than what was lost' if verification.ok else 'does not verify'}")
    copies: list[tuple[LoadedPlan, RepoSnapshot]] = []
    for loaded in [place for p in plans for place in (elsewhere(p), p) if place is not None]:
        try:
            stored = stored_in(loaded, services, lost)
        except CcdrError as error:
            troubles.append(f"{loaded.plan.plan}: {error}")
            continue
        copies += [(loaded, copy) for copy in stored[: -MOST_TRIED - 1 : -1]]  # anybody may store more under its name
    wrong: CcdrError | None = None
    # Each repository got it at another time: what the longest of them lacks, none has.
    for loaded, copy in sorted(copies, key=lambda one: number(one[1]), reverse=True):
        try:
            return _from(loaded, copy, lost, seq, services)
        except (LedgerBroken, BackupBad) as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong
    details = f" ({'; '.join(troubles)})" if troubles else ""
    raise CcdrError(
        f"the ledger {lost[:8]}… is not stored in the repositories of {', '.join(p.plan.plan for p in plans)}{details}",
        hint="name other plans, or put a copy of it back with `ccdr ledger collect DIR`, then run this again; "
        "`ccdr ack LEDGER_LOST` answers for what is lost for good",
    )


def _from(loaded: LoadedPlan, stored: RepoSnapshot, lost: str, seq: int, services: Services) -> Taken:
    plan, state = loaded.plan.plan, services.state
    with state.run(services.clock) as run:
        into = run.directory("ledger")
        repo = services.repository(loaded, limits_of(loaded))
        repo.restore(stored.id, stored.paths[0], into)
        verification, named = verify(into), f"snapshot {stored.id[:8]} of {plan}"
        if verification.ok and id_in(into) != lost:
            raise BackupBad(f"{named} holds another ledger than its tag says", hint="name another plan")
        if verification.ok and verification.records < number(stored):
            raise BackupBad(f"{named} holds fewer records than its tag says", hint="name another plan")
        _as_attested(into, loaded, services, lost)
        taken = copied(state, lost, into, verification, named)
    return placed(state, link(taken, plan, max(0, seq - taken.records), services))


def _as_attested(directory: Path, loaded: LoadedPlan, services: Services, lost: str) -> None:
    """What was stored could have been changed before it was: the snapshots know better."""
    there, says = reader(directory), itself(directory)
    head = there.head().seq
    listed = asked(loaded, services).snapshots([OURS, f"plan={loaded.plan.plan}", f"ledger={lost}"])
    for s in listed:
        attested = Attestation.of({key: s.tag(key) for key in ATTESTED})
        if attested.seq > head or there.hash_of(attested.seq) == attested.head:
            continue
        if not says.excuses(there, attested.seq, attested.prev):
            raise LedgerBroken(
                f"record {attested.seq} of the stored ledger is not the one that snapshot {s.id[:8]} of "
                f"{rfc3339(s.time)} attests: it was rewritten before it was stored",
                hint="nothing was taken in; older snapshots of it may be whole: `restic snapshots --tag kind=ledger`",
            )


def link(taken: Taken, plan: str | None, missing: int, services: Services) -> Taken:
    """Record that a lost ledger lies beside this one now."""
    linked = LedgerLinked(
        plan=plan,
        ledgers=[taken.ledger],
        records=taken.records,
        head=taken.head,
        missing=missing,
        reason=f"{so_many(missing, 'record')} of it are lost" if missing else None,
    )
    ref = services.ledger.write(linked)
    keep(services.state, services.ledger)
    return replace(taken, missing=missing, source=plan, record=ref)
