"""What a deviation is: what opened it and when, what is to be done by when, what people have said of it, and what ended
it. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from msgspec import Struct, structs

from ccdr.evidence.deviations.wanted import ANY, Wanted, together
from ccdr.evidence.records.statements import (
    ACCEPT_FINDING,
    ASSIGN_FINDING,
    NOTE_FINDING,
    FindingRef,
    StatementRecord,
)
from ccdr.evidence.records.values import Record
from ccdr.evidence.whose import NOT_ASKED, Whose, whose
from ccdr.model.trouble import Severity, Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.deviation_rules import due_within, severity_of
from ccdr.plans.facts import DeviationFacts, PlanFacts

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


def identity(plan: str | None, asset: str | None, code: str, base: RecordIdentity) -> str:
    """Short, and the same whenever it is asked for: no two ledgers have a base in common."""
    parts = (plan or "", asset or "", code, str(base.seq), base.prev)
    return sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:LENGTH]


class Said(Struct, frozen=True):
    """What a person wrote, or decided: by which record. `words` is the digest by which the words are kept, apart."""

    record: int
    at: datetime
    actor: str
    words: str | None


class Assigned(Struct, frozen=True):
    """Who is to answer for it from then on, and by when it is to be over."""

    record: int
    at: datetime
    actor: str
    owner: str
    due: datetime | None


@dataclass(frozen=True)
class Acceptance:
    """The risk was accepted, as a record says. Whether its signature holds is asked again by whoever counts on it."""

    record: StatementRecord

    @property
    def number(self) -> int:
        return self.record.seq

    @property
    def at(self) -> datetime:
        return self.record.time

    @property
    def until(self) -> datetime:
        """Of whatever was signed, a year at most."""
        assert self.record.until is not None
        return ACCEPT_FINDING.end_of(self.record.until, self.at)

    @property
    def made(self) -> datetime:
        return self.record.made

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
    retest: RecordAt | None = None
    unchecked: RecordAt | None = None
    due_assigned: datetime | None = None
    assigned: tuple[Assigned, ...] = ()
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
        return self.retest.at if self.retest else None

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
                "reason_sha256": accepted.record.words_sha256,
            },
            "acceptances": [one.number for one in self.accepted],
            "acceptances_refused": list(self.refused),
        }


def _record(of: RecordAt | None) -> dict[str, object] | None:
    return None if of is None else {"record": of.record, "at": rfc3339(of.at)}


# What is kept of deviations as records come: those that are open, and those that ended. Pure.
#
# A span may wait for several things (`pending`): for a backup and a restore test that were both missed, for each
# check that a plan's new version dropped. It ends by the record that settles the last of them.

JOINED = timedelta(days=7)
MOST_ENDED = 50  # of an asset, the newest that a summary keeps: a report reads those of its period


class RecordIdentity(Struct, frozen=True):
    """What tells a record from all others: its number, and the hash of the one before it."""

    seq: int
    prev: str

    @classmethod
    def of(cls, record: Record) -> RecordIdentity:
        return cls(record.seq, record.prev)


class RecordAt(Struct, frozen=True):
    """A record, by its number, and when it was written."""

    record: int
    at: datetime


class DeviationSpan(Struct):
    """A deviation while it lasts. It may wait for several things (`pending`)."""

    code: str
    asset: str | None
    base: RecordIdentity
    seq: int | None
    ledger: str | None
    since: datetime
    opened: datetime
    last: datetime
    severity: Severity
    within: float
    times: int = 0
    pending: dict[str, Wanted] = {}
    retest: RecordAt | None = None
    unchecked: RecordAt | None = None


class Streak(Struct, frozen=True):
    """How often in a row it proved nothing, since when, and what all of these asked for."""

    count: int
    since: datetime
    asked: Wanted


class NewestStart(Struct, frozen=True):
    """The newest start of a kind."""

    run: str
    time: datetime
    base: RecordIdentity


class NewestPoint(Struct, frozen=True):
    """The newest point that an asset can be restored to, since when it can be, the base of the record that tells,
    whether its log leads on from there."""

    consistent: datetime
    usable: datetime
    base: RecordIdentity
    leads_on: bool = True


class SaidOfOne(Struct):
    """What people have said of one: nothing is overwritten, and the newest counts."""

    assigned: list[Assigned] = []
    cause: list[Said] = []
    action: list[Said] = []
    note: list[Said] = []
    accepted: list[StatementRecord] = []


class NamedOwner(Struct, frozen=True):
    """Whom a plan's version names, in force since then."""

    since: datetime
    owner: str | None


