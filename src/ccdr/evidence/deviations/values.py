"""What a deviation is: what opened it and when, what is to be done by when, what people have said of it, and what ended
it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

from ccdr.evidence.records.statements import ACCEPT_FINDING, ASSIGN_FINDING, NOTE_FINDING, kind_of
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import NOT_ASKED, Whose, whose
from ccdr.model.trouble import Trouble
from ccdr.model.values import ledger_of, number_of, rfc3339, utc
from ccdr.plans.deviation_rules import due_within, severity_of

Span = dict[str, Any]  # as it is kept: spans.py
Entry = dict[str, Any]  # what people have said of one: entries.py

ASSIGNED, NOTED, ACCEPTED = ASSIGN_FINDING.kind, NOTE_FINDING.kind, ACCEPT_FINDING.kind
KINDS = frozenset((ASSIGNED, NOTED, ACCEPTED))
LENGTH = 8  # of an id: digits of a SHA-256
AHEAD = timedelta(minutes=5)  # that the clock of who wrote may be

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
        return ACCEPT_FINDING.end_of(utc(self.record["until"]), self.at)

    @property
    def made(self) -> datetime:
        return utc(self.record["made"])

    @property
    def by(self) -> Whose:
        return whose(self.record)

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
                "by": accepted.by.name,
                "signature": accepted.by.state or NOT_ASKED,
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


# What is kept of deviations as records come: those that are open, and those that ended. Pure.
#
# A span may wait for several things (`pending`): for a backup and a restore test that were both missed, for each
# check that a plan's new version dropped. It ends by the record that settles the last of them.

JOINED = timedelta(days=7)
MOST_ENDED = 50  # of an asset, the newest that a summary keeps: a report reads those of its period


@dataclass(slots=True)
class Kept:
    """Of an asset, or of a plan's or the host's own."""

    spans: list[Span] = field(default_factory=list)  # that are open …
    ended: list[Span] = field(default_factory=list)  # … and those that ended, the newest last
    # By verb: how often in a row it proved nothing, and since when; by kind: the newest start, its time and base.
    rows: dict[str, list[Any]] = field(default_factory=dict)
    begun: dict[str, list[Any]] = field(default_factory=dict)
    # Of an asset: the newest point that it can be restored to, since when it can be, the base of the record that tells,
    # whether its log leads on from there.
    point: list[Any] = field(default_factory=list)
    promised: dict[str, Any] = field(default_factory=dict)  # of a plan: facts of versions that spans are measured by
    said: dict[str, Entry] = field(default_factory=dict)  # of a plan: what people have said, by the deviation's id
    owners: list[list[Any]] = field(default_factory=list)  # of a plan: since when its versions name which owner

    def owner_at(self, began: datetime) -> str | None:
        """Of what began then: whom the plan's version in force before it names; None where none does, or did then."""
        return next((owner for since, owner in reversed(self.owners) if utc(since) < began), None)


def base_of(record: Record) -> list[Any]:
    """What tells this record from all others: its number, and the hash of the one before it."""
    return [number_of(record), str(record.get("prev") or "")]


def standing(place: Kept, code: str, asset: str | None) -> Span | None:
    return next((one for one in place.spans if (one["code"], one["asset"]) == (code, asset)), None)


def opened(
    place: Kept,
    code: str,
    record: Record,
    rules: Mapping[str, Any],
    *,
    what: str = "",
    detail: Any = None,
    asset: str | None = None,
    since: datetime | None = None,
    base: list[Any] | None = None,
    times: int = 1,
    together: Callable[[Any, Any], Any] | None = None,
) -> Span:
    """It is seen by this record: a span is open, or goes on. `asset` where that is not the record's own, `base` where
    another record tells the span from others, `rules` are the plan's, as its facts have them. `together`: what it waits
    for that was seen before asking for one `detail`, and is now for another; None: for the first."""
    of = asset if asset is not None else record["asset"]
    time = str(record["time"])
    span = standing(place, code, of)
    if span is None:
        severity = severity_of(code, rules.get("severity") or {})
        span = {
            "code": code,
            "asset": of,
            "base": _unused(place, code, of, base) or base_of(record),
            "seq": number_of(record),
            "ledger": ledger_of(record),
            "since": time if since is None else rfc3339(since),
            "opened": time,
            "times": 0,
            "severity": severity,
            "within": due_within(severity, rules.get("due") or {}),
            "pending": {},
            "retest": None,
            "unchecked": None,
        }
        place.spans.append(span)
    span["times"] += times
    span["last"] = time
    if since is not None:
        span["since"] = min(span["since"], rfc3339(since))
    if together is not None and what in span["pending"]:
        detail = together(span["pending"][what], detail)
        span["pending"][what] = detail
    span["pending"].setdefault(what, detail)
    return span


