"""What a ledger lacks by its own plans: due times for which nothing was begun, by the schedules of the versions that
were in force, and how many of them its records tell as missed.

One ledger, in order, whatever its age: of each start only its time and due time are kept.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from ccdr.evidence.history.kinds import BACKUP_END, DUTIES, MISSED, NOT_BEGUN, STARTS, TEST_END, VERB_OF
from ccdr.evidence.ledger.ledger import PASSED_OVER
from ccdr.evidence.mappings import listing, mapping, moment_of, text, whole
from ccdr.evidence.pauses import ALL, PAUSE, PAUSE_END, Entry, take_pause, windows
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.verdicts import Record
from ccdr.model.values import PRIMARY, Verb, rfc3339, so_many, utc
from ccdr.plans.due import OF_A_COPY, RequestedRuns, RunStart, Schedule, tallies
from ccdr.plans.versions import PLAN_VERSION, PlanRevision, version_of

_VERBS = {verb.value: verb for verb in Verb}
_OF_AN_ASSET = (Verb.BACKUP, Verb.TEST, Verb.CONTROL)
_ENDS = frozenset((BACKUP_END, TEST_END))
_NONE = -1  # instead of a due time


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
    pauses: list[Entry] = field(default_factory=list)
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

    def take(self, record: Record, time: datetime) -> None:
        if self._last is None or time > self._last:
            self._last = time
        if PASSED_OVER in record or record["plan"] is None:
            return
        kind = kind_of(record)
        if kind in STARTS:
            self._begun(record, time, VERB_OF.get(kind), record.get("trigger"))
        elif kind in _ENDS:  # nearly all of the others
            return
        elif kind == NOT_BEGUN:
            self._begun(record, time, text(record.get("verb")), {"by": "run", "due": record.get("due")})
        elif kind == MISSED:
            verb = _VERBS.get(str(record.get("verb")))
            if verb is not None:
                missed, schedule = self._of(record).missed, schedule_of(record, verb)
                missed[schedule] = missed.get(schedule, 0) + (whole(record.get("count")) or 1)
        elif kind == DUTIES:
            self._of(record).asked.append(asked_for(record, time))
        elif kind in (PAUSE, PAUSE_END):
            take_pause(self._of(record).pauses, record, ALL)
        elif kind == PLAN_VERSION and (version := version_of(record)):
            self._of(record).versions.append(version)

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
        name = str(record["plan"])
        known = self._plans.get(name)
        if known is None:
            known = self._plans[name] = _PlanRecords()
        return known

    def _begun(self, record: Record, time: datetime, word: str | None, trigger: Any) -> None:
        verb = _VERBS.get(word or "")
        if verb is None or (record.get("copy") not in (None, PRIMARY) and verb not in OF_A_COPY):
            return
        due = _NONE
        if type(trigger) is dict and trigger.get("by") == "run" and trigger.get("due"):
            try:  # for millions of records, what `contextlib.suppress` costs shows
                moment = utc(str(trigger["due"]))
                due = int(moment.timestamp())
            except (ValueError, TypeError, OverflowError):
                pass
        self._of(record).begun(schedule_of(record, verb), int(time.timestamp()), due)


def schedule_of(record: Record, verb: Verb) -> Schedule:
    """Which of its plan's schedules a record of such work is about."""
    copy = record.get("copy")
    if copy not in (None, PRIMARY) and verb in OF_A_COPY:
        return str(copy), verb
    return (record["asset"] if verb in _OF_AN_ASSET else None), verb


def asked_for(record: Record, time: datetime) -> RequestedRuns:
    """What runs on a host were asked for, by its record (`duties`)."""
    last = mapping(record.get("asked_last")).items()
    ended = {_VERBS[verb]: at for verb, moment in last if verb in _VERBS and (at := moment_of(moment))}
    verbs = frozenset(_VERBS[verb] for verb in listing(record.get("verbs")) if verb in _VERBS)
    return RequestedRuns(time, verbs, ended)
