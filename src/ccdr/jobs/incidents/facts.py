"""What records tell of an incident: found by its name, and as values for whoever drafts a notification, each with its
record's number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ccdr.evidence.history.kinds import (
    RECOVER_END,
    RECOVER_START,
    RESTORE_END,
    RESTORE_START,
    RUNBOOK_END,
    RUNBOOK_START,
    TEST_END,
)
from ccdr.evidence.incidents import KINDS, OPENED, RECOVERY, Entry, Incident, incident_of, take_incident
from ccdr.evidence.records.statements import STATEMENT, kind_of
from ccdr.evidence.verdicts import Record
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import utc

# Finds an incident by its name, and all that the ledger tells of any.


@dataclass(frozen=True)
class Known:
    """An incident, what is kept of it, and its own records, oldest first."""

    incident: Incident
    entry: Entry
    records: Sequence[Record]

    @property
    def name(self) -> str:
        return self.incident.name

    @property
    def plan(self) -> str:
        return self.incident.plan

    @property
    def timezone(self) -> str:
        """Its plan's, as it was opened: months are counted there."""
        return str(self.entry["timezone"] or "UTC")


def of_ledger(services: Services, plans: Iterable[str] | None = None) -> list[Known]:
    """Every incident of this host's ledger, in the order in which they were opened; of these plans only, where some are
    named. What is nothing that a ccdr wrote tells nothing: the verification tells of it. CcdrError where the ledger
    cannot be read."""
    wanted, now = None if plans is None else set(plans), services.clock.now()
    found = (r for kind in (OPENED, RECOVERY, STATEMENT) for r in services.ledger.newest(kind) if kind_of(r) in KINDS)
    records = sorted((r for r in found if wanted is None or r["plan"] in wanted), key=lambda r: int(r["seq"]))
    entries: dict[tuple[str, str], dict[str, Entry]] = {}
    own: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for record in records:
        key = (str(record["plan"]), str(record.get("about", record)["incident"]))
        take_incident(entries.setdefault(key, {}), record)
        own.setdefault(key, []).append(record)
    there = (
        Known(incident_of(plan, name, entries[plan, name][name], now), entries[plan, name][name], own[plan, name])
        for plan, name in own
        if name in entries[plan, name]
    )
    return sorted(there, key=lambda one: one.incident.records[0])


def find(services: Services, name: str) -> Known:
    """UsageProblem where there is none of this name."""
    every = of_ledger(services)
    if found := [one for one in every if one.name == name.strip()]:
        return found[0]
    open_ = [one.name for one in every if one.incident.open]
    raise UsageProblem(
        f"there is no incident {name[:40]!a}",
        hint=f"open are {', '.join(open_)}" if open_ else "`ccdr incident list --all` shows those that there are",
    )


# Of closed kinds alone: times, counts, names that the plan gives its assets. What people wrote is not among them, nor
# is where anything lies.

_OF_RUNS = (RECOVER_START, RECOVER_END, RUNBOOK_START, RUNBOOK_END, RESTORE_START, RESTORE_END)


@dataclass(frozen=True)
class Fact:
    """One thing that is so: `what` says which sentence tells it, `seq` which record it is from."""

    what: str
    seq: int
    values: Mapping[str, object]


@dataclass(frozen=True)
class Facts:
    """Of one incident: what happened, what was done about it, what is lost, what was filed already."""

    happened: tuple[Fact, ...]
    done: tuple[Fact, ...]
    lost: tuple[Fact, ...]
    filed: tuple[Fact, ...]


def facts_of(known: Known, services: Services, tenant: str | None = None) -> Facts:
    """With `tenant`, those of that controller's data alone. CcdrError where the ledger cannot be read."""
    one = known.incident
    only = None if tenant is None else set(one.tenants[tenant])
    records = [cut for record in _of_runs(known, services) if (cut := _cut(record, only)) is not None]
    opened = Fact("opened", one.records[0], {"at": one.opened_at, "by": one.by})
    kinds = _kinds(one, records)
    aware = Fact("aware", one.records[0], {"at": one.aware_at})
    closed = [Fact("closed", one.closed, {"at": one.closed_at, "cause": one.cause})] if one.closed else []
    filed = (
        Fact(
            "filed",
            duty.filed_in,
            {"at": duty.filed_at, "law": duty.law, "tenant": duty.tenant if tenant is None else None},
        )
        for duty in one.duties
        if duty.filed_in is not None and (tenant is None or duty.tenant in (None, tenant))
    )
    return Facts(
        (aware, opened, kinds, *closed),
        (*(fact for record in records for fact in _done(record)), *_tested(one, services, only, records)),
        tuple(fact for record in records for fact in _lost(record)),
        tuple(filed),
    )


def _kinds(one: Incident, records: Iterable[Record]) -> Fact:
    """What was breached, as a person stated it; where a recovery opened it, that is assumed from it alone."""
    if one.kinds_in is not None:
        return Fact("kinds", one.kinds_in, {"kinds": one.kinds})
    return Fact("kinds_assumed", one.records[0], {"kinds": one.kinds, "assets": _brought_back(records)})


