"""Every record of the ledger, once: runs with their outcome, and what they show of each asset and plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.deviations.values import forget_ended
from ccdr.evidence.due_gaps import asked_for
from ccdr.evidence.history import kinds
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.fold import follow, may_have_ended
from ccdr.evidence.history.kinds import DUTIES, LOGS, STOPPED
from ccdr.evidence.judgement.upkeep import ApprovalGiven
from ccdr.evidence.ledger.ledger import PASSED_OVER, UNKNOWN
from ccdr.evidence.mappings import listing, mapping, moment_of, plan_and_asset, text, whole
from ccdr.evidence.pauses import ALL, PAUSE, PAUSE_END, PAUSED, Entry, take_pause
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import PLAN_APPROVED, SIGNED_OFF
from ccdr.evidence.verdicts import Record
from ccdr.jobs.shipping.log_archive import rank
from ccdr.model.measure import Point
from ccdr.model.values import RULES, TOLD_BY, of_another_host, utc
from ccdr.plans.due import PATIENCE, RequestedRuns
from ccdr.plans.versions import PLAN_VERSION, PlanRevision, version_of
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
    RECOVER,
    RUNBOOK,
    RUNNING,
    SKIPPED,
    TEST,
    TEST_KIND,
    WHOLE,
    RecordedRun,
    RunKey,
    begun_as,
    newer_run,
    sum_of,
)

_MOMENT = timedelta.resolution


@dataclass
class OtherHost:
    """What another host's ledger tells of a plan: what runs there were asked for, and which versions were recorded."""

    until: datetime
    asked: list[RequestedRuns] = field(default_factory=list)
    versions: list[PlanRevision] = field(default_factory=list)
    approvals: list[ApprovalGiven] = field(default_factory=list)
    pauses: list[Entry] = field(default_factory=list)


