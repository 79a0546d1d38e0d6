"""Somebody answers for what was handed over though erased people may be in it."""

from __future__ import annotations

from ccdr.evidence.history.kinds import ERASURE_REVIEW
from ccdr.evidence.payloads import keep_payload
from ccdr.host.who import who
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan


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
