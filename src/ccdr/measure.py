"""RPO and RTO arithmetic. Pure: values in, values out.

Exposure at a time *t* is *t* minus the newest consistent point that was usable at *t* and has not been disproved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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
    return worst_exposures((start, end), points)[0]


def worst_exposures(edges: Sequence[datetime], points: Iterable[Point]) -> list[float]:
    """The same for each of the periods that follow one another between `edges` (two at least, ascending): one sweep."""
    # Neither clock is believed before the other: a point counts from the later of its two times.
    known = sorted((max(p.usable, p.consistent), p.consistent) for p in points)
    worst, newest, at = [], None, 0
    for number, end in enumerate(edges):
        most = 0.0
        while at < len(known) and known[at][0] <= end:
            moment, consistent = known[at]
            most = max(most, _since(newest, moment))
            newest = consistent if newest is None else max(newest, consistent)
            at += 1
        if number:  # what came up to the first edge is before the first period
            worst.append(max(most, _since(newest, end)))
    return worst


def _since(consistent: datetime | None, moment: datetime) -> float:
    return math.inf if consistent is None else (moment - consistent).total_seconds()


def judge(objective_s: float, achieved_s: float | None) -> Achieved:
    """MET where what was measured is within the objective; what was not measured is never MET."""
    if achieved_s is None:
        return Achieved(objective_s, None, ObjectiveVerdict.NOT_MEASURED)
    met = achieved_s <= objective_s
    return Achieved(objective_s, achieved_s, ObjectiveVerdict.MET if met else ObjectiveVerdict.BREACHED)
