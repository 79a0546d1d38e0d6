"""Incidents as records tell of them: which are open, what is to be notified by when, what was filed, and what a risk
asks for (GDPR 33, 34). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.records.statements import (
    DECIDE_CLOSED,
    DECIDE_FILED,
    DECIDE_NOT_DUE,
    NOTE_INCIDENT,
    kind_of,
)
from ccdr.evidence.verdicts import Record
from ccdr.model.deadlines import Length, deadline
from ccdr.model.schema import zone_of
from ccdr.model.values import AHEAD, number_of, rfc3339, utc

# What is kept of incidents as their records come: what each has to notify and until when, what was filed, what it is
# closed by; and which recoveries have none. Pure.
#
# What an incident has to notify, and until when, stands in its own records: a file of clocks that was edited later
# changes nothing of it. Nothing is overwritten: an incident that was closed is open again by a record of its own.

OPENED, RECOVERY = "incident.opened", "incident.recovery"
NOTED, FILED, NOT_DUE, CLOSED = NOTE_INCIDENT.kind, DECIDE_FILED.kind, DECIDE_NOT_DUE.kind, DECIDE_CLOSED.kind
DECIDED = (FILED, NOT_DUE, CLOSED)
KINDS = frozenset((OPENED, RECOVERY, NOTED, *DECIDED))
MOST_CLOSED = 50  # of a plan, the newest that are kept: the register reads the ledger itself
MOST_WITHOUT = 50  # recoveries of a plan that no incident was opened for, the newest

# What a record says of a clock, beside its name.
STATED = ("law", "to", "due", "after", "year_end", "within_s", "days", "months", "before_s")

Entry = dict[str, Any]


# --- the fold: what is kept of each ----------------------------------------------------------------------------------


def take_incident(entries: dict[str, Entry], record: Record) -> None:
    """Take one record. What belongs to an incident that nobody opened tells nothing."""
    kind, of, seq = kind_of(record), record.get("about", record), int(number_of(record))
    name = str(of["incident"])
    if kind == OPENED:
        before = entries.pop(name, None)
        entries[name] = _opened(record, seq, before)
        _forget_oldest(entries)
        return
    if (entry := entries.get(name)) is None:
        return
    entry["records"].append(seq)
    if kind in DECIDED:
        entry["decided_by"] = str(record["actor"])
    if kind == RECOVERY:
        entry["runs"] = _with(entry["runs"], record)
    elif kind == NOTED:
        _note(entry, of, seq)
    elif kind == FILED:
        _file(entry, record, seq)
    elif kind == NOT_DUE:
        for clock in of["clocks"]:
            _settle(entry, clock, seq, of.get("for_tenant"))
    else:
        for clock in of.get("not_due") or ():
            _settle(entry, clock, seq)
        entry["closed"] = {"seq": seq, "time": str(record["time"]), "cause": of["cause"]}


def _opened(record: Record, seq: int, before: Entry | None) -> Entry:
    if before is not None:  # open once more: what was filed stays filed, what the closing alone had settled is due
        runs, records = _with(before["runs"], record), [*before["records"], seq]
        return {**_without_closing(before, record.get("reopens")), "runs": runs, "records": records}
    tenants = {str(one["tenant"]): list(one["assets"]) for one in record.get("tenants") or ()}
    several = list(tenants) if record.get("role") == "processor" and len(tenants) > 1 else []
    clocks = {str(one["clock"]): _clock(one, several) for one in record.get("clocks") or ()}
    keys = ("by", "kinds", "aware_at", "role", "timezone", "actor", "host", "tenant", "boot", "elapsed_s", "why_sha256")
    opened = {key: record.get(key) for key in keys}
    runs, time = _with([], record), str(record["time"])
    # A recovery tells that something was away; what else was breached a person states.
    stated = seq if record["by"] == "person" else None
    more = {"tenants": tenants, "several": several, "runs": runs, "records": [seq], "kinds_in": stated}
    return {**opened, "time": time, "clocks": clocks, **more, "risk": None, "closed": None, "decided_by": None}


def _clock(stated: Mapping[str, Any], several: Sequence[str]) -> Entry:
    """`each`: where several controllers are to be told, how it stands with each of them."""
    each = several if stated.get("to") == "customers" else ()
    open_: Entry = {"filed": None, "not_due": None}
    return {**{key: stated.get(key) for key in STATED}, **open_, "each": {tenant: dict(open_) for tenant in each}}


def _without_closing(entry: Entry, closing: object) -> Entry:
    clocks = {name: _unsettled(one, closing) for name, one in entry["clocks"].items()}
    return {**entry, "closed": None, "clocks": clocks}


def _unsettled(clock: Entry, closing: object) -> Entry:
    """Without what this closing alone has settled."""
    each = {tenant: _unsettled(one, closing) for tenant, one in clock["each"].items()} if clock.get("each") else {}
    again = {**clock, "not_due": None} if clock["not_due"] == closing else clock
    return {**again, "each": each} if each else again


def _with(runs: list[str], record: Record) -> list[str]:
    run = record.get("recovery")
    return [*runs, str(run)] if run is not None and run not in runs else runs


def _note(entry: Entry, of: Mapping[str, Any], seq: int) -> None:
    entry["risk"] = of.get("risk") or entry["risk"]
    if of.get("kinds"):
        entry["kinds"], entry["kinds_in"] = of["kinds"], seq
    for one in of.get("clocks") or ():
        there, again = entry["clocks"].get(one["clock"]), _clock(one, entry["several"])
        if there is None:
            entry["clocks"][str(one["clock"])] = again
        elif not _filed_with_all(there):
            told = {tenant: how for tenant, how in there["each"].items() if how["filed"]}
            more = {"not_due": None, "each": again["each"] | told, "due": _no_later(there["due"], again["due"])}
            entry["clocks"][str(one["clock"])] = there | more | {"after": there["after"] or again["after"]}


def _no_later(due: str | None, said: str | None) -> str | None:
    """Nobody gets more time of a clock that counts: it may follow another from now on, which moves it once filed."""
    return said if due and said and utc(said) < utc(due) else due


def _filed_with_all(clock: Entry) -> bool:
    """With each of several controllers, where there are some."""
    return bool(clock["filed"]) and all(how["filed"] for how in clock["each"].values())


def _settle(entry: Entry, clock: str, seq: int, tenant: str | None = None) -> None:
    """Of one of several controllers, or of all that were not told and of whom nobody has said it before."""
    if (one := entry["clocks"].get(clock)) is None:
        return
    for name, how in one["each"].items():
        if not how["filed"] and (tenant == name or (tenant is None and how["not_due"] is None)):
            how["not_due"] = seq
    if one["each"]:
        _sum_up(one)
    elif not one["filed"]:
        one["not_due"] = seq


def _sum_up(clock: Entry) -> None:
    """Of several controllers: once it is settled with each, it is settled; filed, where any was told."""
    each = list(clock["each"].values())
    if all(how["filed"] or how["not_due"] for how in each):
        filed = [how["filed"] for how in each if how["filed"]]
        clock["filed"] = max(filed, key=lambda one: int(one["seq"]), default=None)
        clock["not_due"] = None if filed else max(how["not_due"] for how in each)


def _file(entry: Entry, record: Record, seq: int) -> None:
    of = record["about"]
    whole, tenant = entry["clocks"].get(of["clock"]), of.get("for_tenant")
    # Where a reopening told of no controllers, what is filed for one of them settles the whole.
    one = whole["each"].get(tenant) if whole is not None and whole["each"] and tenant is not None else whole
    at = str(of["filed_at"])
    could_be = utc(entry["aware_at"]) <= utc(at) <= utc(record["time"]) + AHEAD
    if could_be and one is not None and not one["filed"]:  # in phases (GDPR 33(4)) it was filed with the first
        one["filed"] = {"seq": seq, "at": at, "receipt": str(record["files"][0])}
        one["not_due"] = None
        for later in entry["clocks"].values():
            if later["after"] == of["clock"]:
                later["due"] = rfc3339(_after(utc(at), later, str(entry["timezone"] or "UTC")))
    if whole is not None and whole is not one:
        _sum_up(whole)


def _forget_oldest(entries: dict[str, Entry]) -> None:
    closed = [name for name, entry in entries.items() if entry["closed"]]
    for name in closed[: max(0, len(closed) - MOST_CLOSED)]:
        del entries[name]


# --- recoveries, each of which is to have one ------------------------------------------------------------------------

Without = list[list[Any]]  # of each: its run, the record of its start, when that was, the record's kind


def take_recovery(without: Without, entries: Mapping[str, Entry], record: Record) -> Without:
    """A recovery has begun: until an incident tells of its run it is without one."""
    run, number = str(record["run"]), int(number_of(record))
    if any(run in entry["runs"] for entry in entries.values()):
        return without
    return [*without, [run, number, str(record["time"]), str(record["kind"])]][-MOST_WITHOUT:]


def told_of(without: Without, run: object) -> Without:
    """An incident tells of this run; or nothing was done in it."""
    return [one for one in without if one[0] != run]


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
    if entry["closed"] and utc(entry["closed"]["time"]) > now + AHEAD:
        entry = _without_closing(entry, entry["closed"]["seq"])
    closed = entry["closed"] or {}
    return Incident(
        name,
        plan,
        str(entry["tenant"] or "default"),
        str(entry["by"]),
        tuple(entry["kinds"]),
        utc(entry["aware_at"]),
        utc(entry["time"]),
        str(entry["actor"]),
        str(entry["host"]),
        str(entry["role"]),
        tuple(_duties(entry)),
        tuple(entry["runs"]),
        tuple(entry["records"]),
        closed.get("seq"),
        utc(closed["time"]) if closed else None,
        closed.get("cause"),
        entry["why_sha256"],
        entry["tenants"],
        entry["risk"],
        entry["kinds_in"],
        entry["decided_by"],
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


def due_of(clocks: Mapping[str, Entry], name: str, aware: datetime, zone: str) -> datetime:
    """When a clock is due; of one that is counted from another's filing by when that is due, where it is among these
    and not filed yet."""
    one, seen = clocks[name], {name}
    chain = [one]
    while chain[-1]["due"] is None and (after := chain[-1]["after"]) in clocks and after not in seen:
        seen.add(str(after))
        chain.append(clocks[str(after)])
    first = chain.pop()
    at = utc(first["due"]) if first["due"] is not None else _after(aware, first, zone)
    for later in reversed(chain):
        at = _after(at, later, zone)
    return at


def _after(start: datetime, clock: Entry, zone: str) -> datetime:
    length = Length(float(clock["within_s"] or 0), int(clock["months"] or 0), bool(clock["days"]))
    return deadline(start, length, zone_of(zone))


def _duties(entry: Entry) -> Iterator[Duty]:
    clocks, aware = entry["clocks"], utc(entry["aware_at"])
    for name, one in clocks.items():
        due = due_of(clocks, name, aware, str(entry["timezone"] or "UTC"))
        receivers: Mapping[str | None, Entry] = one["each"] or {None: one}
        for tenant, how in receivers.items():
            filed = how["filed"] or {}
            said = how["not_due"] if tenant is not None else None
            yield Duty(
                name,
                str(one["law"]),
                str(one["to"]),
                due,
                timedelta(seconds=float(one["before_s"] or 0)),
                utc(filed["at"]) if filed else None,
                filed.get("seq"),
                filed.get("receipt"),
                None if filed else said or _not_due(clocks, name),
                tenant,
            )


def _not_due(clocks: Mapping[str, Entry], name: str) -> int | None:
    """The record that says so, of it or of what it follows: without that one there is nothing to follow."""
    seen: set[str] = set()
    at: Any = name
    while at in clocks and at not in seen:
        seen.add(at)
        if clocks[at]["not_due"] is not None:
            return int(clocks[at]["not_due"])
        at = clocks[at]["after"]
    return None


def no_earlier(entry: Entry, now: datetime, elapsed: float, boot: str | None) -> datetime:
    """`now`, or what this machine's clock that nobody sets says that it is at least, where the incident was opened
    since it started: a clock that was set back gives nobody more time."""
    began = entry["elapsed_s"]
    if boot is None or entry["boot"] != boot or began is None or elapsed < began:
        return now
    return max(now, utc(entry["time"]) + timedelta(seconds=elapsed - began))


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
