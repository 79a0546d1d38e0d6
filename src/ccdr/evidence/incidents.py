"""Incidents as records tell of them: which are open, and what is to be notified by when. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.incident_entries import Entry
from ccdr.model.deadlines import Length, deadline
from ccdr.model.schema import zone_of
from ccdr.model.values import rfc3339, utc

NOTHING_TO_NOTIFY = frozenset(("rehearsal", "false_alarm"))
CAUSES = (
    "hardware", "software", "human_error", "loss_or_theft", "attack", "third_party", "disaster",
    "unknown", "rehearsal", "false_alarm",
)  # fmt: skip
# Clocks whose notification asks for other things than GDPR 33(3): it has a draft of its own.
OWN_DRAFTS = ("nis2-23-warning", "nis2-23", "nis2-23-interim", "nis2-23-final", "nis2-23-progress", "nis2-23-handled")
# … for which ccdr has none: no letter of GDPR 33 is about them.
NO_DRAFTS = ("hipaa-404", "hipaa-406", "hipaa-408", "hipaa-408-yearly", "hipaa-410")
AHEAD = timedelta(minutes=5)  # that the clock of who writes may be


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


def incident_of(plan: str, name: str, entry: Entry) -> Incident:
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
    )


def incidents_of(plan: str, entries: Mapping[str, Entry]) -> list[Incident]:
    """In the order in which they were opened."""
    there = (incident_of(plan, name, entry) for name, entry in entries.items())
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


def open_one(plan: str, entries: Mapping[str, Entry], tenants: Collection[str] = ()) -> Incident | None:
    """The newest open one that a recovery of these tenants' data belongs to. Not one that does not concern them; nor
    one of another kind of breach than a loss, of which everybody has been notified: they would not hear of this."""

    def belongs(one: Incident) -> bool:
        told = bool(one.duties) and not one.unsettled and "availability" not in one.kinds
        return one.open and not told and (not one.tenants or set(tenants) <= one.tenants.keys())

    return next((one for one in reversed(incidents_of(plan, entries)) if belongs(one)), None)


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
