"""How it stands with the twelve measures now: what the controls are asked of, from ledger and catalogue alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.evidence.controls.frameworks import FrameworkState, judge_frameworks
from ccdr.evidence.controls.registry import NAMES, judge_measures
from ccdr.evidence.controls.values import WORST_FIRST, Known, MeasureState, PartState, PlanKnown, with_digests
from ccdr.evidence.history.asset_history import Histories
from ccdr.jobs.approvals import believed
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan, floors
from ccdr.plans.control_map import BESIDE, LoadedMap, load_map
from ccdr.plans.floors import LoadedFloors
from ccdr.telling.status import attestation_problems, ledger_problems, status, upkeep_problems


def map_beside(plans: Path, named: Path | None = None) -> LoadedMap:
    """The map that was named, the one beside the directory of plans, or the one that comes with ccdr. PlanInvalid with
    every mistake that it has; UsageProblem where it cannot be read."""
    beside = plans.parent / BESIDE
    return load_map(named or (beside if beside.exists() else None), NAMES)


def floors_beside(plans: Path) -> LoadedFloors:
    """Those beside the directory of plans, or those that come with ccdr. PlanInvalid, UsageProblem as `map_beside`."""
    beside = plans.parent / floors.BESIDE
    return floors.load_floors(beside if beside.exists() else None)


@dataclass(frozen=True)
class Asked:
    """By what the measures are judged: a map of laws and standards, and what is asked of versions."""

    map: LoadedMap
    floors: LoadedFloors

    @property
    def lowered(self) -> dict[str, str]:
        """Where the floors ask for less than ccdr's own."""
        return {} if self.floors.path is None else floors.lowered(self.floors.value, floors.load_floors(None).value)

    @classmethod
    def beside(cls, plans: Path, named: Path | None = None) -> Asked:
        return cls(map_beside(plans, named), floors_beside(plans))

    @classmethod
    def with_map(cls, named: Path | None = None) -> Asked:
        """What comes with ccdr, but for a map that was named."""
        return cls(load_map(named, NAMES), floors.load_floors(None))


@dataclass(frozen=True)
class Controls:
    """The twelve measures, and what laws and standards ask for by a map."""

    measures: Sequence[MeasureState]
    frameworks: Sequence[FrameworkState]
    map: LoadedMap
    floors: LoadedFloors

    @property
    def wrong(self) -> list[tuple[MeasureState, PartState]]:
        """What is contradicted, then what is expired, of whichever measure."""
        there = [(measure, part) for measure in self.measures for part in measure.parts if part.is_wrong]
        return sorted(there, key=lambda one: WORST_FIRST.index(one[1].state))

    def as_json(self) -> dict[str, object]:
        return {
            "measures": [one.as_json() for one in self.measures],
            "frameworks": [one.as_json() for one in self.frameworks],
            "map": self.map.as_json(),
            "floors": self.floors.as_json(),
        }


def controls(plans: Sequence[LoadedPlan], services: Services, histories: Histories, used: Asked) -> Controls:
    """Of these plans, as they were recorded, now. CcdrError where the ledger cannot be read."""
    histories = believed(plans, services, histories)
    statuses, care = status(plans, services, histories), upkeep_problems(plans, services, histories)
    newest = [s for one in statuses for s in one.usable[-1:]]
    known = Known(
        now=services.clock.now(),
        plans=[PlanKnown(p, [s for s in statuses if s.plan == p.plan.plan], care[p.plan.plan]) for p in plans],
        histories=histories,
        lineage=services.lineage(),
        of_ledger=ledger_problems(plans, services, histories, newest),
        of_people=attestation_problems(services, histories),
        floors=used.floors.value,
        lowered=used.lowered,
    )
    return judged(known, services, used)


def judged(known: Known, services: Services, used: Asked) -> Controls:
    """By what is known at a moment."""
    measures = with_digests(judge_measures(known), services.ledger.hash_of)
    return Controls(measures, judge_frameworks(used.map, measures), used.map, used.floors)
