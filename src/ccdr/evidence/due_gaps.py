"""What a ledger lacks by its own plans: due times for which nothing was begun, by the schedules of the versions that
were in force, and how many of them its records tell as missed.

One ledger, in order, whatever its age: of each start only its time and due time are kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec import Struct

from ccdr.evidence.history.asset_history import copy_of
from ccdr.evidence.history.kinds import VERB_OF
from ccdr.evidence.pauses import ALL, PausedSpan, take_pause, windows
from ccdr.evidence.records import (
    BackupEnd,
    BackupStart,
    CheckStart,
    CopyStart,
    Duties,
    MissedRuns,
    NegativeControlStart,
    NotBegun,
    PlanVersion,
    PruneStart,
    Record,
    StatementRecord,
    TestEnd,
    TestStart,
)
from ccdr.evidence.records.plans import version_of
from ccdr.evidence.records.statements import ScheduleRef
from ccdr.model.values import Verb, rfc3339, so_many
from ccdr.plans.due import OF_A_COPY, RequestedRuns, RunStart, Schedule, tallies
from ccdr.plans.versions import PlanRevision

_OF_AN_ASSET = (Verb.BACKUP, Verb.TEST, Verb.CONTROL)
_NONE = -1  # instead of a due time
ScheduledStart = BackupStart | TestStart | NegativeControlStart | PruneStart | CheckStart | CopyStart
SCHEDULED: Mapping[Verb, type[ScheduledStart]] = {
    Verb.BACKUP: BackupStart,
    Verb.TEST: TestStart,
    Verb.CONTROL: NegativeControlStart,
    Verb.PRUNE: PruneStart,
    Verb.CHECK: CheckStart,
    Verb.COPY: CopyStart,
}


class LedgerGap(Struct, frozen=True):
    """`missed` due times of one schedule for which nothing was begun; `recorded`: as many were told as missed. `asset`:
    or a copy of the plan's; null: of the plan."""

    plan: str
    asset: str | None
    verb: str
    first_due: datetime
    last_due: datetime
    missed: int
    recorded: int

    def __str__(self) -> str:
        about = f"{self.verb} of {self.plan}{f'/{self.asset}' if self.asset else ''}"
        first, last = rfc3339(self.first_due), rfc3339(self.last_due)
        between = f"{first} to {last}" if first != last else first
        told = "all told as missed" if self.recorded >= self.missed else f"{self.recorded} told as missed"
        return f"{about}: nothing was begun for {so_many(self.missed, 'due time')}, {between}; {told}"


@dataclass
class _PlanRecords:
    versions: list[PlanRevision] = field(default_factory=list)
    asked: list[RequestedRuns] = field(default_factory=list)
    pauses: list[PausedSpan] = field(default_factory=list)
    starts: dict[Schedule, array[int]] = field(default_factory=dict)
    missed: dict[Schedule, int] = field(default_factory=dict)

    def begun(self, schedule: Schedule, at: int, due: int) -> None:
        starts = self.starts.get(schedule)
        if starts is None:
            starts = self.starts[schedule] = array("q")
        starts.append(at)
        starts.append(due)


class _Starts(Mapping[Schedule, Sequence[RunStart]]):
    """Each schedule's when it is asked for, and not before: of millions of starts few are held at a time."""

    def __init__(self, packed: Mapping[Schedule, array[int]]) -> None:
        self._packed = packed

    def __getitem__(self, schedule: Schedule) -> Sequence[RunStart]:
        pairs = self._packed.get(schedule, array("q"))
        return [RunStart(at, None if due == _NONE else due) for at, due in zip(pairs[::2], pairs[1::2], strict=True)]

    def __iter__(self) -> Iterator[Schedule]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


class DueRuns:
    """Give it every record of one ledger, in order (`take`); then ask it for the `gaps`."""

    def __init__(self) -> None:
        self._plans = dict[str, _PlanRecords]()
        self._last: datetime | None = None

    def take(self, record: Record) -> None:
        if self._last is None or record.time > self._last:
            self._last = record.time
        if record.plan is None:
            return
        match record:
            case BackupEnd() | TestEnd():  # half of all
                return
            case BackupStart() | TestStart() | NegativeControlStart() | PruneStart() | CheckStart() | CopyStart():
                due = record.trigger.due if record.trigger.by == "run" else None
                self._begun(record, Verb(VERB_OF[record.kind]), due)
            case NotBegun():
                self._begun(record, Verb(record.verb), record.due)
            case MissedRuns():
                missed, schedule = self._of(record).missed, schedule_of(record, Verb(record.verb))
                missed[schedule] = missed.get(schedule, 0) + record.count
            case Duties():
                self._of(record).asked.append(asked_for(record, record.time))
            case StatementRecord(about=ScheduleRef()):
                take_pause(self._of(record).pauses, record, ALL)
            case PlanVersion():
                self._of(record).versions.append(version_of(record))

    def join(self, other: DueRuns) -> None:
        """What another has taken of other plans."""
        self._plans |= other._plans
        self._last = max((last for last in (self._last, other._last) if last is not None), default=None)

    def gaps(self, since: datetime | None = None, until: datetime | None = None) -> list[LedgerGap]:
        """From a plan's first version on, or `since`, up to its last record: what came due after that nobody here
        knows; or `until`, where the ledger is said to tell all up to there."""
        if self._last is None:
            return []
        last, found = self._last if until is None else max(self._last, until), list[LedgerGap]()
        end = last + timedelta.resolution
        for name, plan in sorted(self._plans.items()):
            if not plan.versions:
                continue
            begin = plan.versions[0].at if since is None else max(since, plan.versions[0].at)
            of = plan.versions, plan.asked, _Starts(plan.starts), begin, end
            for tally in tallies(*of, (), windows(plan.pauses)):
                if tally.missed and tally.gaps:
                    recorded = plan.missed.get((tally.asset, tally.verb), 0)
                    first, last = tally.gaps[0].first, tally.gaps[-1].last
                    found.append(LedgerGap(name, tally.asset, tally.verb.value, first, last, tally.missed, recorded))
        return found

    def _of(self, record: Record) -> _PlanRecords:
        name = str(record.plan)
        known = self._plans.get(name)
        if known is None:
            known = self._plans[name] = _PlanRecords()
        return known

    def _begun(self, record: Record, verb: Verb, due: datetime | None) -> None:
        if copy_of(record) is None or verb in OF_A_COPY:
            at = _NONE if due is None else int(due.timestamp())
            self._of(record).begun(schedule_of(record, verb), int(record.time.timestamp()), at)


def schedule_of(record: Record, verb: Verb) -> Schedule:
    """Which of its plan's schedules a record of such work is about."""
    copy = copy_of(record)
    if copy is not None and verb in OF_A_COPY:
        return copy, verb
    return (record.asset if verb in _OF_AN_ASSET else None), verb


def asked_for(record: Duties, time: datetime) -> RequestedRuns:
    """What runs on a host were asked for, by its record."""
    ended = {Verb(verb): at for verb, at in record.asked_last.items()}
    return RequestedRuns(time, frozenset(map(Verb, record.verbs)), ended)
