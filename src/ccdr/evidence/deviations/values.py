"""What a deviation is: what opened it and when, what is to be done by when, and what ended it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ccdr.evidence.records.statements import ACCEPT_FINDING, ASSIGN_FINDING, NOTE_FINDING
from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339, utc

Span = dict[str, Any]  # as it is kept: spans.py
Entry = dict[str, Any]  # what people have said of one: entries.py

ASSIGNED, NOTED, ACCEPTED = ASSIGN_FINDING.kind, NOTE_FINDING.kind, ACCEPT_FINDING.kind
KINDS = frozenset((ASSIGNED, NOTED, ACCEPTED))
LENGTH = 8  # of an id: digits of a SHA-256
AHEAD = timedelta(minutes=5)  # that the clock of who wrote may be
LONGEST = timedelta(days=366)  # that a risk is accepted, or a day put off: somebody looks at it again within a year

# What may mean that evidence was changed, and tests that find nothing: no risk that anybody may accept.
NEVER_ACCEPTED = frozenset(trouble.name for trouble in Trouble if not trouble.row.acceptable)


class State(StrEnum):
    """How a deviation stands."""

    OPEN = "open"
    ACCEPTED = "accepted"  # as a risk, until a day
    CLOSED = "closed"  # by a retest


def identity(plan: str | None, asset: str | None, code: str, base: Sequence[Any]) -> str:
    """Short, and the same whenever it is asked for. `base` is a record's number and the hash of the record before it,
    which no two ledgers have in common."""
    seq, before = base
    parts = (plan or "", asset or "", code, str(seq), str(before))
    return sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


@dataclass(frozen=True)
class Said:
    """What a person wrote, or decided: by which record. `words` is the digest by which the words are kept, apart."""

    record: int
    at: datetime
    actor: str
    words: str | None


@dataclass(frozen=True)
class Acceptance:
    """The risk was accepted, as a record says. Whether its signature holds is asked again by whoever counts on it."""

    record: Mapping[str, Any]

    @property
    def number(self) -> int:
        return int(self.record["seq"])

    @property
    def at(self) -> datetime:
        return utc(self.record["time"])

    @property
    def until(self) -> datetime:
        """Of whatever was signed, a year at most."""
        return min(utc(self.record["until"]), self.at + LONGEST)

    @property
    def made(self) -> datetime:
        return utc(self.record["made"])

    @property
    def by(self) -> str:
        return str((self.record.get("by") or {}).get("name") or "")

    def in_time(self, now: datetime) -> bool:
        return self.at <= now + AHEAD and now < self.until


@dataclass(frozen=True)
class Deviation:
    """One thing that went wrong at one place, for as long as it did. `opened` is the record that opened it, `number` in
    its own ledger (`ledger`, where that is not ours); None where it stands now and no record tells of it yet. `since`
    is when it began, `last` when it was last seen, `times` how often. `retest` is the record that ended it, `unchecked`
    one that passed by fewer or weaker checks, and ended nothing."""

    id: str
    plan: str | None
    asset: str | None
    copy: str | None
    code: str
    number: int | None
    ledger: str | None
    since: datetime
    opened_at: datetime
    last: datetime
    times: int
    severity: str
    due_by_rule: datetime
    owner: str | None
    retest: tuple[int, datetime] | None = None
    unchecked: tuple[int, datetime] | None = None
    due_assigned: datetime | None = None
    assigned: tuple[Said, ...] = ()
    cause: tuple[Said, ...] = ()
    action: tuple[Said, ...] = ()
    notes: tuple[Said, ...] = ()
    accepted: tuple[Acceptance, ...] = ()
    refused: tuple[int, ...] = ()  # acceptances whose signature does not hold, by their records

    @property
    def where(self) -> str:
        place = f"{self.plan}@{self.copy}" if self.copy else self.plan
        return "/".join(part for part in (place, self.asset) if part) or "the ledger"

    @property
    def due(self) -> datetime:
        """The day of what nobody may accept as a risk is not put off either."""
        if self.due_assigned is None:
            return self.due_by_rule
        return min(self.due_assigned, self.due_by_rule) if self.code in NEVER_ACCEPTED else self.due_assigned

    def acceptance(self, now: datetime) -> Acceptance | None:
        """The one in force; of those that were not refused the one that was written last: recorded once more, an older
        one takes no newer one's place."""
        there = [one for one in self.accepted if one.number not in self.refused]
        newest = max(there, key=lambda one: (one.made, one.number), default=None)
        return newest if newest is not None and newest.in_time(now) and self.code not in NEVER_ACCEPTED else None

    def state(self, now: datetime) -> State:
        if self.retest is not None:
            return State.CLOSED
        return State.OPEN if self.acceptance(now) is None else State.ACCEPTED

    def overdue(self, now: datetime) -> bool:
        return self.state(now) is State.OPEN and now > self.due

    @property
    def until(self) -> datetime | None:
        """When its span ended; None while it lasts."""
        return None if self.retest is None else self.retest[1]

    def as_json(self, now: datetime) -> dict[str, object]:
        accepted = self.acceptance(now)
        return {
            "deviation": self.id,
            "plan": self.plan,
            "asset": self.asset,
            "copy": self.copy,
            "code": self.code,
            "severity": self.severity,
            "state": self.state(now).value,
            "overdue": self.overdue(now),
            "opened_at": rfc3339(self.opened_at),
            "opened_by_record": self.number,
            "ledger": self.ledger,
            "since": rfc3339(self.since),
            "last": rfc3339(self.last),
            "until": self.until and rfc3339(self.until),
            "times": self.times,
            "owner": self.owner,
            "due": rfc3339(self.due),
            "due_by_rule": rfc3339(self.due_by_rule),
            "retest": _record(self.retest),
            "no_longer_checked": _record(self.unchecked),
            "accepted": accepted
            and {
                "by": accepted.by,
                "at": rfc3339(accepted.at),
                "until": rfc3339(accepted.until),
                "record": accepted.number,
                "reason_sha256": accepted.record.get("words_sha256"),
            },
            "acceptances": [one.number for one in self.accepted],
            "acceptances_refused": list(self.refused),
        }


def _record(of: tuple[int, datetime] | None) -> dict[str, object] | None:
    return None if of is None else {"record": of[0], "at": rfc3339(of[1])}
