"""What the controls are asked of: the past of one plan, as `Chronicle` tells it, judged as `status` judges it."""

from __future__ import annotations

from typing import Any

from ccdr.evidence.controls.judged import judge_measures
from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.registry import PARTS
from ccdr.evidence.controls.values import MeasureState, PartState
from ccdr.evidence.judgement.copies import of_copies
from ccdr.evidence.judgement.upkeep import judge_upkeep
from ccdr.plans.job import Job
from tests.support.chronicle import Chronicle
from tests.support.judged import judged

SOON = 0.1  # hours after the last of it that it is asked


def known_of(job: Job, past: Chronicle, at: float = SOON, **more: Any) -> Known:
    """Of a plan with one asset."""
    histories, now = past.histories, past.at(at)
    care = (*judge_upkeep(job.loaded, histories, now), *of_copies(job.loaded, histories, now))
    plan = PlanKnown(job.loaded, [judged(job, past, at)], care)
    return Known(**{"now": now, "plans": [plan], "histories": histories} | more)


def part_of(known: Known, named: str) -> PartState:
    """What one part shows, by `measure/part`."""
    (part,) = [one for one in PARTS if f"{one.measure}/{one.id}" == named]
    return PartState(part, tuple(part.shows(known)))


def measure_of(known: Known, named: str) -> MeasureState:
    (measure,) = [one for one in judge_measures(known) if one.measure.id == named]
    return measure