def _unused(place: Kept, code: str, asset: str | None, base: list[Any] | None) -> list[Any] | None:
    """No two spans are known by the same."""
    taken = any((one["code"], one["asset"], one["base"]) == (code, asset, base) for one in place.ended)
    return None if taken else base


def settled(
    place: Kept,
    code: str,
    record: Record,
    what: str | None = "",
    good: Callable[[Any], bool] = lambda _: True,
    *,
    asset: str | None = None,
) -> None:
    """This record took back `what` it waits for (None: all of it), where that is `good` enough for it."""
    if not place.spans:  # as a rule
        return
    span = standing(place, code, asset if asset is not None else record["asset"])
    if span is None:
        return
    wanted = list(span["pending"]) if what is None else [what]
    for one in wanted:
        if one in span["pending"]:
            if good(span["pending"][one]):
                del span["pending"][one]
            else:
                span["unchecked"] = [number_of(record), str(record["time"])]
    if not span["pending"]:
        end(place, span, record)


def end(place: Kept, span: Span, record: Record) -> None:
    span["retest"], span["unchecked"] = [number_of(record), str(record["time"])], None
    place.spans.remove(span)
    place.ended.append(span)


def reopened(place: Kept, span: Span) -> None:
    """It had not ended: what shows that was recorded after its end. Where one is open meanwhile, that goes on."""
    if standing(place, span["code"], span["asset"]) is None:
        place.ended.remove(span)
        place.spans.append(span | {"retest": None})


def forget_oldest(place: Kept) -> None:
    """Of those that ended: a report reads those of its period."""
    place.ended = place.ended[-MOST_ENDED:]


def forget_ended(place: Kept, before: datetime) -> None:
    """What ended before a time, no period that begins later asks for; up to `JOINED` later a record may go on with."""
    place.ended = [one for one in place.ended if utc(one["retest"][1]) >= before - JOINED]


# What people have said of deviations: who answers for one, why it came to be, what is done, what risk is accepted.
#
# Nothing is overwritten: what was said before stays, and the newest counts. Pure.

MOST = 500  # deviations of a plan that somebody said something of: the newest
MOST_SAID = 40  # of one, of each kind: the newest

_KEPT = (
    "seq", "time", "actor", "plan", "says", "about", "until", "words_sha256", "made", "nonce", "by",
)  # fmt: skip


def take_entry(entries: dict[str, Entry], record: Mapping[str, Any]) -> None:
    kind, about = kind_of(record), record["about"]
    name = str(about["deviation"])
    entry = entries.pop(name, None) or {"assigned": [], "cause": [], "action": [], "note": [], "accepted": []}
    entries[name] = entry
    said = [number_of(record), str(record["time"]), str(record["actor"])]
    if kind == ASSIGNED:
        due = record.get("until")
        _add(entry, "assigned", [*said, str(about["owner"]), None if due is None else str(due)])
    elif kind == ACCEPTED:
        _add(entry, "accepted", {key: record.get(key) for key in _KEPT})
    else:
        _add(entry, str(about["what"]), [*said, record.get("words_sha256")])
    while len(entries) > MOST:
        del entries[next(iter(entries))]


def _add(entry: Entry, key: str, said: Any) -> None:
    entry[key] = [*entry[key], said][-MOST_SAID:]
