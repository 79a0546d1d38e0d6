"""Incidents as records tell of them: which are open, what is to be notified by when, what was filed, and what a risk
asks for (GDPR 33, 34). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from msgspec import Struct, structs

from ccdr.evidence.records import IncidentOpened, IncidentRecovery, StatementRecord
from ccdr.evidence.records.incidents import RecordedClock
from ccdr.evidence.records.statements import (
    DECIDE_CLOSED,
    DECIDE_FILED,
    DECIDE_NOT_DUE,
    NOTE_INCIDENT,
    ClosedIncident,
    FiledNotification,
    NotDue,
    NotedIncident,
)
from ccdr.evidence.records.values import Start
from ccdr.model.deadlines import Length, deadline
from ccdr.model.schema import zone_of
from ccdr.model.values import AHEAD, rfc3339

# What is kept of incidents as their records come: what each has to notify and until when, what was filed, what it is
# closed by; and which recoveries have none. Pure.
#
# What an incident has to notify, and until when, stands in its own records: a file of clocks that was edited later
# changes nothing of it. Nothing is overwritten: an incident that was closed is open again by a record of its own.

NOTED, FILED, NOT_DUE, CLOSED = NOTE_INCIDENT.kind, DECIDE_FILED.kind, DECIDE_NOT_DUE.kind, DECIDE_CLOSED.kind
OPENED, RECOVERY = "incident.opened", "incident.recovery"
DECIDED = (FILED, NOT_DUE, CLOSED)
KINDS = frozenset((OPENED, RECOVERY, NOTED, *DECIDED))
MOST_CLOSED = 50  # of a plan, the newest that are kept: the register reads the ledger itself
MOST_WITHOUT = 50  # recoveries of a plan that no incident was opened for, the newest
OfIncident = IncidentOpened | IncidentRecovery | StatementRecord  # what tells of one


class Filing(Struct, frozen=True):
    """That it was filed: by which record, when, and the receipt's digest."""

    seq: int
    at: datetime
    receipt: str


class Settled(Struct):
    """How it stands with one receiver: filed, or not due, by the record that says so."""

    filed: Filing | None = None
    not_due: int | None = None

    @property
    def settled(self) -> bool:
        return self.filed is not None or self.not_due is not None


class ClockEntry(Settled, kw_only=True):
    """A clock, as a record states it. `each`: where several controllers are to be told, how it stands with each."""

    stated: RecordedClock
    due: datetime | None
    after: str | None
    each: dict[str, Settled]


class Closing(Struct, frozen=True):
    seq: int
    time: datetime
    cause: str


class Entry(Struct):
    """An incident, as its records tell of it so far."""

    opened: IncidentOpened
    clocks: dict[str, ClockEntry]
    several: list[str]  # controllers that are each to be told
    runs: list[str]
    records: list[int]
    kinds: list[str]
    kinds_in: int | None  # the record in which a person stated what was breached
    risk: str | None = None
    closed: Closing | None = None
    decided_by: str | None = None


# --- the fold: what is kept of each ----------------------------------------------------------------------------------


def take_incident(entries: dict[str, Entry], record: OfIncident) -> None:
    """Take one record. What belongs to an incident that nobody opened tells nothing."""
    of = record.about if isinstance(record, StatementRecord) else record
    if isinstance(record, IncidentOpened):
        before = entries.pop(record.incident, None)
        entries[record.incident] = _opened(record) if before is None else _reopened(before, record)
        _forget_oldest(entries)
        return
    if (entry := entries.get(name_in(record))) is None:
        return
    entry.records.append(record.seq)
    match of:
        case IncidentRecovery():
            entry.runs = _with(entry.runs, of.recovery)
        case NotedIncident():
            _note(entry, of, record.seq)
        case FiledNotification():
            assert isinstance(record, StatementRecord)
            entry.decided_by = record.actor
            _file(entry, record, of)
        case NotDue():
            entry.decided_by = record.actor
            for clock in of.clocks:
                _settle(entry, clock, record.seq, of.for_tenant)
        case ClosedIncident():
            entry.decided_by = record.actor
            for clock in of.not_due:
                _settle(entry, clock, record.seq)
            entry.closed = Closing(record.seq, record.time, of.cause)


def name_in(record: OfIncident) -> str:
    """Of which incident it tells."""
    of = record.about if isinstance(record, StatementRecord) else record
    assert isinstance(
        of, IncidentOpened | IncidentRecovery | NotedIncident | FiledNotification | NotDue | ClosedIncident
    )
    return of.incident


