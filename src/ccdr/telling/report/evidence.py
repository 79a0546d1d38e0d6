"""Every record of the ledger, once: runs with their outcome, and what they show of each asset and plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.deviations.values import forget_ended
from ccdr.evidence.due_gaps import asked_for
from ccdr.evidence.history import kinds
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.fold import follow, may_have_ended
from ccdr.evidence.history.kinds import CLEAN, DAMAGED, STOPPED
from ccdr.evidence.judgement.upkeep import ApprovalGiven
from ccdr.evidence.pauses import ALL, PAUSED, PausedSpan, take_pause
from ccdr.evidence.records import (
    CheckEnd,
    Duties,
    LogShipped,
    MissedRuns,
    NotBegun,
    PlanVersion,
    PruneEnd,
    Record,
    SkippedRuns,
    StatementRecord,
    Unread,
)
from ccdr.evidence.records.plans import version_of
from ccdr.evidence.records.statements import PeriodPopulation, ScheduleRef, VersionOfPlan, kind_of
from ccdr.evidence.records.values import Start
from ccdr.jobs.shipping.log_archive import rank
from ccdr.model.measure import Point
from ccdr.plans.due import PATIENCE, RequestedRuns
from ccdr.plans.versions import PlanRevision
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.period import LONG_AGO, NEVER, Period, month_of, next_month
from ccdr.telling.report.runs import (
    BACKUP,
    CHECK,
    CONTROL,
    CRASHED,
    MISSED,
    NO_RUN,
    NOTED,
    PRUNE,
    RUNBOOK,
    RUNNING,
    SKIPPED,
    TEST,
    WHOLE,
    Ended,
    RecordedRun,
    RunKey,
    begun_as,
    key_of,
    newer_run,
    take_end,
)

_MOMENT = timedelta.resolution


@dataclass
class OtherHost:
    """What another host's ledger tells of a plan: what runs there were asked for, and which versions were recorded."""

    until: datetime
    asked: list[RequestedRuns] = field(default_factory=list)
    versions: list[PlanRevision] = field(default_factory=list)
    approvals: list[ApprovalGiven] = field(default_factory=list)
    pauses: list[PausedSpan] = field(default_factory=list)


@dataclass
class PlanEvidence:
    """What the records say of one plan's repository, beside its history. `sizes` and `added` are of the period:
    bytes."""

    last: dict[str, RecordedRun] = field(default_factory=dict)
    last_conclusive_check: CheckEnd | None = None
    sizes: list[tuple[datetime, int]] = field(default_factory=list)
    added: list[tuple[datetime, int]] = field(default_factory=list)
    fetched: list[tuple[datetime, int]] = field(default_factory=list)  # by restore tests
    removed: int = 0  # snapshots, within the period
    asked: list[RequestedRuns] = field(default_factory=list)  # what runs here were asked for, change by change
    lost: dict[str, datetime] = field(default_factory=dict)  # when ledgers of this host's end that were lost, by id
    versions: list[PlanRevision] = field(default_factory=list)  # of the plan, as they were recorded
    approvals: list[ApprovalGiven] = field(default_factory=list)
    others: dict[str, OtherHost] = field(default_factory=dict)  # by the ledgers that lie beside ours
    pauses: list[PausedSpan] = field(default_factory=list)  # of the plan, on this host


