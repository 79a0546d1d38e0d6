"""A plan's copies in a report: what each held at the period's end, and how much would ever have been lost in the period
if it had been all that was left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.records import CopyEnd
from ccdr.model.measure import Point, worst_exposure
from ccdr.model.trouble import Problem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.telling.copies import CopyStatus, copies_of
from ccdr.telling.report.period import Period
from ccdr.telling.report.runs import COPY, RecordedRun


@dataclass(frozen=True)
class CopyReport:
    """One copy. `worst_s` is by asset, from the first copying in the period that brought any of it on; None where there
    was none."""

    status: CopyStatus
    worst_s: Mapping[str, float | None]

    def as_json(self) -> dict[str, object]:
        held = {
            asset: {
                **self.status.told_of(asset),
                "last_test_snapshot": (test := self.status.assets[asset].tested) and test.snapshot,
                "worst_exposure_s": (worst := self.worst_s[asset]) and round(worst, 3),
                "troubles": [p.as_json() for p in self.status.wrong_with(asset)],
            }
            for asset in self.status.assets
        }
        filled = self.status.filled and rfc3339(self.status.filled)
        return {
            **self.status.as_json(),
            "filled": filled,
            "assets": held,
            "troubles": [p.as_json() for p in self.status.wrong_with(None)],
        }


def copy_reports(
    loaded: LoadedPlan, histories: Histories, runs: Sequence[RecordedRun], problems: Sequence[Problem], period: Period
) -> Iterator[CopyReport]:
    """As the plan names them. `runs` are the period's, `problems` of the care of the plan."""
    for status in copies_of(loaded, histories, period.end, problems):
        told = [run for run in runs if (run.verb, run.plan, run.copy) == (COPY, status.plan, status.copy)]
        yield CopyReport(status, {asset: _worst(asset, told, period) for asset in status.assets})


def _worst(asset: str, runs: Sequence[RecordedRun], period: Period) -> float | None:
    """Exposure is worst just before a copying brings more, and at the end: what a copy holds counts from then on, and
    not from when it was stored elsewhere."""
    points = []
    for run in runs:
        if not isinstance(run.body, CopyEnd):
            continue
        if held := [of[asset] for of in (run.body.newest, run.body.log_until) if asset in of]:
            points.append(Point(max(held), run.body.time))
    if not points:
        return None
    return worst_exposure(min(point.usable for point in points), period.end, points)