def _opened(record: IncidentOpened) -> Entry:
    several = [one.tenant for one in record.tenants] if record.role == "processor" and len(record.tenants) > 1 else []
    clocks = {one.clock: clock_entry(one, several) for one in record.clocks}
    # A recovery tells that something was away; what else was breached a person states.
    stated = record.seq if record.by == "person" else None
    return Entry(record, clocks, several, _with([], record.recovery), [record.seq], [*record.kinds], stated)


def _reopened(before: Entry, record: IncidentOpened) -> Entry:
    """Open once more: what was filed stays filed, what the closing alone had settled is due."""
    entry = _without_closing(before, record.reopens)
    return structs.replace(entry, runs=_with(before.runs, record.recovery), records=[*before.records, record.seq])


def clock_entry(stated: RecordedClock, several: Sequence[str] = ()) -> ClockEntry:
    each = several if stated.to == "customers" else ()
    return ClockEntry(
        stated=stated, due=stated.due, after=stated.after, each={tenant: Settled(None, None) for tenant in each}
    )


def _without_closing(entry: Entry, closing: int | None) -> Entry:
    clocks = {name: _unsettled(one, closing) for name, one in entry.clocks.items()}
    return structs.replace(entry, closed=None, clocks=clocks)


def _unsettled(clock: ClockEntry, closing: int | None) -> ClockEntry:
    """Without what this closing alone has settled."""

    def left(one: Settled) -> int | None:
        return None if one.not_due == closing else one.not_due

    each = {tenant: Settled(one.filed, left(one)) for tenant, one in clock.each.items()}
    return structs.replace(clock, not_due=left(clock), each=each)


def _with(runs: list[str], run: str | None) -> list[str]:
    return [*runs, run] if run is not None and run not in runs else runs


def _note(entry: Entry, of: NotedIncident, seq: int) -> None:
    entry.risk = of.risk or entry.risk
    if of.kinds:
        entry.kinds, entry.kinds_in = [*of.kinds], seq
    for one in of.clocks:
        there, again = entry.clocks.get(one.clock), clock_entry(one, entry.several)
        if there is None:
            entry.clocks[one.clock] = again
        elif not _filed_with_all(there):
            told = {tenant: how for tenant, how in there.each.items() if how.filed}
            there.not_due, there.each = None, again.each | told
            there.due, there.after = _no_later(there.due, again.due), there.after or again.after


def _no_later(due: datetime | None, said: datetime | None) -> datetime | None:
    """Nobody gets more time of a clock that counts: it may follow another from now on, which moves it once filed."""
    return said if due and said and said < due else due


def _filed_with_all(clock: ClockEntry) -> bool:
    """With each of several controllers, where there are some."""
    return bool(clock.filed) and all(how.filed for how in clock.each.values())


def _settle(entry: Entry, clock: str, seq: int, tenant: str | None = None) -> None:
    """Of one of several controllers, or of all that were not told and of whom nobody has said it before."""
    if (one := entry.clocks.get(clock)) is None:
        return
    for name, how in one.each.items():
        if not how.filed and (tenant == name or (tenant is None and how.not_due is None)):
            how.not_due = seq
    if one.each:
        _sum_up(one)
    elif not one.filed:
        one.not_due = seq


def _sum_up(clock: ClockEntry) -> None:
    """Of several controllers: once it is settled with each, it is settled; filed, where any was told."""
    each = list(clock.each.values())
    if all(how.settled for how in each):
        filed = [how.filed for how in each if how.filed]
        clock.filed = max(filed, key=lambda one: one.seq, default=None)
        clock.not_due = None if filed else max(how.not_due or 0 for how in each)


def _file(entry: Entry, record: StatementRecord, of: FiledNotification) -> None:
    whole = entry.clocks.get(of.clock)
    one: Settled | None = whole
    if whole is not None and whole.each and of.for_tenant is not None:
        one = whole.each.get(of.for_tenant)  # else a reopening told of no controllers: it settles the whole
    could_be = entry.opened.aware_at <= of.filed_at <= record.time + AHEAD
    if could_be and one is not None and not one.filed:  # in phases (GDPR 33(4)) it was filed with the first
        one.filed, one.not_due = Filing(record.seq, of.filed_at, record.files[0]), None
        for later in entry.clocks.values():
            if later.after == of.clock:
                later.due = due_after(of.filed_at, later.stated, entry.opened.timezone)
    if whole is not None and whole is not one:
        _sum_up(whole)


def _forget_oldest(entries: dict[str, Entry]) -> None:
    closed = [name for name, entry in entries.items() if entry.closed]
    for name in closed[: max(0, len(closed) - MOST_CLOSED)]:
        del entries[name]


