"""Every record of the ledger, once: runs with their outcome, and what they show of each asset and plan."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccdr.history import Record
from ccdr.measure import Point
from ccdr.model import utc
from ccdr.report.period import Period

BACKUP, TEST, PRUNE, CHECK, RESTORE = "backup", "restore_test", "prune", "check", "restore"
VERBS = (BACKUP, TEST, PRUNE, CHECK, RESTORE)  # in the order in which they are told
GOOD = frozenset(("STORED", "PASS", "DONE", "CLEAN", "RESTORED"))
CRASHED, RUNNING, MISSED, SKIPPED, NOTED = "CRASHED", "RUNNING", "MISSED", "SKIPPED", "NOTED"

_DUE_VERBS = {"backup": BACKUP, "test": TEST, "prune": PRUNE, "check": CHECK}  # as `missed` names them
_WHOLE = frozenset((TEST, PRUNE, CHECK, RESTORE))  # verbs whose records are told in full


@dataclass(slots=True)
class Run:
    """One row of the population: a run with its end, if it had one, or a single record such as `missed`.

    `seq` is its first record, `due` and `count` are those of what was missed; `body` is the end's record where it is
    told in full.
    """

    seq: int
    verb: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    actor: str
    started: datetime
    by: str = ""
    due: str = ""
    ended: datetime | None = None
    end_seq: int | None = None
    outcome: str = CRASHED
    reason: str | None = None
    count: int = 1
    snapshot: str | None = None
    consistent: str | None = None
    selected: str | None = None
    bytes: int | None = None
    added: int | None = None
    seconds: float | None = None
    findings: int = 0
    body: Record | None = None

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


@dataclass
class AssetEvidence:
    """What the records say of one asset up to the period's end. `points` has every snapshot that was stored, by id."""

    first_seen: datetime
    points: dict[str, Point] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    proven: dict[str, str] = field(default_factory=dict)  # each tested snapshot's latest verdict on itself
    last: dict[str, Run] = field(default_factory=dict)  # by verb
    last_good: dict[str, Run] = field(default_factory=dict)
    last_conclusive: Run | None = None  # test
    last_latest_pass: Run | None = None
    by_rule: dict[str, Run] = field(default_factory=dict)  # the last conclusive test by how its snapshot was selected
    tests: list[Run] = field(default_factory=list)  # within the period

    def take(self, run: Run, record: Record | None) -> None:
        _newer(self.last, run)
        if run.good:
            _newer(self.last_good, run)
        if record is None:
            return
        if run.verb == BACKUP and run.good and run.snapshot and run.consistent and run.ended:
            self.points[run.snapshot] = Point(utc(run.consistent), run.ended)
        elif run.verb == TEST:
            own = mapping(record.get("snapshot")).get("verdict")
            if own in ("PASS", "FAIL") and run.snapshot:
                self.proven[run.snapshot] = own
            if run.outcome in ("PASS", "FAIL"):
                self.last_conclusive = run
                self.by_rule[_rule(run.selected)] = run
                if run.outcome == "PASS" and run.selected == "latest":
                    self.last_latest_pass = run


@dataclass
class PlanEvidence:
    """What the records say of one plan's repository. `sizes` and `added` are of the period: bytes."""

    last: dict[str, Run] = field(default_factory=dict)
    last_good: dict[str, Run] = field(default_factory=dict)
    last_conclusive_check: Run | None = None
    damaged: Run | None = None  # the newest check that found damage
    sizes: list[tuple[datetime, int]] = field(default_factory=list)
    added: list[tuple[datetime, int]] = field(default_factory=list)
    removed: int = 0  # snapshots, within the period


def _newer(held: dict[str, Run], run: Run) -> None:
    """By the ledger's own order: crashes are concluded last, whenever they began."""
    before = held.get(run.verb)
    if before is None or before.seq < run.seq:
        held[run.verb] = run


def _rule(selected: str | None) -> str:
    return selected if selected in ("latest", "random", "oldest") else "by id"


