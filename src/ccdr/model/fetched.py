"""What restore tests fetched, by calendar month: what a cloud bills for. Pure.

Counted is what was restored. It travels compressed and only once, so the bill is for less: whoever keeps this within a
limit keeps the bill within it too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

NEAR = 0.8  # of the limit


@dataclass(frozen=True)
class Fetched:
    """Bytes by month (`2026-11`, UTC), in order; `limit` is what the plan allows a month."""

    months: Mapping[str, int] = field(default_factory=dict)
    tests: int = 0
    limit: int | None = None

    @property
    def bytes(self) -> int:
        return sum(self.months.values())

    def in_month(self, now: datetime) -> int:
        return self.months.get(month_of(now), 0)

    def near(self, now: datetime) -> bool:
        """Is this month's limit reached, or soon?"""
        return self.limit is not None and self.in_month(now) >= NEAR * self.limit


def month_of(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m}"


def fetched(tests: Iterable[tuple[datetime, int]], limit: int | None) -> Fetched:
    """From when each test was, and the bytes that it restored."""
    months: dict[str, int] = {}
    count = 0
    for when, size in sorted(tests):
        months[month_of(when)] = months.get(month_of(when), 0) + size
        count += 1
    return Fetched(months, count, limit)
