"""RPO and RTO arithmetic. Pure: values in, values out.

Exposure at a time *t* is *t* minus the newest consistent point that was usable at *t* and has not been disproved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ccdr.model import Achieved, ObjectiveVerdict


@dataclass(frozen=True)
class Point:
    """A backup's consistent point and when it could first have been restored."""

    consistent: datetime
    usable: datetime


def exposure(at: datetime, points: Iterable[Point]) -> float:
    """Seconds of data that would be lost if the source died at `at`; infinite where nothing is usable.

    A point after `at` is not usable at `at`: either clock may have been set, so it proves nothing.
    """
    usable = [p.consistent for p in points if p.usable <= at and p.consistent <= at]
    return (at - max(usable)).total_seconds() if usable else math.inf


def worst_exposure(start: datetime, end: datetime, points: Iterable[Point]) -> float:
    """The achieved RPO of a period: exposure is worst just before each new backup becomes usable, and at the end."""
    known = sorted(points, key=lambda p: p.usable)
    moments = [p.usable for p in known if start < p.usable <= end]
    before = [exposure(m, (p for p in known if p.usable < m)) for m in moments]
    return max([*before, exposure(end, known)])


def judge(objective_s: float, achieved_s: float | None) -> Achieved:
    """MET where what was measured is within the objective; what was not measured is never MET."""
    if achieved_s is None:
        return Achieved(objective_s, None, ObjectiveVerdict.NOT_MEASURED)
    met = achieved_s <= objective_s
    return Achieved(objective_s, achieved_s, ObjectiveVerdict.MET if met else ObjectiveVerdict.BREACHED)
