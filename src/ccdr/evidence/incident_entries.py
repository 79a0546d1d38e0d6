"""What is kept of incidents as their records come: what each has to notify and until when, what was filed, what it is
closed by; and which recoveries have none. Pure.

What an incident has to notify, and until when, stands in its own records: a file of clocks that was edited later
changes nothing of it. Nothing is overwritten: an incident that was closed is open again by a record of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ccdr.evidence.verdicts import Record
from ccdr.model.values import number_of

OPENED, NOTED, FILED, CLOSED = "incident.opened", "incident.noted", "incident.filed", "incident.closed"
KINDS = frozenset((OPENED, NOTED, FILED, CLOSED))
MOST_CLOSED = 50  # of a plan, the newest that are kept: the register reads the ledger itself
MOST_WITHOUT = 50  # recoveries of a plan that no incident was opened for, the newest

# What a record says of a clock, beside its name.
STATED = ("law", "to", "due", "after", "year_end", "within_s", "days", "months", "before_s")

Entry = dict[str, Any]


# --- the fold: what is kept of each ----------------------------------------------------------------------------------


def take_incident(entries: dict[str, Entry], record: Record) -> None:
    """Take one record. What belongs to an incident that nobody opened tells nothing."""
    kind, name, seq = record["kind"], str(record["incident"]), int(number_of(record))
    if kind == OPENED:
        before = entries.pop(name, None)
        entries[name] = _opened(record, seq, before)
        _forget_oldest(entries)
        return
    if (entry := entries.get(name)) is None:
        return
    entry["records"].append(seq)
    if kind == NOTED:
        _note(entry, record, seq)
    elif kind == FILED:
        _file(entry, record, seq)
    else:
        for clock in record.get("not_due") or ():
            _settle(entry, clock, seq)
        entry["closed"] = {"seq": seq, "time": str(record["time"]), "cause": record["cause"]}


def _opened(record: Record, seq: int, before: Entry | None) -> Entry:
    if before is not None:  # open once more: what was filed stays filed, what the closing alone had settled is due
        closing = record.get("reopens")
        clocks = {name: _unsettled(one, closing) for name, one in before["clocks"].items()}
        runs, records = _with(before["runs"], record), [*before["records"], seq]
        return {**before, "closed": None, "clocks": clocks, "runs": runs, "records": records}
    tenants = {str(one["tenant"]): list(one["assets"]) for one in record.get("tenants") or ()}
    several = list(tenants) if record.get("role") == "processor" and len(tenants) > 1 else []
    clocks = {str(one["clock"]): _clock(one, several) for one in record.get("clocks") or ()}
    keys = ("by", "kinds", "aware_at", "role", "timezone", "actor", "host", "tenant", "boot", "elapsed_s", "why_sha256")
    opened = {key: record.get(key) for key in keys}
    runs, time = _with([], record), str(record["time"])
    # A recovery tells that something was away; what else was breached a person states.
    stated = seq if record["by"] == "person" else None
    more = {"tenants": tenants, "several": several, "runs": runs, "records": [seq], "kinds_in": stated}
    return {**opened, "time": time, "clocks": clocks, **more, "risk": None, "closed": None}


def _clock(stated: Mapping[str, Any], several: Sequence[str]) -> Entry:
    """`each`: where several controllers are to be told, how it stands with each of them."""
    each = several if stated.get("to") == "customers" else ()
    open_: Entry = {"filed": None, "not_due": None}
    return {**{key: stated.get(key) for key in STATED}, **open_, "each": {tenant: dict(open_) for tenant in each}}


def _unsettled(clock: Entry, closing: object) -> Entry:
    """Without what this closing alone has settled."""
    each = {tenant: _unsettled(one, closing) for tenant, one in clock["each"].items()} if clock.get("each") else {}
    again = {**clock, "not_due": None} if clock["not_due"] == closing else clock
    return {**again, "each": each} if each else again


def _with(runs: list[str], record: Record) -> list[str]:
    run = record.get("recovery")
    return [*runs, str(run)] if run is not None and run not in runs else runs


def _note(entry: Entry, record: Record, seq: int) -> None:
    entry["runs"] = _with(entry["runs"], record)
    entry["risk"] = record.get("risk") or entry["risk"]
    if record.get("kinds"):
        entry["kinds"], entry["kinds_in"] = record["kinds"], seq
    for clock in record.get("not_due") or ():
        _settle(entry, clock, seq, record.get("for_tenant"))
    for one in record.get("clocks") or ():
        there = entry["clocks"].get(one["clock"])
        if there is None or not _filed_with_all(there):
            again = _clock(one, entry["several"])
            told = {tenant: how for tenant, how in there["each"].items() if how["filed"]} if there else {}
            entry["clocks"][str(one["clock"])] = {**again, "each": again["each"] | told}


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
    whole = entry["clocks"].get(record["clock"])
    tenant = record.get("for_tenant")
    # Where a reopening told of no controllers, what is filed for one of them settles the whole.
    one = whole["each"].get(tenant) if whole is not None and whole["each"] and tenant is not None else whole
    if one is not None and not one["filed"]:  # what is filed in phases (GDPR 33(4)) was filed with the first
        receipt = str(record["receipt_sha256"])
        one["filed"] = {"seq": seq, "at": str(record["filed_at"]), "recorded": str(record["time"]), "receipt": receipt}
        one["not_due"] = None
        for then in record.get("then_due") or ():
            if (later := entry["clocks"].get(then["clock"])) is not None:
                later["due"] = str(then["due"])
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