@dataclass
class Evidence:
    """Give it every record in order (`take`), then `close` it. `wanted` are plans; None: all.

    A run belongs to the period that it started in, so that two periods, one after the other, hold each run once. At
    the first record of each month that lies before the period, what is no more asked for is let go of: so what has to
    be known does not grow with the years, and can be kept (index.py).

    What is dated ahead of the `clock` was written while that was wrong: when it was, nobody knows. It counts all the
    same, as whoever does not ask for times counts it, and its place is that of the record before it.
    """

    period: Period
    wanted: Collection[str] | None = None
    boundary: datetime = field(default=LONG_AGO, kw_only=True)  # up to where that was done
    clock: Callable[[], datetime] = field(default=lambda: NEVER, kw_only=True)
    runs: list[RecordedRun] = field(default_factory=list)  # the population
    before: list[RecordedRun] = field(default_factory=list)  # that may have served what came due just before the period
    assets: dict[tuple[str, str], AssetEvidence] = field(default_factory=dict)
    plans: dict[str, PlanEvidence] = field(default_factory=lambda: defaultdict(PlanEvidence))
    histories: Histories = field(default_factory=dict)
    plans_seen: set[str | None] = field(default_factory=set)  # where only some are wanted
    open: dict[RunKey, RecordedRun] = field(default_factory=dict)  # runs that have no end yet
    # Of periods, whenever they were written: that is after the period's end, so none is before an index's boundary.
    sign_offs: list[StatementRecord] = field(default_factory=list)
    _made: datetime = field(init=False)
    _before: datetime = field(init=False)  # when the newest record counts as written

    def take(self, record: Record) -> None:
        time = self.placed(record.time)
        if time >= self._next:
            self.reach(time)
        plan = record.plan
        if isinstance(record, StatementRecord) and self._signs_off(record):
            self.sign_offs.append(record)
        if self.wanted is not None:
            self.plans_seen.add(plan)
            if plan not in self.wanted:
                if plan is None and time < self.period.end:  # of the host: what is attested holds for each plan
                    follow(self.histories, record)
                return
        counts = time < self.period.end
        match record:
            case Unread():
                self._pass_over(record)
            case Start():
                if counts:
                    self._begin(record, time)
            case LogShipped():  # what it tells of came before it
                self._single(record, time)
            case _ if isinstance(record, Ended):
                counts = self._end(record, time)
            case _ if counts:
                self._single(record, time)
        if counts:
            follow(self.histories, record)

    @staticmethod
    def _signs_off(record: StatementRecord) -> bool:
        return record.plan is None and isinstance(record.about, PeriodPopulation) and not record.foreign

    def _pass_over(self, record: Unread) -> None:
        """Nothing can be taken from it: that it is there is told. A run that another version's ends did not crash."""
        if record.unknown and record.kind.endswith(".end"):
            self.open.pop(key_of(record), None)

    def _begin(self, record: Start, time: datetime) -> None:
        key = key_of(record)
        if key in self.open:
            self._crashed(key, CRASHED)
        self.open[key] = begun_as(key[0], record, time)

    def placed(self, time: datetime) -> datetime:
        """When what bears this time counts as written."""
        if time > self._made and time > self.clock():  # else it was written since this was made
            return self._before
        self._before = time
        return time

    def __post_init__(self) -> None:
        self._made = self.clock()
        first = (self.period.end if self.period.until_now else self._made) - _MOMENT  # where none is before it
        self._before = self.boundary if self.boundary > LONG_AGO else first
        self._last = month_of(max(self.period.start, LONG_AGO + PATIENCE) - PATIENCE)
        self._next = self._after(self.boundary)

    def _after(self, boundary: datetime) -> datetime:
        """The next month's beginning, where that lies well before the period."""
        return next_month(boundary) if boundary < self._last else NEVER

    def reach(self, time: datetime) -> bool:
        """Before a record of this time is taken: was a month's beginning reached, and what is no more asked for let go
        of?"""
        if time < self._next:
            return False
        self.boundary = min(month_of(time), self._last)
        for asset in self.assets.values():
            asset.compress(self.boundary)
        for history in self.histories.values():
            forget_ended(history.deviations, self.boundary)
        self._next = self._after(self.boundary)
        return True

    def close(self, running: Callable[[str, datetime], bool]) -> None:
        """The runs that have no end: crashed, unless `running` knows them (by run, and when it began) to be at work."""

        def goes_on(run: RecordedRun) -> bool:
            if run.origin is not None:  # just before that ledger ends: nobody here knows what became of it
                return may_have_ended(run.since, run.origin)
            return run.run is not None and running(run.run, run.started)

        at_work = {run.run for run in self.open.values() if run.run is not None and goes_on(run)}
        for key in list(self.open):
            open_ = key[3] in at_work or key[0] == RUNBOOK  # that may stand, and be gone on with later
            self._crashed(key, RUNNING if open_ else CRASHED)
        for history in self.histories.values():
            history.at_work = [run for run in history.open_runs if run in at_work]
        self.runs.sort(key=lambda run: run.seq)

    def _crashed(self, key: RunKey, outcome: str) -> None:
        run = self.open.pop(key)
        run.outcome = outcome
        self._conclude(run, None)

    def tallies(self) -> dict[tuple[str, str], Counter[str]]:
        """By plan and verb: how many of each outcome, and of `due` (on schedule, missed ones counted) and `started`."""
        counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        # Most runs are alike: counted first, then told apart.
        alike = Counter((r.plan or "", r.verb, r.outcome, r.by == "run", r.count, r.let_be) for r in self.runs)
        for (plan, verb, outcome, scheduled, count, let_be), runs in alike.items():
            tally = counts[plan, verb]
            tally[PAUSED if let_be else outcome] += runs * count
            if outcome == MISSED or let_be:
                tally["due"] += runs * count
            else:
                tally["started"] += runs
                tally["due"] += runs * scheduled
        return counts

    def history(self, plan: str, asset: str | None) -> AssetHistory:
        """Of an asset, or (without one) of the plan's upkeep, as of the period's end."""
        return self.histories.setdefault((plan, asset), AssetHistory())

    def _end(self, record: Ended, time: datetime) -> bool:
        """Is the end that of a run of before the period's end?"""
        key = key_of(record)
        run = self.open.pop(key, None)
        if run is None:
            if time >= self.period.end:  # it also started there, or was never begun
                return False
            run = begun_as(key[0], record, time)
        take_end(run, record, time)
        self._conclude(run, record)
        return True

    def _single(self, record: Record, time: datetime) -> None:
        """A record that stands for itself: `missed`, or something that is only worth noting."""
        run = begun_as(kind_of(record), record, time)
        run.ended, run.until, run.outcome, run.reason = time, record.time, NOTED, getattr(record, "reason", None)
        match record:
            case MissedRuns() | SkippedRuns():
                run.verb, run.outcome = record.verb, MISSED if isinstance(record, MissedRuns) else SKIPPED
                run.by, run.due, run.count = "run", record.due, record.count
            case NotBegun():  # tried, and nothing came of it
                run.verb, run.outcome = record.verb, kinds.outcome_of_not_begun(record.verb)
                run.by, run.due = "run", record.due
            case LogShipped():
                if not self._shipped(record, time) or time >= self.period.end:
                    return
                run.reason = record.trouble or "log is missing"
            case Duties(plan=str(plan)):
                self._duties(self.plans[plan], record, time)
            case StatementRecord(plan=str(plan), about=ScheduleRef()):
                of = self.plans[plan]
                take_pause((self._other(of, record) or of).pauses, record, ALL)
            case PlanVersion(plan=str(plan)):
                of = self.plans[plan]
                (self._other(of, record) or of).versions.append(replace(version_of(record), at=time))
            case StatementRecord(plan=str(plan), about=VersionOfPlan()):
                of = self.plans[plan]
                (self._other(of, record) or of).approvals.append(ApprovalGiven.of(record, time))
        self._conclude(run, record)

    def _duties(self, plan: PlanEvidence, record: Duties, time: datetime) -> None:
        if other := self._other(plan, record):
            other.asked.append(asked_for(record, time))
            return
        if (origin := record.origin) is not None:
            plan.lost[origin.ledger] = origin.until
        plan.asked.append(asked_for(record, time))

    @staticmethod
    def _other(plan: PlanEvidence, record: Record) -> OtherHost | None:
        origin = record.origin
        if origin is None or origin.ours:
            return None
        return plan.others.setdefault(origin.ledger, OtherHost(origin.until))

    def _shipped(self, record: LogShipped, time: datetime) -> bool:
        """Take an hour's snapshots of a shipped log; whether there is anything else to tell. What lies behind a gap
        counts from the first base on that lies there too."""
        asset, anew = self.assets.get((str(record.plan), str(record.asset))), record.anew
        if asset is not None:
            if not record.foreign:
                asset.log_recorded = time
            points = [
                Point(record.since + timedelta(seconds=point), record.since + timedelta(seconds=usable))
                for point, usable in record.points
            ]
            # Told at once: its gap is the last one, and all points lie before it.
            if anew and len(record.gaps) == 1:
                asset.shipped(points)
                points = []
            if record.gaps:
                behind = [gap.before for gap in record.gaps]
                begins = (behind[-1] if anew else max(behind, key=rank)) or None
                asset.torn(begins, vanished=record.vanished, anew=anew)
            asset.shipped(points)
        return bool(record.gaps) or record.trouble not in (None, STOPPED)

    def _conclude(self, run: RecordedRun, record: Record | None) -> None:
        plan, asset, verb = run.plan, run.asset, run.verb
        within = run.started >= self.period.start
        if within:
            run.body = record if verb in WHOLE else None
            self.runs.append(run)
        elif run.started >= self.period.start - PATIENCE:
            self.before.append(run)
        if plan is None or run.at_copy:  # what is done at a copy has a history of its own, and no other evidence
            return
        if asset is not None:
            of_asset = self.assets.get((plan, asset))
            if of_asset is None:
                of_asset = self.assets[plan, asset] = AssetEvidence(self.history(plan, asset))
            if run.outcome not in NO_RUN:
                of_asset.take(run, record)
            if within and verb == TEST:
                of_asset.tests.append(run)
            if within and verb in (TEST, CONTROL) and run.restored:
                self.plans[plan].fetched.append((run.started, run.restored))
        if verb == BACKUP:
            if within and run.added:
                self.plans[plan].added.append((run.ended or run.started, run.added))
        elif verb in (PRUNE, CHECK):
            self._of_plan(self.plans[plan], run, record, within=within)

    def _of_plan(self, plan: PlanEvidence, run: RecordedRun, record: Record | None, *, within: bool) -> None:
        if run.outcome != MISSED and not run.let_be:
            newer_run(plan.last, run)
        if not isinstance(record, PruneEnd | CheckEnd):
            return
        if record.result in (CLEAN, DAMAGED) and isinstance(record, CheckEnd):
            plan.last_conclusive_check = record
        if within and record.repository_bytes is not None:
            plan.sizes.append((run.ended or run.started, record.repository_bytes))
        for gone in record.removed if isinstance(record, PruneEnd) else ():
            if asset := self.assets.get((str(run.plan), gone.asset)):
                asset.forget(gone.id, within=within, ours=not record.foreign)
                plan.removed += within
