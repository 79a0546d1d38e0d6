"""Clocks that stand where a test puts them, or tick at each look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    def to(self, text: str) -> None:
        self.at = datetime.fromisoformat(text).astimezone(UTC)

    def on(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@dataclass
class Ticking:
    """A second later at each look."""

    at: datetime

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()