@dataclass
class Evidence:
    """Give it every record in order (`take`), then `close` it. `wanted` are plans; None: all.

    A run belongs to the period that it started in, so that two periods, one after the other, hold each run once.
    """

    period: Period
    wanted: Collection[str] | None = None
    runs: list[Run] = field(default_factory=list)  # the population
    assets: dict[tuple[str, str], AssetEvidence] = field(default_factory=dict)
    plans: dict[str, PlanEvidence] = field(default_factory=lambda: defaultdict(PlanEvidence))
    plans_seen: set[str] = field(default_factory=set)
    _open: dict[tuple[str, str | None, str | None, str | None], Run] = field(default_factory=dict)

    def take(self, record: Record, time: datetime) -> None:
        plan = record["plan"]
        if plan is not None:
            self.plans_seen.add(plan)
        if self.wanted is not None and plan not in self.wanted:
            return
        verb, _, edge = record["kind"].rpartition(".")
        if edge == "start":
            if time < self.period.end:
                self._begin(verb, record, time)
        elif edge == "end":
            self._end(verb, record, time)
        elif time < self.period.end:
            self._single(record, time)

    def close(self, running: Callable[[str], bool]) -> None:
        """The runs that have no end: crashed, unless `running` knows them (by run) to be at work."""
        for run in self._open.values():
            if run.run is not None and running(run.run):
                run.outcome = RUNNING
            self._conclude(run, None)
        self._open.clear()
        self.runs.sort(key=lambda run: run.seq)

    def asset(self, plan: str, asset: str) -> AssetEvidence | None:
        return self.assets.get((plan, asset))

    def tallies(self) -> dict[tuple[str, str], Counter[str]]:
        """By plan and verb: how many of each outcome, and of `due` (on schedule, missed ones counted) and `started`."""
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for run in self.runs:
            tally = found[run.plan or "", run.verb]
            tally[run.outcome] += run.count
            if run.outcome == MISSED:
                tally["due"] += run.count
            else:
                tally["started"] += 1
                tally["due"] += run.by == "run"
        return found

    def _begin(self, verb: str, record: Record, time: datetime) -> None:
        key = (verb, record["plan"], record["asset"], record["run"])
        if doubled := self._open.pop(key, None):
            self._conclude(doubled, None)
        self._open[key] = self._run(verb, record, time)

    def _end(self, verb: str, record: Record, time: datetime) -> None:
        run = self._open.pop((verb, record["plan"], record["asset"], record["run"]), None)
        if run is None:
            if time >= self.period.end:  # it also started there, or was never begun
                return
            run = self._run(verb, record, time)
        run.ended, run.end_seq = time, record["seq"]
        run.outcome = text(record.get("verdict" if verb == TEST else "result")) or NOTED
        run.reason = text(record.get("reason"))
        if snapshot := mapping(record.get("snapshot")):
            run.snapshot, run.consistent = text(snapshot.get("id")), _moment(snapshot.get("consistent_point"))
            run.selected, run.bytes = text(snapshot.get("selected")), whole(snapshot.get("bytes"))
        run.added = whole(record.get("added_bytes"))
        if phases := mapping(record.get("phases")):
            run.seconds = sum(s for s in phases.values() if isinstance(s, (int, float)))
        run.findings = len(listing(record.get("findings")))
        if verb in _WHOLE or run.findings:
            run.body = record
        self._conclude(run, record)

    def _single(self, record: Record, time: datetime) -> None:
        """A record that stands for itself: `missed`, or something that is only worth noting."""
        kind = record["kind"]
        run = self._run(kind, record, time)
        run.ended, run.outcome, run.reason = time, NOTED, text(record.get("reason"))
        if kind == "missed":
            named = str(record.get("verb"))
            run.verb, run.outcome = _DUE_VERBS.get(named, named), MISSED
            run.by, run.due = "run", text(record.get("due")) or ""
            run.count = whole(record.get("count")) or 1
            run.body = record
        self._conclude(run, record)

    def _run(self, verb: str, record: Record, time: datetime) -> Run:
        trigger = mapping(record.get("trigger"))
        run = Run(
            record["seq"], verb, record["plan"], record["asset"], record["run"], record["host"], record["actor"], time
        )
        if trigger:
            run.by, run.due = text(trigger.get("by")) or "", text(trigger.get("due")) or ""
        return run

    def _conclude(self, run: Run, record: Record | None) -> None:
        within = run.started >= self.period.start
        if within:
            self.runs.append(run)
        if run.plan is not None and run.asset is not None:
            self._of_asset(run.plan, run.asset, run, record, within=within)
        if run.plan is not None and run.verb in (BACKUP, PRUNE, CHECK):
            self._of_plan(self.plans[run.plan], run, record, within=within)

    def _of_asset(self, plan: str, asset: str, run: Run, record: Record | None, *, within: bool) -> None:
        found = self.assets.get((plan, asset))
        if found is None:
            found = self.assets[plan, asset] = AssetEvidence(run.started)
        if run.outcome not in (MISSED, SKIPPED, NOTED):
            found.take(run, record)
        if run.verb == TEST and within:
            found.tests.append(run)

    def _of_plan(self, plan: PlanEvidence, run: Run, record: Record | None, *, within: bool) -> None:
        at = run.ended or run.started
        if run.verb == BACKUP:
            if within and run.added:
                plan.added.append((at, run.added))
            return
        if run.outcome != MISSED:
            _newer(plan.last, run)
        if record is None or run.outcome == MISSED:
            return
        if run.good:
            _newer(plan.last_good, run)
        if run.verb == CHECK and run.outcome in ("CLEAN", "DAMAGED"):
            plan.last_conclusive_check = run
            if run.outcome == "DAMAGED":
                plan.damaged = run
        if within and (size := whole(record.get("repository_bytes"))) is not None:
            plan.sizes.append((at, size))
        for gone in listing(record.get("removed")) if run.verb == PRUNE else ():
            entry = mapping(gone)
            if entry and (asset := self.assets.get((str(run.plan), str(entry.get("asset"))))):
                asset.removed.add(str(entry.get("id")))
                plan.removed += within


# Records of other versions, or of another hand, may hold anything below their envelope: what is not of the right
# type is as if it were not there.


def text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def whole(value: Any) -> int | None:
    return value if type(value) is int else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def listing(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _moment(value: Any) -> str | None:
    """A time that can be read as one."""
    try:
        utc(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return str(value)
