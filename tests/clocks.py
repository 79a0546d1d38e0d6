"""A clock that stands where a test puts it."""

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
