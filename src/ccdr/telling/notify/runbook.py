"""A runbook that waits for a person, or stands at a step that failed, is told at once: once, and not by each run."""

from __future__ import annotations

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.upkeep import judge_runbook
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan
from ccdr.telling.notify.concerns import concerns_of
from ccdr.telling.notify.telling import after_run


def tell(loaded: LoadedPlan, services: Services, step: str) -> bool:
    """By the ledger as it is now, so that `ccdr run` later knows it for what was told; True where somebody was told.
    CcdrError where what was told cannot be written down."""
    plan = loaded.plan.plan
    history = services.histories().get((plan, None), AssetHistory())
    wrong = [problem for problem in judge_runbook(plan, history, services.clock.now()) if problem.about == step]
    if not wrong:
        return False
    told = after_run([loaded], services, (), {}, extra=concerns_of((), {plan: wrong}), whole=False)
    return bool(told.sent)
