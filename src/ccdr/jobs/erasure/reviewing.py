"""Somebody answers for what was handed over though erased people may be in it, or for an entry that finds nobody."""

from __future__ import annotations

from ccdr.evidence.approvals import Operation
from ccdr.evidence.history.kinds import ERASURE_NOBODY, ERASURE_REVIEW
from ccdr.evidence.payloads import keep_payload
from ccdr.host.who import who
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed
from ccdr.jobs.erasure.adding import opened
from ccdr.jobs.erasure.register import Entry
from ccdr.jobs.erasure.shown import Shown
from ccdr.jobs.services import Services, limits_of
from ccdr.model.erasure import UNSHOWN, EntryState
from ccdr.model.errors import UsageProblem
from ccdr.model.values import RecordRef
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
    digest = keep_payload(services.state, why)
    for name, seq in waiting:
        body = {"of": seq, "why_sha256": digest, "tenant": loaded.plan.tenant_of(name), "who": who().body()}
        services.ledger.append(ERASURE_REVIEW, plan=plan, asset=name, run=None, body=body)
    return waiting


def nobody(
    loaded: LoadedPlan, entry: str, services: Services, why: str, given: Given = NOTHING
) -> tuple[Entry, RecordRef]:
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
    body = {
        "entry": found.id,
        "missing": shown.looked(found).missing,
        "why_sha256": keep_payload(services.state, why),
        "tenant": loaded.plan.tenant_of(found.asset),
        "who": who().body(),
    }
    return found, services.ledger.append(ERASURE_NOBODY, plan=plan, asset=found.asset, run=None, body=body)
