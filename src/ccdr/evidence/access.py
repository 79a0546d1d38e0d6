"""Who may do what, as records tell of it: the roles' credentials as they were tried, and the newest review. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.records.statements import REVIEW_ACCESS
from ccdr.model.values import AHEAD, number_of, utc

HOLDS = REVIEW_ACCESS.longest  # so long a trial shows something, too
TOLD_BEFORE = timedelta(days=30)
IN_ORDER = "in_order"


@dataclass(frozen=True)
class Review:
    """One that was recorded. `by` is who signed it; where nobody has (`key` is None), who recorded it."""

    made: datetime
    valid_until: datetime
    by: str
    key: str | None
    entries: int
    unread: int
    in_order: bool
    seq: float
    not_read: tuple[str, ...] = ()
    elsewhere: bool = False  # somebody stated who looked at what could not be read

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Review:
        by, at, of = record.get("by") or {}, utc(record["time"]), record["about"]
        until = min(utc(record["until"]), utc(of["exported"]) + HOLDS, at + HOLDS)  # whoever wrote it
        name, counts = str(by.get("name") or record["actor"]), (int(of["entries"]), int(of["unread"]))
        seen = tuple(map(str, of.get("not_read") or ())), of.get("elsewhere_sha256") is not None
        return cls(at, until, name, by.get("key"), *counts, of["result"] == IN_ORDER, number_of(record), *seen)

    @property
    def unseen(self) -> bool:
        """Is there something that nobody has looked at?"""
        return bool(self.unread) and not self.elsewhere

    def holds(self, now: datetime) -> bool:
        return self.made <= now + AHEAD and now < self.valid_until

    def ends_soon(self, now: datetime) -> bool:
        return self.holds(now) and self.valid_until - TOLD_BEFORE <= now
