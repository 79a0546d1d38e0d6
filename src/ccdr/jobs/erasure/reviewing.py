"""Somebody answers for what was handed over though erased people may be in it, or for an entry that finds nobody."""

from __future__ import annotations

from ccdr.evidence.approvals import Operation
from ccdr.evidence.records.statements import Handover, RegisterEntry
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed
from ccdr.jobs.erasure.adding import opened
from ccdr.jobs.erasure.register import Entry
from ccdr.jobs.erasure.shown import Shown
from ccdr.jobs.services import Services, limits_of
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.erasure import UNSHOWN, EntryState
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan

NOBODY = "nobody."  # before the entry, in what a request is about: whoever signs it sees that it is no withdrawal


def review(loaded: LoadedPlan, asset: str | None, services: Services, why: str) -> list[tuple[str, int]]:
    """Of one asset, or of all: the records of the hand-overs that are reviewed now. UsageProblem where none waits."""
    plan, histories = loaded.plan.plan, services.histories()
    waiting = [
        (name, int(seq))
        for name in loaded.plan.assets
        if asset in (None, name) and (of := histories.get((plan, name))) is not None
        for seq, _ in of.returned
    ]
    if not waiting:
        raise UsageProblem(
            f"nothing of {plan}{f'/{asset}' if asset else ''} waits for a review", hint="`ccdr status` shows what does"
        )
    for name, seq in waiting:
        given = stated(services, "review", Handover(replay=seq), plan=plan, words=why)
        record_statement(given, services, more={"tenant": loaded.plan.tenant_of(name)}, asset=name)
    return waiting


def nobody(loaded: LoadedPlan, entry: str, services: Services, why: str, given: Given = NOTHING) -> tuple[Entry, int]:
    """Of an entry that no snapshot has found: a person states that nobody is to be found by it. UsageProblem where
    there is none such, or nothing is to be stated of it; ApprovalRefused where the plan wants an approval of it, as of
    every edit of the register, and `given` is none."""
    plan = loaded.plan.plan
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.reading(repo.location):
        register = opened(loaded, services, repo)
    found = register.standing_one(entry) if register is not None else None
    if found is None:
        raise UsageProblem(
            f"the register of {plan} has no entry {entry!a} that stands", hint=f"`ccdr erasure list {plan}`"
        )
    shown = Shown.of(loaded, services, found.asset)
    if (state := shown.state(found)) not in (*UNSHOWN, EntryState.NOT_DUE):
        raise UsageProblem(
            f"nothing is to be stated of {found.id}: {state.value.replace('_', ' ')}",
            hint=f"`ccdr erasure list {plan}` shows of which entries nobody was found",
        )
    allowed(Wanted(Operation.REGISTER, loaded, f"{NOBODY}{found.id}"), services, given)
    about = RegisterEntry(entry=found.id, missing=shown.looked(found).missing)
    given_for = stated(services, "answer", about, plan=plan, words=why)
    whose = {"tenant": loaded.plan.tenant_of(found.asset)}
    return found, record_statement(given_for, services, more=whose, asset=found.asset)