@dataclass
class PlanEvidence:
    """What the records say of one plan's repository, beside its history. `sizes` and `added` are of the period:
    bytes."""

    last: dict[str, RecordedRun] = field(default_factory=dict)
    last_conclusive_check: RecordedRun | None = None
    sizes: list[tuple[datetime, int]] = field(default_factory=list)
    added: list[tuple[datetime, int]] = field(default_factory=list)
    fetched: list[tuple[datetime, int]] = field(default_factory=list)  # by restore tests
    removed: int = 0  # snapshots, within the period
    asked: list[RequestedRuns] = field(default_factory=list)  # what runs here were asked for, change by change
    lost: dict[str, datetime] = field(default_factory=dict)  # when ledgers of this host's end that were lost, by id
    versions: list[PlanRevision] = field(default_factory=list)  # of the plan, as they were recorded
    approvals: list[ApprovalGiven] = field(default_factory=list)
    others: dict[str, OtherHost] = field(default_factory=dict)  # by the ledgers that lie beside ours
    pauses: list[Entry] = field(default_factory=list)  # of the plan, on this host


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
    _kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    _words: dict[Any, Any] = field(default_factory=dict)  # names and outcomes, each kept once
    open: dict[RunKey, tuple[Record, datetime]] = field(default_factory=dict)  # runs that have no end yet
    # Of periods, whenever they were written: that is after the period's end, so none is before an index's boundary.
    sign_offs: list[Record] = field(default_factory=list)
    _made: datetime = field(init=False)
    _before: datetime = field(init=False)  # when the newest record counts as written

    def take(self, record: Record, time: datetime) -> None:
        time = self.placed(time)
        if time >= self._next:
            self.reach(time)
        plan = record["plan"]
        if plan is None and kind_of(record) == SIGNED_OFF and PASSED_OVER not in record and not of_another_host(record):
            self.sign_offs.append(record)
        if self.wanted is not None:
            self.plans_seen.add(plan)
            if plan not in self.wanted:
                if plan is None and time < self.period.end:  # of the host: what is attested holds for each plan
                    follow(self.histories, record)
                return
        if PASSED_OVER in record:
            self._pass_over(record, time)
            return
        kind = kind_of(record)
        verb, edge = self._kinds.get(kind) or self._kind(kind)
        counts = time < self.period.end
        if edge == "start":
            if counts:
                key = (verb, plan, record["asset"], record["run"])
                if key in self.open:
                    self._crashed(key, CRASHED)
                self.open[key] = record, time
        elif edge == "end":
            counts = self._end(verb, record, time)
        elif counts or kind == LOGS:  # what it tells of came before it
            self._single(record, time)
        if counts:
            follow(self.histories, record)

    def _pass_over(self, record: Record, time: datetime) -> None:
        """Nothing can be taken from it: that it is there is told. A run that another version's ends did not crash."""
        verb, edge = self._kind(record["kind"])
        if record[PASSED_OVER] == UNKNOWN and edge == "end":
            self.open.pop((verb, record["plan"], record["asset"], record["run"]), None)
        if time < self.period.end:
            follow(self.histories, record)

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

    def _kind(self, kind: str) -> tuple[str, str]:
        """The verb, and which edge of it the record is: there are few kinds, and many records."""
        verb, _, edge = kind.rpartition(".")
        parts = self._kinds[kind] = (TEST if verb == TEST_KIND else verb, edge)
        return parts

    def close(self, running: Callable[[str, datetime], bool]) -> None:
        """The runs that have no end: crashed, unless `running` knows them (by run, and when it began) to be at work."""

        def goes_on(run: str, record: Record, begun: datetime) -> bool:
            return may_have_ended(record) if TOLD_BY in record else running(run, begun)

        at_work = {run for (_, _, _, run), begun in self.open.items() if run is not None and goes_on(run, *begun)}
        for key in list(self.open):
            open_ = key[3] in at_work or key[0] == RUNBOOK  # that may stand, and be gone on with later
            self._crashed(key, RUNNING if open_ else CRASHED)
        for history in self.histories.values():
            history.at_work = [run for run in history.open_runs if run in at_work]
        self.runs.sort(key=lambda run: run.seq)

    def _crashed(self, key: RunKey, outcome: str) -> None:
        run = begun_as(key[0], *self.open.pop(key))
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

    def _end(self, verb: str, record: Record, time: datetime) -> bool:
        """Is the end that of a run of before the period's end?"""
        begun = self.open.pop((verb, record["plan"], record["asset"], record["run"]), None)
        if begun is None:
            if time >= self.period.end:  # it also started there, or was never begun
                return False
            begun = record, time
        get = record.get
        start, started = begun
        snapshot, phases, findings = mapping(get("snapshot")), mapping(get("phases")), get("findings")
        trigger = mapping(start.get("trigger"))
        seconds = sum_of(phases.values()) if phases else None
        if verb not in (BACKUP, TEST) and not phases:
            seconds = sum_of([get("elapsed_s" if verb == RUNBOOK else "seconds", 0)]) or None
        plan, asset, host, actor = start["plan"], start["asset"], start["host"], start["actor"]
        by, outcome = text(trigger.get("by")) or "", text(get("verdict" if verb == TEST else "result")) or NOTED
        if verb == RECOVER:  # what was stopped, or failed in a part of it, is one that failed
            outcome = "DONE" if get("state") == "done" else "FAILED"
            seconds = sum_of([mapping(get("rto")).get("machine_s", 0)]) or None
        same: Callable[[Any, Any], Any] = self._words.setdefault
        run = RecordedRun(
            start["seq"], verb, same(plan, plan), same(asset, asset), start["run"], same(host, host),
            same(actor, actor), started, start["time"], same(by, by), text(trigger.get("due")) or "",
            time, record["time"], record["seq"], same(outcome, outcome),
            text(get("reason")), 1, text(snapshot.get("id")), text(snapshot.get("consistent_point")),
            _selected(start, snapshot), whole(snapshot.get("bytes")), whole(get("added_bytes")), seconds,
            len(listing(findings)) if findings else 0,
            record if findings or verb in WHOLE or get("repository") else None,
            tuple(map(str, listing(get("left_out")))),
            start.get(TOLD_BY), get(TOLD_BY), start.get("who"), text(get("tenant")), whole(get("attempt")),
            text(get("copy")), text(get("site")), text(get("proof")), whole(get("bytes_restored")),
        )  # fmt: skip
        self._conclude(run, record)
        return True

    def _single(self, record: Record, time: datetime) -> None:
        """A record that stands for itself: `missed`, or something that is only worth noting."""
        kind = kind_of(record)
        run = begun_as(kind, record, time)
        run.ended, run.until, run.outcome, run.reason = time, record["time"], NOTED, text(record.get("reason"))
        if kind in ("missed", kinds.SKIPPED):
            run.verb, run.outcome = str(record.get("verb")), MISSED if kind == "missed" else SKIPPED
            run.by, run.due = "run", text(record.get("due")) or ""
            run.count = whole(record.get("count")) or 1
            run.body = record
        elif kind == "not_begun":  # tried, and nothing came of it
            run.verb = str(record.get("verb"))
            run.outcome = kinds.outcome_of_not_begun(run.verb)
            run.by, run.due = "run", text(record.get("due")) or ""
            run.body = record
        elif kind == LOGS:
            if not self._shipped(record, time) or time >= self.period.end:
                return
            run.reason = text(record.get("trouble")) or "log is missing"
            run.body = record
        elif kind == DUTIES and run.plan is not None:
            self._duties(self.plans[run.plan], record, time)
        elif kind in (PAUSE, PAUSE_END) and run.plan is not None:
            self._pause(self.plans[run.plan], record)
        elif kind == PLAN_VERSION and run.plan is not None and (version := version_of(record)):
            self._version(self.plans[run.plan], replace(version, at=time), record)
        elif kind == PLAN_APPROVED and run.plan is not None:
            plan = self.plans[run.plan]
            (self._other(plan, record) or plan).approvals.append(ApprovalGiven.of(record, time))
        self._conclude(run, record)

    def _duties(self, plan: PlanEvidence, record: Record, time: datetime) -> None:
        origin = record.get(TOLD_BY)
        if other := self._other(plan, record):
            other.asked.append(asked_for(record, time))
            return
        if origin and (until := moment_of(origin["until"])):
            plan.lost[origin["ledger"]] = until
        plan.asked.append(asked_for(record, time))

    def _pause(self, plan: PlanEvidence, record: Record) -> None:
        other = self._other(plan, record)
        take_pause(plan.pauses if other is None else other.pauses, record, ALL)

    def _version(self, plan: PlanEvidence, version: PlanRevision, record: Record) -> None:
        other = self._other(plan, record)
        (plan.versions if other is None else other.versions).append(version)

    @staticmethod
    def _other(plan: PlanEvidence, record: Record) -> OtherHost | None:
        origin = record.get(TOLD_BY)
        if origin is None or origin["ours"]:
            return None
        return plan.others.setdefault(origin["ledger"], OtherHost(utc(origin["until"])))

    def _shipped(self, record: Record, time: datetime) -> bool:
        """Take an hour's snapshots of a shipped log; whether there is anything else to tell. What lies behind a gap
        counts from the first base on that lies there too."""
        asset = self.assets.get((str(record["plan"]), str(record["asset"])))
        gaps, since = listing(record.get("gaps")), moment_of(record.get("since"))
        if asset is not None:
            if TOLD_BY not in record or record[TOLD_BY]["ours"]:
                asset.log_recorded = time
            points: list[Point] = []
            if since is not None:
                points += (
                    Point(since + timedelta(seconds=point), since + timedelta(seconds=usable))
                    for point, usable in filter(plan_and_asset, listing(record.get("points")))
                )
            # Told at once: its gap is the last one, and all points lie before it.
            anew = moment_of(record.get("anew"))
            if anew and len(gaps) == 1:
                asset.shipped(points)
                points = []
            if gaps:
                behind = [text(mapping(gap).get("before")) or "" for gap in gaps]
                begins = (behind[-1] if anew else max(behind, key=rank)) or None
                asset.torn(begins, vanished=record.get("vanished") is True, anew=anew)
            asset.shipped(points)
        return bool(gaps) or record.get("trouble") not in (None, STOPPED)

    def _conclude(self, run: RecordedRun, record: Record | None) -> None:
        plan, asset, verb = run.plan, run.asset, run.verb
        within = run.started >= self.period.start
        if within:
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
        if record is None or run.outcome == MISSED or run.let_be:
            return
        if run.verb == CHECK and run.outcome in ("CLEAN", "DAMAGED"):
            plan.last_conclusive_check = run
        if within and (size := whole(record.get("repository_bytes"))) is not None:
            plan.sizes.append((run.ended or run.started, size))
        for gone in listing(record.get("removed")) if run.verb == PRUNE else ():
            entry = mapping(gone)
            if entry and (asset := self.assets.get((str(run.plan), str(entry.get("asset"))))):
                asset.forget(str(entry.get("id")), within=within, ours=not of_another_host(record))
                plan.removed += within


def _selected(start: Record, snapshot: Mapping[str, Any]) -> str | None:
    """How a snapshot was chosen; where there was none, by what rule one was to be."""
    asked = text(start.get("selection"))
    return text(snapshot.get("selected")) or (asked if asked in RULES and not snapshot else None)