# --- recoveries, each of which is to have one ------------------------------------------------------------------------


class WithoutIncident(Struct, frozen=True):
    """A recovery that no incident tells of: its run, and the record of its start."""

    run: str
    seq: int
    time: datetime
    kind: str


Without = list[WithoutIncident]


def take_recovery(without: Without, entries: Mapping[str, Entry], record: Start) -> Without:
    """A recovery has begun: until an incident tells of its run it is without one."""
    run = str(record.run)
    if any(run in entry.runs for entry in entries.values()):
        return without
    return [*without, WithoutIncident(run, record.seq, record.time, record.kind)][-MOST_WITHOUT:]


def told_of(without: Without, run: str | None) -> Without:
    """An incident tells of this run; or nothing was done in it."""
    return [one for one in without if one.run != run]


NOTHING_TO_NOTIFY = frozenset(("rehearsal", "false_alarm"))
CAUSES = (
    "hardware", "software", "human_error", "loss_or_theft", "attack", "third_party", "disaster",
    "unknown", "rehearsal", "false_alarm",
)  # fmt: skip
# Clocks whose notification asks for other things than GDPR 33(3): it has a draft of its own.
OWN_DRAFTS = ("nis2-23-warning", "nis2-23", "nis2-23-interim", "nis2-23-final", "nis2-23-progress", "nis2-23-handled")
# … for which ccdr has none: no letter of GDPR 33 is about them.
NO_DRAFTS = ("hipaa-404", "hipaa-406", "hipaa-408", "hipaa-408-yearly", "hipaa-410")


@dataclass(frozen=True)
class Duty:
    """One notification of an incident. `due` of one that is counted from another's filing is by when that is due, until
    that was filed."""

    clock: str
    law: str
    to: str
    due: datetime
    before: timedelta
    filed_at: datetime | None = None
    filed_in: int | None = None  # the record
    receipt: str | None = None
    not_due_by: int | None = None  # the record in which somebody said that nothing is to be notified
    tenant: str | None = None  # which of several controllers is to be told

    @property
    def facts_to(self) -> str:
        """Whose draft has the facts that it tells: the media are told what the persons are (45 CFR 164.406(c))."""
        return "customers" if self.to == "media" else self.to

    @property
    def settled(self) -> bool:
        return self.filed_in is not None or self.not_due_by is not None

    @property
    def late(self) -> bool:
        """Was it filed, and too late?"""
        return self.filed_at is not None and self.filed_at > self.due

    def overdue(self, now: datetime) -> bool:
        return not self.settled and now > self.due

    def soon(self, now: datetime) -> bool:
        return not self.settled and self.due - self.before <= now <= self.due

    def as_json(self) -> dict[str, object]:
        return {
            "clock": self.clock,
            "law": self.law,
            "to": self.to,
            "due": rfc3339(self.due),
            "filed_at": self.filed_at and rfc3339(self.filed_at),
            "receipt_sha256": self.receipt,
            "filed_record": self.filed_in,
            "not_due_record": self.not_due_by,
            "tenant": self.tenant,
        }


@dataclass(frozen=True)
class Incident:
    """One, as its records tell of it so far. `runs` are the recoveries that belong to it, `records` all of its own."""

    name: str
    plan: str
    tenant: str
    by: str
    kinds: tuple[str, ...]
    aware_at: datetime
    opened_at: datetime
    actor: str
    host: str
    role: str
    duties: tuple[Duty, ...]
    runs: tuple[str, ...]
    records: tuple[int, ...]
    closed: int | None = None
    closed_at: datetime | None = None
    cause: str | None = None
    why: str | None = None  # the digest by which the words are kept, apart
    tenants: Mapping[str, Sequence[str]] = field(default_factory=dict)  # whose data it concerns, and the assets
    risk: str | None = None  # as a person said last: unlikely, risk or high
    kinds_in: int | None = None  # the record in which a person stated what was breached; None: a recovery assumed it
    decided_by: str | None = None  # who said last that something was filed, is not due, or is over

    @property
    def open(self) -> bool:
        return self.closed is None

    @property
    def next_due(self) -> Duty | None:
        """What is to be notified first, of what nobody has filed yet."""
        return min((one for one in self.duties if not one.settled), key=lambda one: one.due, default=None)

    @property
    def unsettled(self) -> list[str]:
        return list(dict.fromkeys(one.clock for one in self.duties if not one.settled))

    def several(self, clock: str) -> list[str]:
        """The controllers that are to be told by it, each by themselves; none where it is one receiver."""
        return [one.tenant for one in self.duties if one.clock == clock and one.tenant is not None]

    @property
    def controllers(self) -> list[str]:
        """Of a processor that works for several: each is told of their own data."""
        return list(self.tenants) if self.role == "processor" and len(self.tenants) > 1 else []

    def as_json(self) -> dict[str, object]:
        due = self.next_due if self.open else None
        return {
            "incident": self.name,
            "plan": self.plan,
            "tenant": self.tenant,
            "tenants": [{"tenant": name, "assets": list(assets)} for name, assets in self.tenants.items()],
            "state": "open" if self.open else "closed",
            "opened_by": self.by,
            "kinds": list(self.kinds),
            "aware_at": rfc3339(self.aware_at),
            "opened_at": rfc3339(self.opened_at),
            "actor": self.actor,
            "host": self.host,
            "role": self.role,
            "next_due": due and due.as_json(),
            "duties": [one.as_json() for one in self.duties],
            "recoveries": list(self.runs),
            "closed_at": self.closed_at and rfc3339(self.closed_at),
            "cause": self.cause,
            "records": list(self.records),
        }


