"""What several queries ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import timedelta

from ccdr.evidence.controls.values import ControlState, Known, Observed, PlanKnown, behind
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.folded import Placed
from ccdr.evidence.judgement.upkeep import unapproved
from ccdr.evidence.records import Record
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import PRIMARY, to_the_second

CONTRADICTED, EXPIRED, SHOWN, STATED, NOTHING = ControlState
LOOKED_AT = timedelta(days=2)  # how long it shows something that it was looked at; `ccdr run` looks each day
YEARLY = timedelta(days=366)
TOLD_FOR = timedelta(days=90)  # for which it is told that somebody removed something alone, reviewed or not
TAKEN_OUT = timedelta(days=90)  # for which what failed is told of an asset that no plan names any more


def first_of(problems: Iterable[Problem], troubles: Collection[Trouble]) -> Problem | None:
    """The first that nobody has acknowledged, else the first at all."""
    there = [p for p in problems if p.trouble in troubles]
    return min(there, key=lambda p: p.acknowledged is not None, default=None)


def elsewhere(known: Known, plan: str, name: str, done: Placed | None, step: str | None = None) -> Observed | None:
    """The repository that records call `name` lies elsewhere since: what was done before shows nothing of that one."""
    moved = known.history(plan).moved.get(name)
    if done is None or moved is None or done.order > moved.order:
        return None
    where = "its repository lies" if name == PRIMARY else f"{name} lies"
    text = f"{where} elsewhere since {to_the_second(moved.time)}, and nothing of this was done there since"
    return Observed(NOTHING, text, plan, None, behind(done), step)


def taken_out(known: Known) -> Iterator[tuple[str, str, AssetHistory]]:
    """Assets that no plan names any more: nobody judges them, and what was wrong with them is not over by that. Where
    somebody else has approved the plan as it is now, they have answered for it."""
    plans = {plan.name: plan for plan in known.plans}
    for (name, asset), history in known.histories.items():
        if name is None or asset is None or "@" in name:
            continue
        plan = plans.get(name)
        if plan is None and not _gone(known, name):
            continue  # another host's, or one that was not asked for
        if plan is None or not (asset in plan.loaded.plan.assets or _approved(known, plan)):
            yield name, asset, history


def _gone(known: Known, plan: str) -> bool:
    """Was it recorded that it has no file any more?"""
    version = known.history(plan).version
    return version is not None and not version.files


def _approved(known: Known, plan: PlanKnown) -> bool:
    history = known.history(plan.name)
    return history.approval is not None and unapproved(plan.loaded, history, known.now) is None


def failed_before(known: Known, plan: str, asset: str, failed: Record | None, what: str) -> Iterator[Observed]:
    """That it was taken out of its plan with this against it: `what`, in words that begin a sentence."""
    if failed is not None and not failed.foreign and known.now - failed.time < TAKEN_OUT:
        text = f"{what} on {to_the_second(failed.time)}, and no plan names it any more"
        step = f"put it back into the plan; else it is told for {TAKEN_OUT.days} days"
        yield Observed(ControlState.CONTRADICTED, text, plan, asset, behind(failed), step)
