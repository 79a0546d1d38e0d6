"""How a repository grows, and when it is full if that goes on: a straight line through what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.model import measure
from ccdr.telling.report.period import MOST_POINTS, Period


@dataclass(frozen=True)
class Growth:
    """`sizes` are the repository's own, as measured after upkeep; where there are none, `added` is what backups wrote,
    summed from the period's start. Bytes; `per_day` may be negative; `full` only where the room left is known."""

    sizes: tuple[tuple[datetime, int], ...]
    added: tuple[tuple[datetime, int], ...]
    added_bytes: int
    per_day: float | None
    in_90_days: int | None
    free: int | None
    full: datetime | None

    @property
    def now(self) -> int | None:
        return self.sizes[-1][1] if self.sizes else None


def growth(
    sizes: Sequence[tuple[datetime, int]], added: Sequence[tuple[datetime, int]], period: Period, free: int | None
) -> Growth:
    """`free` is the room left at the period's end, bytes."""
    sizes = sorted(sizes)
    slope = measure.growth({at.date().isoformat(): size for at, size in sizes})
    later = None if slope is None else max(0, round(sizes[-1][1] + 90 * slope))
    seconds, full = measure.full_in(free, slope), None
    if seconds is not None and seconds < 100 * 365 * measure.DAY:  # within a century
        full = period.end + timedelta(seconds=seconds)
    total = sum(count for _, count in added)
    return Growth(_thinned(sizes, period), _summed(added, period), total, slope, later, free, full)


def _thinned(sizes: Sequence[tuple[datetime, int]], period: Period) -> tuple[tuple[datetime, int], ...]:
    """The last of each part of the period: what a chart can show."""
    edges, kept = period.edges(MOST_POINTS), {}
    at = 0
    for moment, size in sizes:
        while at < len(edges) - 2 and moment >= edges[at + 1]:
            at += 1
        kept[at] = (moment, size)
    return tuple(kept.values())


def _summed(added: Sequence[tuple[datetime, int]], period: Period) -> tuple[tuple[datetime, int], ...]:
    """A running sum at each edge of the period's parts."""
    sums, total, at = [], 0, 0
    ordered = sorted(added)
    for edge in period.edges(MOST_POINTS):
        while at < len(ordered) and ordered[at][0] <= edge:
            total += ordered[at][1]
            at += 1
        sums.append((edge, total))
    return tuple(sums)