def incident_of(plan: str, name: str, entry: Entry, now: datetime) -> Incident:
    """As it stands now: a closing that is dated ahead closes nothing yet."""
    if entry.closed and entry.closed.time > now + AHEAD:
        entry = _without_closing(entry, entry.closed.seq)
    opened, closed = entry.opened, entry.closed
    return Incident(
        name,
        plan,
        opened.tenant,
        opened.by,
        tuple(entry.kinds),
        opened.aware_at,
        opened.time,
        opened.actor,
        opened.host,
        opened.role,
        tuple(_duties(entry)),
        tuple(entry.runs),
        tuple(entry.records),
        closed.seq if closed else None,
        closed.time if closed else None,
        closed.cause if closed else None,
        opened.why_sha256,
        {one.tenant: one.assets for one in opened.tenants},
        entry.risk,
        entry.kinds_in,
        entry.decided_by,
    )


def incidents_of(plan: str, entries: Mapping[str, Entry], now: datetime) -> list[Incident]:
    """In the order in which they were opened."""
    there = (incident_of(plan, name, entry, now) for name, entry in entries.items())
    return sorted(there, key=lambda one: one.records[0])


def same_receipts(there: Iterable[Incident]) -> dict[str, list[str]]:
    """By the digest of a receipt that stands for several filings: for which. A receipt belongs to one."""
    of: dict[str, list[str]] = {}
    for one in there:
        for duty in one.duties:
            if duty.receipt is not None:
                whom = f" to {duty.tenant}" if duty.tenant else ""
                of.setdefault(duty.receipt, []).append(f"{duty.clock} of {one.name}{whom}")
    return {receipt: filings for receipt, filings in of.items() if len(filings) > 1}


def open_one(plan: str, entries: Mapping[str, Entry], now: datetime, tenants: Collection[str] = ()) -> Incident | None:
    """The newest open one that a recovery of these tenants' data belongs to. Not one that does not concern them; nor
    one of another kind of breach than a loss, of which everybody has been notified: they would not hear of this."""

    def belongs(one: Incident) -> bool:
        told = bool(one.duties) and not one.unsettled and "availability" not in one.kinds
        return one.open and not told and (not one.tenants or set(tenants) <= one.tenants.keys())

    return next((one for one in reversed(incidents_of(plan, entries, now)) if belongs(one)), None)


def due_of(clocks: Mapping[str, ClockEntry], name: str, aware: datetime, zone: str) -> datetime:
    """When a clock is due; of one that is counted from another's filing by when that is due, where it is among these
    and not filed yet."""
    one, seen = clocks[name], {name}
    chain = [one]
    while chain[-1].due is None and (after := chain[-1].after) in clocks and after not in seen:
        seen.add(str(after))
        chain.append(clocks[str(after)])
    first = chain.pop()
    at = first.due if first.due is not None else due_after(aware, first.stated, zone)
    for later in reversed(chain):
        at = due_after(at, later.stated, zone)
    return at


def _zone_or_utc(zone: str) -> tzinfo:
    try:
        return zone_of(zone)
    except ValueError:
        return UTC


def due_after(start: datetime, clock: RecordedClock, zone: str) -> datetime:
    """When it is due, counted from then. Where this machine lacks the zone, by UTC; what is further than there are days
    is due at once."""
    try:
        return deadline(start, Length(clock.within_s, clock.months, clock.days), _zone_or_utc(zone))
    except (ValueError, OverflowError):
        return start


