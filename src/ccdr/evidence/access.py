"""Who may do what, as records tell of it: the roles' credentials as they were tried, and the newest review. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.evidence.records.statements import REVIEW_ACCESS, ExportOfAccess, StatementRecord
from ccdr.model.values import AHEAD

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
    seq: int
    not_read: tuple[str, ...] = ()
    elsewhere: bool = False  # somebody stated who looked at what could not be read

    @classmethod
    def of(cls, record: StatementRecord) -> Review:
        by, at, of = record.by, record.time, record.about
        assert isinstance(of, ExportOfAccess) and record.until is not None
        until = min(record.until, of.exported + HOLDS, at + HOLDS)  # whoever wrote it
        name, key = (by.name, by.key) if by else (record.actor, None)
        return cls(
            at, until, name, key, of.entries, of.unread, of.result == IN_ORDER, record.seq, of.not_read,
            of.elsewhere_sha256 is not None,
        )  # fmt: skip

    @property
    def unseen(self) -> bool:
        """Is there something that nobody has looked at?"""
        return bool(self.unread) and not self.elsewhere

    def holds(self, now: datetime) -> bool:
        return self.made <= now + AHEAD and now < self.valid_until

    def ends_soon(self, now: datetime) -> bool:
        return self.holds(now) and self.valid_until - TOLD_BEFORE <= now
