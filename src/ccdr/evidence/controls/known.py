"""What the parts of a measure are asked of: what the ledger came to (the one fold), how each asset was judged by it,
and what else is known at that moment. Values; nothing here looks anything up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.places import Histories
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.model.trouble import Problem
from ccdr.plans import LoadedPlan
from ccdr.plans.floors import Floors


@dataclass(frozen=True)
class PlanKnown:
    """One plan as it is judged: `care` is what is wrong with its repository, its copies, its secrets."""

    loaded: LoadedPlan
    statuses: Sequence[AssetStatus]
    care: Sequence[Problem] = ()

    @property
    def name(self) -> str:
        return self.loaded.plan.plan


@dataclass(frozen=True)
class Known:
    """At one moment."""

    now: datetime
    plans: Sequence[PlanKnown]
    histories: Histories
    lineage: Lineage = field(default_factory=Lineage)
    of_ledger: Sequence[Problem] = ()
    of_people: Sequence[Problem] = ()  # what is wrong with attestations
    floors: Floors = field(default_factory=Floors)  # what is asked of versions
    lowered: Mapping[str, str] = field(default_factory=dict)  # where that is less than ccdr's own: by program, or `tls`

    def history(self, plan: str | None, asset: str | None = None) -> AssetHistory:
        """Of an asset; without one, of the plan itself; without a plan, of the host."""
        return self.histories.get((plan, asset), AssetHistory())

    @property
    def assets(self) -> Iterator[tuple[PlanKnown, AssetStatus]]:
        for plan in self.plans:
            for status in plan.statuses:
                yield plan, status