def _duties(entry: Entry) -> Iterator[Duty]:
    clocks, opened = entry.clocks, entry.opened
    for name, one in clocks.items():
        due = due_of(clocks, name, opened.aware_at, opened.timezone)
        receivers: list[tuple[str | None, Settled]] = [*one.each.items()] or [(None, one)]
        for tenant, how in receivers:
            filed, said = how.filed, how.not_due if tenant is not None else None
            yield Duty(
                name,
                one.stated.law,
                one.stated.to,
                due,
                timedelta(seconds=one.stated.before_s),
                filed.at if filed else None,
                filed.seq if filed else None,
                filed.receipt if filed else None,
                None if filed else said or _not_due(clocks, name),
                tenant,
            )


def _not_due(clocks: Mapping[str, ClockEntry], name: str | None) -> int | None:
    """The record that says so, of it or of what it follows: without that one there is nothing to follow."""
    seen: set[str] = set()
    while name is not None and name in clocks and name not in seen:
        seen.add(name)
        if clocks[name].not_due is not None:
            return clocks[name].not_due
        name = clocks[name].after
    return None


def no_earlier(entry: Entry, now: datetime, elapsed: float, boot: str | None) -> datetime:
    """`now`, or what this machine's clock that nobody sets says that it is at least, where the incident was opened
    since it started: a clock that was set back gives nobody more time."""
    opened = entry.opened
    if boot is None or opened.boot != boot or elapsed < opened.elapsed_s:
        return now
    return max(now, opened.time + timedelta(seconds=elapsed - opened.elapsed_s))


# What a risk that a person noted asks for, by GDPR 33(1) and 34(1), and what stands against it. Pure.
#
# It is the controller who notifies, and only an incident that has clocks of GDPR: what a law of another country asks
# for does not follow from this risk.

AUTHORITY, PERSONS = "gdpr-33", "gdpr-34"
AT_RISK = frozenset(("risk", "high"))


@dataclass(frozen=True)
class Unmet:
    """What does not fit the risk, or was only closed: what it is, and the command that mends it."""

    text: str
    step: str


def asked_by(incident: Incident, risk: str | None) -> tuple[str, ...]:
    """The clocks that have to count where it is such a risk."""
    own = {duty.clock for duty in incident.duties}
    if incident.role != "controller" or not own & {AUTHORITY, PERSONS} or risk not in AT_RISK:
        return ()
    return (*((AUTHORITY,) if AUTHORITY in own else ()), *((PERSONS,) if risk == "high" else ()))


def begun_by(incident: Incident, risk: str | None) -> list[str]:
    """Those that count from now on, where a person notes such a risk: they did not yet, or somebody said that they are
    not due of a lesser risk. GDPR 34(3) allows that the persons are not told of a high one."""
    counting = {duty.clock for duty in incident.duties if duty.filed_in is not None or duty.not_due_by is None}
    said = {duty.clock for duty in incident.duties if duty.not_due_by is not None}
    holds = counting | (said & {PERSONS} if incident.risk == "high" else set())
    return [clock for clock in asked_by(incident, risk) if clock not in holds]


def contradicted(incident: Incident, risk: str | None, clock: str) -> bool:
    """Is that nothing is due by this clock against the risk?"""
    return clock == AUTHORITY and clock in asked_by(incident, risk)


def unmet(incident: Incident) -> Iterator[Unmet]:
    """Of an incident as its records tell of it."""
    name, risk = incident.name, incident.risk
    again = "" if incident.open else f'ccdr incident reopen {name} --why "…"; '
    for clock in begun_by(incident, risk):
        text = f"{name}: the risk was noted as {risk}, and nothing is to be notified by {clock}, as it stands"
        yield Unmet(text, f"{again}ccdr incident note {name} --clock {clock}   lets it count")
    if incident.cause in NOTHING_TO_NOTIFY:
        return  # that says why none was due
    for duty in incident.duties:
        if not incident.open and not duty.settled:
            text = f"{name} is closed, and nobody has recorded that {duty.clock} was filed"
            yield Unmet(text, f"{again}ccdr incident note {name} --filed {duty.clock} --receipt FILE")
        elif duty.not_due_by == incident.closed and (at := incident.closed_at) is not None and at > duty.due:
            text = f"{name} was closed when {duty.clock} was overdue: nobody has filed it, or said why none was due"
            yield Unmet(text, f'{again}ccdr incident note {name} --not-due {duty.clock} --text "…"   or --filed')
