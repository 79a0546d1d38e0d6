"""How it stands with the twelve measures now: what the controls are asked of, from ledger and catalogue alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccdr.evidence.controls.judged import judge_measures
from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.registry import NAMES
from ccdr.evidence.controls.values import MeasureState, with_digests
from ccdr.evidence.history.fold import Histories
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan
from ccdr.plans.control_map import BESIDE, LoadedMap, load_map
from ccdr.telling.status import ledger_problems, status, upkeep_problems


def map_beside(plans: Path, named: Path | None = None) -> LoadedMap:
    """The map that was named, the one beside the directory of plans, or the one that comes with ccdr. PlanInvalid with
    every mistake that it has; UsageProblem where it cannot be read."""
    beside = plans.parent / BESIDE
    return load_map(named or (beside if beside.exists() else None), NAMES)


def controls(plans: Sequence[LoadedPlan], services: Services, histories: Histories) -> list[MeasureState]:
    """Of these plans, as they were recorded. CcdrError where the ledger cannot be read."""
    statuses, care = status(plans, services, histories), upkeep_problems(plans, services, histories)
    newest = [s for one in statuses for s in one.usable[-1:]]
    known = Known(
        now=services.clock.now(),
        plans=[PlanKnown(p, [s for s in statuses if s.plan == p.plan.plan], care[p.plan.plan]) for p in plans],
        histories=histories,
        lineage=services.lineage(),
        of_ledger=ledger_problems(plans, services, histories, newest),
    )
    return with_digests(judge_measures(known), services.ledger.hash_of)
