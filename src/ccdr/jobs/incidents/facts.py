"""What records tell of an incident: found by its name, and as values for whoever drafts a notification, each with its
record's number.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from ccdr.evidence.incidents import KINDS, Entry, Incident, OfIncident, incident_of, name_in, take_incident
from ccdr.evidence.records import (
    IncidentOpened,
    IncidentRecovery,
    RecoverEnd,
    RecoverStart,
    RestoreEnd,
    RestoreStart,
    RunbookEnd,
    RunbookStart,
    StatementRecord,
    TestEnd,
    Unread,
)
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.records.values import RecordedCheckResult
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem

# Finds an incident by its name, and all that the ledger tells of any.


@dataclass(frozen=True)
class Known:
    """An incident, what is kept of it, and its own records, oldest first."""

    incident: Incident
    entry: Entry
    records: Sequence[OfIncident]

    @property
    def name(self) -> str:
        return self.incident.name

    @property
    def plan(self) -> str:
        return self.incident.plan

    @property
    def timezone(self) -> str:
        """Its plan's, as it was opened: months are counted there."""
        return self.entry.opened.timezone


def of_ledger(services: Services, plans: Iterable[str] | None = None) -> list[Known]:
    """Every incident of this host's ledger, in the order in which they were opened; of these plans only, where some are
    named. What is nothing that a ccdr wrote tells nothing: the verification tells of it. CcdrError where the ledger
    cannot be read."""
    wanted, now = None if plans is None else set(plans), services.clock.now()
    found = (record for record in _of_incidents(services) if wanted is None or record.plan in wanted)
    entries: dict[tuple[str, str], dict[str, Entry]] = {}
    own: dict[tuple[str, str], list[OfIncident]] = {}
    for record in sorted(found, key=lambda record: record.seq):
        key = (str(record.plan), name_in(record))
        take_incident(entries.setdefault(key, {}), record)
        own.setdefault(key, []).append(record)
    there = (
        Known(incident_of(plan, name, entries[plan, name][name], now), entries[plan, name][name], own[plan, name])
        for plan, name in own
        if name in entries[plan, name]
    )
    return sorted(there, key=lambda one: one.incident.records[0])


def _of_incidents(services: Services) -> Iterator[OfIncident]:
    for kind in (IncidentOpened, IncidentRecovery, StatementRecord):
        for record in services.ledger.newest(kind):
            if isinstance(record, IncidentOpened | IncidentRecovery | StatementRecord) and kind_of(record) in KINDS:
                yield record


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

OfRun = RecoverStart | RecoverEnd | RunbookStart | RunbookEnd | RestoreStart | RestoreEnd
_OF_RUNS: tuple[type[OfRun], ...] = (RecoverStart, RecoverEnd, RunbookStart, RunbookEnd, RestoreStart, RestoreEnd)


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


def _kinds(one: Incident, records: Iterable[OfRun]) -> Fact:
    """What was breached, as a person stated it; where a recovery opened it, that is assumed from it alone."""
    if one.kinds_in is not None:
        return Fact("kinds", one.kinds_in, {"kinds": one.kinds})
    return Fact("kinds_assumed", one.records[0], {"kinds": one.kinds, "assets": _brought_back(records)})


def _brought_back(records: Iterable[OfRun]) -> list[str]:
    """The assets of its recoveries, as they began."""
    found: dict[str, None] = {}
    for record in records:
        if isinstance(record, RecoverStart):
            found |= dict.fromkeys(one.asset for one in record.assets)
        elif isinstance(record, RestoreStart):
            found[record.asset] = None
    return list(found)


def _of_runs(known: Known, services: Services) -> list[OfRun]:
    """The starts and ends of its recoveries, in order."""
    first, runs = known.incident.records[0], set(known.incident.runs)
    found: list[OfRun] = []
    for kind in _OF_RUNS if runs else ():
        for record in services.ledger.newest(kind):
            if record.run in runs and not isinstance(record, Unread):
                found.append(record)
            elif record.seq < first - _BEFORE:
                break
    return sorted(found, key=lambda record: record.seq)


_BEFORE = 100_000  # records: a person may open an incident for a recovery that was some time ago


def _cut(record: OfRun, only: Collection[str] | None) -> OfRun | None:
    """A record as it tells of these assets; None where it tells nothing of them."""
    if only is None or isinstance(record, RunbookStart | RunbookEnd):
        return record
    if isinstance(record, RestoreStart | RestoreEnd):
        return record if record.asset in only else None
    assets = [one for one in record.assets if one.asset in only]
    return structs.replace(record, assets=assets) if assets else None


def _done(record: OfRun) -> Iterator[Fact]:
    seq, at = record.seq, record.time
    match record:
        case RecoverStart():
            yield Fact("recovery_began", seq, {"at": at, "assets": [one.asset for one in record.assets]})
        case RecoverEnd():
            done, took = sum(one.state == "done" for one in record.assets), record.rto.achieved_s
            values = {"at": at, "done": done, "of": len(record.assets), "took": took}
            yield Fact(f"recovery_{record.state}", seq, values)
            yield from _checked(seq, [check for one in record.assets for check in one.checks])
        case RunbookStart():
            yield Fact("runbook_began", seq, {"at": at, "steps": len(record.steps)})
        case RunbookEnd():
            yield Fact("runbook_ended", seq, {"at": at, "done": record.done, "took": record.elapsed_s})
        case RestoreStart():
            yield Fact("restore_began", seq, {"at": at, "asset": record.asset})
        case RestoreEnd(result="RESTORED"):
            yield Fact("restored", seq, {"at": at, "asset": record.asset})
            yield from _checked(seq, record.checks)


def _checked(seq: int, checks: Sequence[RecordedCheckResult]) -> Iterator[Fact]:
    carried_out = [check.status for check in checks if check.status != "SKIPPED"]
    if carried_out:
        yield Fact("checked", seq, {"passed": carried_out.count("PASS"), "of": len(carried_out)})


def _lost(record: OfRun) -> Iterator[Fact]:
    """Up to when what was brought back goes: what was written later is not in it."""
    if isinstance(record, RecoverEnd):
        for one in record.assets:
            if one.state == "done" and one.point:
                yield Fact("state_of", record.seq, {"asset": one.asset, "point": one.point})
    elif isinstance(record, RestoreEnd) and record.result == "RESTORED" and record.snapshot:
        yield Fact("state_of", record.seq, {"asset": record.asset, "point": record.snapshot.consistent_point})


def _tested(
    one: Incident, services: Services, only: Collection[str] | None, records: Iterable[OfRun]
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
    for record in services.ledger.newest(TestEnd) if assets else ():
        if record.seq < one.records[0] - _BEFORE or not assets:
            break
        if isinstance(record, Unread) or record.plan != one.plan or record.asset not in assets:
            continue
        if record.verdict in ("PASS", "FAIL") and record.time < min(one.aware_at, one.opened_at):
            values = {"asset": record.asset, "at": record.time, "passed": record.verdict == "PASS"}
            yield Fact("tested", record.seq, values)
            assets.discard(record.asset)