def _brought_back(records: Iterable[Record]) -> list[str]:
    """The assets of its recoveries, as they began."""
    found: dict[str, None] = {}
    for record in records:
        if record["kind"] == RECOVER_START:
            found |= dict.fromkeys(str(one["asset"]) for one in record["assets"])
        elif record["kind"] == RESTORE_START:
            found[str(record["asset"])] = None
    return list(found)


def _of_runs(known: Known, services: Services) -> list[Record]:
    """The starts and ends of its recoveries, in order."""
    first, runs = known.incident.records[0], set(known.incident.runs)
    found: list[Record] = []
    for kind in _OF_RUNS if runs else ():
        for record in services.ledger.newest(kind):
            if record["run"] in runs:
                found.append(record)
            elif int(record["seq"]) < first - _BEFORE:
                break
    return sorted(found, key=lambda record: int(record["seq"]))


_BEFORE = 100_000  # records: a person may open an incident for a recovery that was some time ago


def _cut(record: Record, only: Collection[str] | None) -> Record | None:
    """A record as it tells of these assets; None where it tells nothing of them."""
    if only is None or record["kind"] in (RUNBOOK_START, RUNBOOK_END):
        return record
    if record["kind"] in (RESTORE_START, RESTORE_END):
        return record if record["asset"] in only else None
    assets = [one for one in record["assets"] if one["asset"] in only]
    return {**record, "assets": assets} if assets else None


def _done(record: Record) -> Iterator[Fact]:
    seq, at, kind = int(record["seq"]), utc(record["time"]), record["kind"]
    if kind == RECOVER_START:
        yield Fact("recovery_began", seq, {"at": at, "assets": [str(one["asset"]) for one in record["assets"]]})
    elif kind == RECOVER_END:
        assets = record["assets"]
        passed, checks = _checks(check for one in assets for check in one.get("checks") or ())
        done = sum(one["state"] == "done" for one in assets)
        took = (record["rto"] or {}).get("achieved_s")
        yield Fact(f"recovery_{record['state']}", seq, {"at": at, "done": done, "of": len(assets), "took": took})
        if checks:
            yield Fact("checked", seq, {"passed": passed, "of": checks})
    elif kind == RUNBOOK_START:
        yield Fact("runbook_began", seq, {"at": at, "steps": len(record["steps"])})
    elif kind == RUNBOOK_END:
        yield Fact("runbook_ended", seq, {"at": at, "done": record["done"], "took": record["elapsed_s"]})
    elif kind == RESTORE_START:
        yield Fact("restore_began", seq, {"at": at, "asset": record["asset"]})
    elif record["result"] == "RESTORED":
        passed, checks = _checks(record.get("checks") or ())
        yield Fact("restored", seq, {"at": at, "asset": record["asset"]})
        if checks:
            yield Fact("checked", seq, {"passed": passed, "of": checks})


def _checks(checks: object) -> tuple[int, int]:
    statuses = [check["status"] for check in checks]  # type: ignore[attr-defined]
    return statuses.count("PASS"), len([one for one in statuses if one != "SKIPPED"])


def _lost(record: Record) -> Iterator[Fact]:
    """Up to when what was brought back goes: what was written later is not in it."""
    seq, kind = int(record["seq"]), record["kind"]
    if kind == RECOVER_END:
        for one in record["assets"]:
            if one["state"] == "done" and one.get("point"):
                yield Fact("state_of", seq, {"asset": str(one["asset"]), "point": _time(one["point"])})
    elif kind == RESTORE_END and record["result"] == "RESTORED" and (snapshot := record.get("snapshot")):
        yield Fact("state_of", seq, {"asset": record["asset"], "point": _time(snapshot["consistent_point"])})


def _tested(
    one: Incident, services: Services, only: Collection[str] | None, records: Iterable[Record]
) -> Iterator[Fact]:
    """What was shown before anybody was aware of it, of a breach that backups are a measure against: each asset's
    newest restore test with a verdict; where it has recoveries, of the assets that they bring back alone. When it
    was typed in tells nothing of what came before it."""
    if not {"availability", "integrity"} & set(one.kinds):
        return
    known = {asset for plan, asset in services.histories() if plan == one.plan and asset}
    assets = known if only is None else known & set(only)
    if affected := _brought_back(records):
        assets &= set(affected)
    for record in services.ledger.newest(TEST_END) if assets else ():
        if int(record["seq"]) < one.records[0] - _BEFORE:
            break
        asset, at = record["asset"], utc(record["time"])
        if record["plan"] != one.plan or record["verdict"] not in ("PASS", "FAIL") or asset not in assets:
            continue
        if at >= min(one.aware_at, one.opened_at):
            continue
        yield Fact("tested", int(record["seq"]), {"asset": asset, "at": at, "passed": record["verdict"] == "PASS"})
        assets.discard(asset)
        if not assets:
            break


def _time(text: object) -> datetime:
    return utc(str(text))
