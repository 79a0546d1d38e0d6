"""RPO and RTO arithmetic. Pure: values in, values out.

Exposure at a time *t* is *t* minus the newest consistent point that was usable at *t* and has not been disproved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from ccdr.model.instant import Instant
from ccdr.model.values import Achieved, ObjectiveVerdict


class Point(NamedTuple):
    """A backup's consistent point and when it could first have been restored."""

    consistent: Instant
    usable: Instant


def skew(asked: datetime, answered: datetime, answer: float) -> float:
    """Seconds that another clock is ahead of ours: it gave `answer` (seconds since 1970) between two times of ours.

    It was read at any moment between the two, and what that alone explains is no skew: else a busy host, slow to ask
    its own server, would have a recovery end at another moment than the one asked for.
    """
    half = (answered - asked) / 2
    ahead = answer - (asked + half).timestamp()
    return 0.0 if abs(ahead) <= half.total_seconds() else ahead


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
    known = sorted((usable if usable > consistent else consistent, consistent) for consistent, usable in points)
    worst: list[float] = []
    newest, at, none = None, 0, timedelta(0)
    for number, end in enumerate(edges):
        most, ever = none, newest is not None
        while at < len(known) and known[at][0] <= end:
            moment, consistent = known[at]
            at += 1
            if newest is None:
                newest = consistent
                continue
            if moment - newest > most:
                most = moment - newest
            if consistent > newest:
                newest = consistent
        if number:  # what came up to the first edge is before the first period
            worst.append(max(most, end - newest).total_seconds() if ever and newest else math.inf)
    return worst


def apart(points: Iterable[datetime]) -> float | None:
    """The skew of what was captured together: seconds from the oldest to the newest consistent point; None where there
    are not two."""
    known = sorted(points)
    return (known[-1] - known[0]).total_seconds() if len(known) > 1 else None


def judge(objective_s: float, achieved_s: float | None) -> Achieved:
    """MET where what was measured is within the objective; what was not measured is never MET. It is what a record
    keeps of it, to the millisecond: so that whoever judges by the record says the same as who has measured."""
    if achieved_s is None:
        return Achieved(objective_s, None, ObjectiveVerdict.NOT_MEASURED)
    achieved_s = round(achieved_s, 3)
    met = achieved_s <= objective_s
    return Achieved(objective_s, achieved_s, ObjectiveVerdict.MET if met else ObjectiveVerdict.BREACHED)


def judge_elsewhere(objective_s: float, achieved_s: float, seen_s: float) -> Achieved:
    """The same of what another host answers for. It may have backed up since this one last looked, when `seen_s` was
    the exposure: a breach by then is one; that nothing newer is known here is none."""
    achieved = judge(objective_s, achieved_s)
    if achieved.verdict is ObjectiveVerdict.BREACHED and seen_s <= objective_s:
        return Achieved(objective_s, achieved_s, ObjectiveVerdict.NOT_KNOWN_HERE)
    return achieved


NEVER = math.inf
DAY = 86400.0  # seconds


def growth(sizes: Mapping[str, int]) -> float | None:
    """Bytes a day, by a least-squares line through sizes by date (`2026-11-24`); None where they span less than a
    day. A prune that shrinks it counts: what matters is the trend over all of them."""
    points = [(date.fromisoformat(day).toordinal(), size) for day, size in sizes.items()]
    if len({day for day, _ in points}) < 2:
        return None
    middle = sum(day for day, _ in points) / len(points)
    mean = sum(size for _, size in points) / len(points)
    spread = sum((day - middle) ** 2 for day, _ in points)
    return sum((day - middle) * (size - mean) for day, size in points) / spread


def full_in(free: int | None, bytes_per_day: float | None) -> float | None:
    """Seconds until `free` bytes are taken, if it goes on growing like this; infinite where it does not grow, None
    where either is not known."""
    if free is None or bytes_per_day is None:
        return None
    return free / bytes_per_day * DAY if bytes_per_day > 0 else NEVER