@dataclass(slots=True)
class Kept:
    """Of an asset, or of a plan's or the host's own."""

    spans: list[DeviationSpan] = field(default_factory=list)  # that are open …
    ended: list[DeviationSpan] = field(default_factory=list)  # … and those that ended, the newest last
    rows: dict[str, Streak] = field(default_factory=dict)  # by verb
    begun: dict[str, NewestStart] = field(default_factory=dict)  # by kind
    point: NewestPoint | None = None  # of an asset
    # Of a plan: facts of versions that spans are measured by, by the record's number.
    promised: dict[str, PlanFacts] = field(default_factory=dict)
    said: dict[str, SaidOfOne] = field(default_factory=dict)  # of a plan, by the deviation's id
    owners: list[NamedOwner] = field(default_factory=list)  # of a plan

    def owner_at(self, began: datetime) -> str | None:
        """Of what began then: whom the plan's version in force before it names; None where none does, or did then."""
        return next((one.owner for one in reversed(self.owners) if one.since < began), None)


def standing(place: Kept, code: str, asset: str | None) -> DeviationSpan | None:
    return next((one for one in place.spans if (one.code, one.asset) == (code, asset)), None)


def opened(
    place: Kept,
    code: str,
    record: Record,
    rules: DeviationFacts,
    *,
    what: str = "",
    wanted: Wanted = ANY,
    asset: str | None = None,
    since: datetime | None = None,
    base: RecordIdentity | None = None,
    times: int = 1,
) -> DeviationSpan:
    """It is seen by this record: a span is open, or goes on. `asset` where that is not the record's own, `base` where
    another record tells the span from others, `rules` are the plan's, as its facts have them. `wanted`: what takes it
    back, as far as it is `what`."""
    of = asset if asset is not None else record.asset
    span = standing(place, code, of)
    if span is None:
        severity = severity_of(code, rules.severity)
        span = DeviationSpan(
            code,
            of,
            _unused(place, code, of, base) or RecordIdentity.of(record),
            record.seq,
            record.of_ledger,
            record.time if since is None else since,
            record.time,
            record.time,
            severity,
            due_within(severity, rules.due),
            pending={},
        )
        place.spans.append(span)
    span.times += times
    span.last = record.time
    if since is not None:
        span.since = min(span.since, since)
    before = span.pending.get(what)
    span.pending[what] = wanted if before is None else together(before, wanted)
    return span


def _unused(place: Kept, code: str, asset: str | None, base: RecordIdentity | None) -> RecordIdentity | None:
    """No two spans are known by the same."""
    taken = any((one.code, one.asset, one.base) == (code, asset, base) for one in place.ended)
    return None if taken else base


def settled(
    place: Kept,
    code: str,
    record: Record,
    what: str | None = "",
    good: Callable[[Wanted], bool] = lambda _: True,
    *,
    asset: str | None = None,
) -> None:
    """This record took back `what` it waits for (None: all of it), where that is `good` enough for it."""
    if not place.spans:  # as a rule
        return
    span = standing(place, code, asset if asset is not None else record.asset)
    if span is None:
        return
    for one in list(span.pending) if what is None else [what]:
        if one in span.pending:
            if good(span.pending[one]):
                del span.pending[one]
            else:
                span.unchecked = RecordAt(record.seq, record.time)
    if not span.pending:
        end(place, span, record)


def end(place: Kept, span: DeviationSpan, record: Record) -> None:
    span.retest, span.unchecked = RecordAt(record.seq, record.time), None
    place.spans.remove(span)
    place.ended.append(span)


def reopened(place: Kept, span: DeviationSpan) -> None:
    """It had not ended: what shows that was recorded after its end. Where one is open meanwhile, that goes on."""
    if standing(place, span.code, span.asset) is None:
        place.ended.remove(span)
        place.spans.append(structs.replace(span, retest=None))


def forget_oldest(place: Kept) -> None:
    """Of those that ended: a report reads those of its period."""
    place.ended = place.ended[-MOST_ENDED:]


def forget_ended(place: Kept, before: datetime) -> None:
    """What ended before a time, no period that begins later asks for; up to `JOINED` later a record may go on with."""
    place.ended = [one for one in place.ended if one.retest and one.retest.at >= before - JOINED]


# What people have said of deviations: who answers for one, why it came to be, what is done, what risk is accepted.
#
# Nothing is overwritten: what was said before stays, and the newest counts. Pure.

MOST = 500  # deviations of a plan that somebody said something of: the newest
MOST_SAID = 40  # of one, of each kind: the newest


def take_entry(entries: dict[str, SaidOfOne], record: StatementRecord, about: FindingRef) -> None:
    entry = entries.pop(about.deviation, None) or SaidOfOne([], [], [], [], [])
    entries[about.deviation] = entry
    if record.row is ASSIGN_FINDING:
        one = Assigned(record.seq, record.time, record.actor, str(about.owner), record.until)
        entry.assigned = [*entry.assigned, one][-MOST_SAID:]
    elif record.row is ACCEPT_FINDING:
        entry.accepted = [*entry.accepted, record][-MOST_SAID:]
    else:
        said: list[Said] = getattr(entry, str(about.what))
        said.append(Said(record.seq, record.time, record.actor, record.words_sha256))
        del said[:-MOST_SAID]
    while len(entries) > MOST:
        del entries[next(iter(entries))]
