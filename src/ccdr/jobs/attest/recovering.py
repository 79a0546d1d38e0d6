"""Bring a lost ledger back from the repositories that hold copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.lineage.answers import waiting
from ccdr.evidence.lineage.beside import directory_of, id_in, itself, reader
from ccdr.evidence.lineage.comparing import keep, read
from ccdr.evidence.lineage.values import LINKED, LedgerStanding, Lost
from ccdr.jobs.attest.claims import TAG
from ccdr.jobs.attest.comparison import asked
from ccdr.jobs.attest.taking_in import Taken, copied, placed
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import BackupBad, CcdrError, LedgerBroken, UsageProblem
from ccdr.model.values import ATTESTED, Attestation, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import RepoSnapshot

KIND = "ledger"  # of the snapshots that hold a ledger
MOST_TRIED = 5  # of these, when one is brought back


def elsewhere(loaded: LoadedPlan) -> LoadedPlan | None:
    """The plan as if the repository that it names for the ledger were its own; None where it names none."""
    other = loaded.plan.ledger_repository
    return None if other is None else replace(loaded, plan=loaded.plan.model_copy(update={"repository": other}))


def stored_in(loaded: LoadedPlan, services: Services, ledger: str) -> list[RepoSnapshot]:
    """What a plan's repository holds of a ledger, the one with most records last."""
    listed = asked(loaded, services).snapshots([TAG, f"kind={KIND}", f"ledger={ledger}"])
    return sorted(listed, key=lambda s: (number(s), s.time))


def number(stored: RepoSnapshot) -> int:
    """How many records a stored ledger has by its tag."""
    count = stored.tag("ledger_seq") or ""
    return int(count) if count.isdecimal() else 0


def recover(plans: Sequence[LoadedPlan], services: Services) -> list[Taken]:
    """Bring back what was lost from the repositories of these plans, and link it: LEDGER_LOST is over by it.
    UsageProblem where nothing was lost, or what is there was changed: a person sets that aside first. CcdrError where
    none of it is stored anywhere, LedgerBroken where what is stored is not what snapshots attest."""
    state, ledger = services.state, services.ledger
    lineage = read(state, ledger)
    if lineage.kept in (LedgerStanding.CUT, LedgerStanding.REWRITTEN, LedgerStanding.OTHER):
        raise UsageProblem(
            f"nothing is lost: {lineage.problem}",
            hint=f"keep {state.ledger} as evidence: move it away, and run this again; docs/explanation/evidence.md",
        )
    wanted = waiting(state, ledger)
    if not wanted:
        raise UsageProblem(
            "no ledger was lost here: there is nothing to bring back",
            hint="is all of the state gone? then nothing here knows of it yet: `ccdr run`, or a backup, asks the "
            "repository; call this again after it",
        )
    return [_recovered(one, plans, services) for one in wanted]


def _recovered(one: Lost, plans: Sequence[LoadedPlan], services: Services) -> Taken:
    return replace(_brought_back(one, plans, services), lost=one)


def _brought_back(one: Lost, plans: Sequence[LoadedPlan], services: Services) -> Taken:
    lost, seq = one.ledger, one.seq
    troubles: list[str] = []
    if (here := directory_of(services.state, lost)).is_dir():  # somebody had a copy, and has collected it
        verification = verify(here)
        if verification.ok and (seq == 0 or verification.records < seq or reader(here).hash_of(seq) == one.head):
            taken = Taken(lost, verification.records, verification.head, here, 0)
            return link(taken, None, max(0, seq - verification.records), services)
        troubles.append(f"{here} {'is another chain than what was lost' if verification.ok else 'does not verify'}")
    for loaded in [place for p in plans for place in (elsewhere(p), p) if place is not None]:
        try:
            stored = stored_in(loaded, services, lost)
        except CcdrError as error:
            troubles.append(f"{loaded.plan.plan}: {error}")
            continue
        wrong: LedgerBroken | None = None
        for copy in stored[: -MOST_TRIED - 1 : -1]:  # whoever may write there may store anything under its name
            try:
                return _from(loaded, copy, lost, seq, services)
            except LedgerBroken as error:
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
        _as_attested(into, loaded, services, lost)
        taken = copied(state, lost, into, verification, named)
    return placed(state, link(taken, plan, max(0, seq - taken.records), services))


def _as_attested(directory: Path, loaded: LoadedPlan, services: Services, lost: str) -> None:
    """What was stored could have been changed before it was: the snapshots know better."""
    there, says = reader(directory), itself(directory)
    head = there.head().seq
    listed = asked(loaded, services).snapshots([TAG, f"plan={loaded.plan.plan}", f"ledger={lost}"])
    for s in listed:
        attested = Attestation.of({key: s.tag(key) for key in ATTESTED})
        if attested is None or attested.seq > head or there.hash_of(attested.seq) == attested.head:
            continue
        if not says.excuses(there, attested.seq, attested.prev):
            raise LedgerBroken(
                f"record {attested.seq} of the stored ledger is not the one that snapshot {s.id[:8]} of "
                f"{rfc3339(s.time)} attests: it was rewritten before it was stored",
                hint="nothing was taken in; older snapshots of it may be whole: `restic snapshots --tag kind=ledger`",
            )


def link(taken: Taken, plan: str | None, missing: int, services: Services) -> Taken:
    """Record that a lost ledger lies beside this one now."""
    body = {
        "ledgers": [taken.ledger],
        "records": taken.records,
        "head": taken.head,
        "missing": missing,
        "reason": f"{so_many(missing, 'record')} of it are lost" if missing else None,
    }
    ref = services.ledger.append(LINKED, plan=plan, asset=None, run=None, body=body)
    keep(services.state, services.ledger)
    return replace(taken, missing=missing, source=plan, record=ref)
