"""What must be told now, and not when `ccdr run` comes next."""

from __future__ import annotations

from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.plans import LoadedPlan
from ccdr.run.ending import our_own
from ccdr.telling.notify import after_run


def tell_at_once(loaded: LoadedPlan, services: Services) -> list[str]:
    """Tell a plan's people what is news to them. Nothing that goes wrong with that stops whoever calls: what could not
    be told is told by the next run, and is in the sentences that this returns."""
    plan = loaded.plan.plan
    try:
        ours = our_own([loaded], services)
        told = after_run(
            [loaded], services, ours.assets, ours.upkeep, elsewhere=ours.elsewhere, failed=[plan], whole=False
        )
    except CcdrError as error:
        return [f"nobody could be told at once: {error}"]
    if told.busy:
        return ["another run is telling people now: it, or the next one, tells of this"]
    return [*told.notes, *told.failures.get(plan, [])]
