"""Who may do what, as records tell of it: the roles' credentials as they were tried, and the newest review. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.approvals import AHEAD, NONCE, SHA256, misfit, read, written
from ccdr.model.values import number_of, rfc3339, utc

HOLDS = timedelta(days=92)  # three months: for so long a trial, or a review, shows something
TOLD_BEFORE = timedelta(days=30)
IN_ORDER, TO_BE_CHANGED = RESULTS = ("in_order", "to_be_changed")
MOST_NAMED = 40  # of what could not be read
NAME = re.compile(r"[\w .,()'-]{1,100}")  # of one of them; no path: that stays in the export
_BETWEEN = "; "
NAMESPACE = "ccdr-access-review"  # what is signed for: a key may be restricted to it in allowed_signers


@dataclass(frozen=True)
class ToReview:
    """A review, as it is signed. `export` is the digest of what was looked at, `found` the salted one of the words;
    so is `elsewhere`, of who looked at what could not be read, None where nobody says so.
    `not_read` names what that is."""

    plan: str
    export: str
    exported: datetime
    entries: int
    unread: int
    result: str
    found: str
    valid_until: datetime
    made: datetime
    nonce: str
    elsewhere: str | None = None
    not_read: tuple[str, ...] = ()

    TO = "review access"

    def text(self) -> str:
        return written(
            (
                ("to", self.TO),
                ("plan", self.plan),
                ("export", self.export),
                ("exported", rfc3339(self.exported)),
                ("entries", str(self.entries)),
                ("unread", str(self.unread)),
                *((("not-read", _BETWEEN.join(self.not_read)),) if self.not_read else ()),
                ("result", self.result),
                ("found", self.found),
                *((("elsewhere", self.elsewhere),) if self.elsewhere else ()),
                ("valid-until", rfc3339(self.valid_until)),
                ("made", rfc3339(self.made)),
                ("nonce", self.nonce),
            )
        )

    @classmethod
    def read(cls, text: str) -> ToReview:
        """UsageProblem where it is none."""
        of = dict(read(text, cls.TO))
        try:
            one = cls(
                plan=of["plan"],
                export=of["export"],
                exported=utc(of["exported"]),
                entries=int(of["entries"]),
                unread=int(of["unread"]),
                result=of["result"],
                found=of["found"],
                valid_until=utc(of["valid-until"]),
                made=utc(of["made"]),
                nonce=of["nonce"],
                elsewhere=of.get("elsewhere"),
                not_read=tuple(of["not-read"].split(_BETWEEN)) if "not-read" in of else (),
            )
        except (KeyError, ValueError, OverflowError):
            raise misfit() from None
        digests = all(SHA256.fullmatch(digest) for digest in (one.export, one.found, one.elsewhere or one.found))
        if one.text() != text or not digests or one.result not in RESULTS or not NONCE.fullmatch(one.nonce):
            raise misfit()
        if len(one.not_read) > MOST_NAMED or not all(map(NAME.fullmatch, one.not_read)):
            raise misfit()
        return one

    @classmethod
    def recorded(cls, record: Mapping[str, Any]) -> ToReview:
        """What the signature of a record is of."""
        return cls(
            plan=str(record["plan"]),
            export=str(record["export_sha256"]),
            exported=utc(record["exported"]),
            entries=int(record["entries"]),
            unread=int(record["unread"]),
            result=str(record["result"]),
            found=str(record["found_sha256"]),
            valid_until=utc(record["valid_until"]),
            made=utc(record["made"]),
            nonce=str(record["nonce"]),
            elsewhere=record.get("elsewhere_sha256"),
            not_read=tuple(map(str, record.get("not_read") or ())),
        )


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
        by, at = record.get("by") or {}, utc(record["time"])
        until = min(utc(record["valid_until"]), utc(record["exported"]) + HOLDS, at + HOLDS)  # whoever wrote it
        name, counts = str(by.get("name") or record["actor"]), (int(record["entries"]), int(record["unread"]))
        seen = tuple(map(str, record.get("not_read") or ())), record.get("elsewhere_sha256") is not None
        return cls(at, until, name, by.get("key"), *counts, record["result"] == IN_ORDER, number_of(record), *seen)

    @property
    def unseen(self) -> bool:
        """Is there something that nobody has looked at?"""
        return bool(self.unread) and not self.elsewhere

    def holds(self, now: datetime) -> bool:
        return self.made <= now + AHEAD and now < self.valid_until

    def ends_soon(self, now: datetime) -> bool:
        return self.holds(now) and self.valid_until - TOLD_BEFORE <= now
