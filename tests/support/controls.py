"""What the controls are asked of: the past of one plan, as `Chronicle` tells it, judged as `status` judges it."""

from __future__ import annotations

from functools import reduce
from typing import Any

from ccdr.evidence.controls.registry import EVERY, judge_measures
from ccdr.evidence.controls.values import Known, MeasureState, PartState, PlanKnown
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.incidents import Clocks, judge_incidents
from ccdr.evidence.judgement.upkeep import judge_upkeep, of_copies
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.model.trouble import Problem, Trouble
from ccdr.plans.floors import load_floors
from ccdr.plans.job import Job
from tests.support.chronicle import Chronicle
from tests.support.judged import judged
from tests.support.sparse import sparse_record

SOON = 0.1  # hours after the last of it that it is asked


def known_of(job: Job, past: Chronicle, at: float = SOON, *wrong: Trouble, **more: Any) -> Known:
    """Of a plan with one asset; `wrong` is what the host alone knows of."""
    histories, now = more.get("histories", past.histories), past.at(at)
    own = tuple(Problem(trouble, "so it was found") for trouble in wrong)
    due = judge_incidents(job.plan, histories.get((job.plan, None), AssetHistory()).incidents, Clocks(now))
    care = (*judge_upkeep(job.loaded, histories, now), *of_copies(job.loaded, histories, now), *due, *own)
    plan = PlanKnown(job.loaded, [judged(job, past, at)], care)
    of_itself = (r for r in past.records if r["kind"].startswith("ledger."))
    lineage = reduce(Lineage.take, map(sparse_record, of_itself), Lineage())
    return Known(
        **{
            "now": now,
            "plans": [plan],
            "histories": histories,
            "lineage": lineage,
            "of_ledger": own,
            "floors": load_floors(None).value,
        }
        | more
    )


def part_of(known: Known, named: str) -> PartState:
    """What one part shows, by `measure/part`."""
    (part,) = [one for one in EVERY if f"{one.measure}/{one.id}" == named]
    return PartState(part, tuple(part.shows(known)))


def measure_of(known: Known, named: str) -> MeasureState:
    (measure,) = [one for one in judge_measures(known) if one.measure.id == named]
    return measure
