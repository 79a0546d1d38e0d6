"""Every record of the ledger, once: runs with their outcome, and what they show of each asset and plan."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, TypeVar

from ccdr.evidence.history import DUTIES, LOGS, STOPPED, AssetHistory, Histories, follow, may_have_ended
from ccdr.evidence.ledger.lines import NEWER, PASSED_OVER
from ccdr.evidence.verdicts import Record
from ccdr.jobs.shipping.shelf import rank
from ccdr.model import parents as chain
from ccdr.model.measure import Point
from ccdr.model.values import AT, LATEST, TOLD_BY, Needed, Snapshot, Verb, of_another_host, source_digest, utc
from ccdr.plans.due import PATIENCE, Asked
from ccdr.plans.versions import PLAN_VERSION, Version, version_of
from ccdr.telling.report.period import LONG_AGO, NEVER, Period, month_of, next_month

BACKUP, TEST, PRUNE, CHECK, RESTORE = "backup", "test", "prune", "check", "restore"  # as the commands are called
VERBS = (BACKUP, TEST, PRUNE, CHECK, RESTORE)  # in the order in which they are told
GOOD = frozenset(("STORED", "PASS", "DONE", "CLEAN", "RESTORED"))
CRASHED, RUNNING, MISSED, SKIPPED, NOTED = "CRASHED", "RUNNING", "MISSED", "SKIPPED", "NOTED"

BY_LOG, BY_ID = "by log", "by id"
RULES = ("latest", "random", "oldest", BY_LOG, BY_ID)  # how a test's snapshot was selected

_TEST_KIND = "restore_test"  # as the ledger's records call it
_NO_RUN = frozenset((MISSED, SKIPPED, NOTED))
Key = TypeVar("Key", str, int)
RunKey = tuple[str, str | None, str | None, str | None]  # verb, plan, asset and run
_WHOLE = frozenset((TEST, PRUNE, CHECK, RESTORE))  # verbs whose records are told in full


@dataclass(slots=True)
class Run:
    """One row of the population: a run with its end, if it had one, or a single record such as `missed`.

    `seq` and `since` are its first record's place and that record's time as it stands there, `end_seq` and `until` its
    last one's; `due` and `count` are those of what was missed; `body` is the end's record where it is told in full.
    """

    seq: int | float
    verb: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    actor: str
    started: datetime
    since: str
    by: str = ""
    due: str = ""
    ended: datetime | None = None
    until: str | None = None
    end_seq: int | float | None = None
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
    left_out: tuple[str, ...] = ()  # of the asset, as the plan said: nothing of it comes back
    told_by: Mapping[str, Any] | None = None  # of a ledger beside ours: which record of which
    told_last: Mapping[str, Any] | None = None  # … and of the last one
    who: Record | None = None  # began it: as its first record has it
    tenant: str | None = None
    attempt: int | None = None
    copy: str | None = None  # of the data; and where that lies
    site: str | None = None
    proof: str | None = None  # of a test: how far it got
    restored: int | None = None  # bytes that were written for it

    @property
    def ledger(self) -> str | None:
        """Whose records they are, where that is not ours."""
        return str(self.told_by["ledger"]) if self.told_by else None

    @property
    def number(self) -> int:
        """Its first record's number in its own ledger."""
        return int(self.told_by["seq"] if self.told_by else self.seq)

    @property
    def place(self) -> str:
        """The same for people: `17@1a2b3c4d` where that ledger is not ours."""
        return f"{self.number}@{self.ledger[:8]}" if self.ledger else str(self.number)

    @property
    def end_number(self) -> int | None:
        """Its last one's."""
        if self.end_seq is None:
            return None
        return int(self.told_last["seq"] if self.told_last else self.end_seq)

    @property
    def good(self) -> bool:
        return self.outcome in GOOD


@dataclass(frozen=True)
class LogFailure:
    """Log that a recovery from `base` (None: not known) was to go through up to `until`, and could not."""

    base: datetime | None
    until: datetime


@dataclass
class Stretch:
    """Shipped log without a gap: its points, and the bases (ids) that it leads on from. Behind a gap it `begins` with
    that segment; where the source went back, that was found out at `anew`."""

    begins: str | None = None
    anew: datetime | None = None
    bases: list[str] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def compress(self, known: Mapping[str, Point], boundary: datetime) -> None:
        """Of bases that are still `known` only, and of the points between two of them the newest."""
        self.bases = [key for key in self.bases if key in known]
        begins = sorted(known[key].consistent for key in self.bases)
        between = defaultdict[int, dict[int, Point]](dict)
        for number, point in enumerate(self.points):
            if at := bisect_right(begins, point.consistent):
                between[at][number] = point
        kept = {number for some in between.values() for number in _standing(some, boundary)}
        self.points = [point for number, point in enumerate(self.points) if number in kept]


@dataclass
class AssetEvidence:
    """What the records say of one asset up to the period's end: its `history`, as every other command reads it, of
    which nothing that retention removed is forgotten; and what only a period asks for. `points` has every snapshot that
    was stored, by id, `stored` what the records tell of those that were not removed since."""

    first_seen: datetime
    history: AssetHistory
    points: dict[str, Point] = field(default_factory=dict)
    stored: dict[str, Record] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    removed_elsewhere: set[str] = field(default_factory=set)  # of those, what another host's ledger alone says
    removed_unseen: int = 0  # within the period, of which none had passed or failed a test
    log: list[Stretch] = field(default_factory=lambda: [Stretch()])
    log_recorded: datetime | None = None  # when the ledger was last told of it, whether or not within the period
    sources: dict[str, str] = field(default_factory=dict)  # digests of what snapshots are of, where records tell
    needed: dict[str, str | None] = field(default_factory=dict)  # segments that bases begin with; None: it is no base
    recovered: list[tuple[Point, Record]] = field(default_factory=list)  # what tests by the log have reached
    log_failures: list[LogFailure] = field(default_factory=list)  # whatever has passed since from a newer base
    upon: dict[str, list[str]] = field(default_factory=dict)  # what an increment builds upon, by id
    last: dict[str, Run] = field(default_factory=dict)  # by verb
    last_good: dict[str, Run] = field(default_factory=dict)
    last_conclusive: Run | None = None  # test
    by_rule: dict[str, Run] = field(default_factory=dict)  # the last conclusive test by how its snapshot was selected
    tests: list[Run] = field(default_factory=list)  # within the period

    def disproved(self, snapshot: str) -> bool:
        """By a test of it, or of what it builds upon."""
        return chain.disproved(snapshot, self.upon.get(snapshot, ()), self.history.proven)

    def of_source(self, snapshot: str, source: str) -> bool:
        """Is it of what the plan names now? An older record does not tell, and is believed."""
        said = self.sources.get(snapshot)
        return said is None or said == source_digest(source)

    def snapshots(
        self, plan: str, asset: str, source: str, end: datetime, others: Sequence[Snapshot] = ()
    ) -> list[Snapshot]:
        """Those that are there by the records alone, as the catalogue would have them; what it alone knows of them is
        left empty. `others`: of other hosts, that these may build upon."""
        of_others = {s.id: s.manifest_sha256 for s in others}

        def made(key: str, said: Record) -> Snapshot:
            point = self.points[key]
            upon = tuple(Needed(one, digest_of(one)) for one in self.upon.get(key, ()))
            return Snapshot(
                key, plan, asset, "", "", "", point.consistent, point.usable, whole(said.get("bytes")) or 0, "",
                digest_of(key), source=source if self.of_source(key, source) else None, upon=upon,
            )  # fmt: skip

        def digest_of(key: str) -> str:
            return text(self.stored.get(key, {}).get("manifest_sha256")) or of_others.get(key, "")

        found = [made(key, said) for key, said in self.stored.items() if self.points[key].usable <= end]
        return sorted(found, key=lambda s: (s.consistent_point, s.usable_at, s.id))

    def take(self, run: Run, record: Record | None) -> None:
        verb = run.verb
        _newer(self.last, run)
        if run.outcome in GOOD:
            _newer(self.last_good, run)
        if record is None:
            return
        if verb == BACKUP:
            stored = run.outcome in GOOD and run.snapshot and run.ended
            if stored and (consistent := _moment(run.consistent)):
                self._stored(str(run.snapshot), Point(consistent, run.ended or run.started), record)
        elif verb == TEST:
            reached = _moment(mapping(mapping(record.get("recovery")).get("reached")).get("at"))
            if run.outcome == "PASS" and reached is not None:
                self.recovered.append((Point(reached, run.ended or run.started), record))
            self._log_judged(record)
            if run.outcome in ("PASS", "FAIL"):
                self.last_conclusive = run
                self.by_rule[_rule(run.selected)] = run

    def _stored(self, key: str, point: Point, record: Record) -> None:
        said = mapping(record.get("snapshot"))
        self.points[key], self.stored[key] = point, said
        if source := text(said.get("source_sha256")):
            self.sources[key] = source
        if "needed_from" in said:
            self.needed[key] = text(said["needed_from"])
        newest = self.log[-1]
        of_it = newest.anew is None or newest.anew <= point.consistent  # else nobody knows of which history it is
        if of_it and self._leads(key, newest.begins):
            newest.bases.append(key)
        if upon := listing(said.get("upon")):
            self.upon[key] = [str(one) for one in upon]

    def forget(self, key: str, *, within: bool, ours: bool) -> None:
        """Retention removed it: what is counted of the period stays."""
        if not ours:
            self.removed_elsewhere.add(key)
        self.removed_unseen += within and key in self.points and key not in self.history.proven
        self.removed.add(key)
        self.history.told.pop(key, None)  # it is no backup any more that one could count on
        self.stored.pop(key, None)

    def compress(self, boundary: datetime) -> None:
        """Let go of what no period that begins later can ask for: what retention removed, and points of log and of
        recoveries, but for the newest ones, which stood at the boundary."""
        good = {key: p for key, p in self.points.items() if key in self.removed and not self.disproved(key)}
        tested = {key: p for key, p in good.items() if self.history.proven.get(key) == "PASS"}
        standing = {key for some in (good, tested) for key in _standing(some, boundary)}
        for key in self.removed - standing:
            for known in (self.points, self.sources, self.needed, self.upon):
                known.pop(key, None)
            self.history.forget(key, ours=key not in self.removed_elsewhere)
        self.removed &= standing
        self.removed_elsewhere &= standing
        for stretch in self.log:
            stretch.compress(self.points, boundary)
        self.log = [s for s in self.log[:-1] if s.points and s.bases] + self.log[-1:]
        newest = dict[str | None, dict[int, Point]]()
        for number, (point, test) in enumerate(self.recovered):
            newest.setdefault(text(mapping(test.get("snapshot")).get("source_sha256")), {})[number] = point
        kept = {number for some in newest.values() for number in _standing(some, boundary)}
        self.recovered = [one for number, one in enumerate(self.recovered) if number in kept]

    def _leads(self, base: str, begins: str | None) -> bool:
        """Does log that begins with this segment lead on from it? An older record does not tell: then every gap that
        was told before it is believed to lie before it."""
        needed = self.needed.get(base, "")
        return needed == "" or (needed is not None and (begins is None or rank(begins) <= rank(needed)))

    def torn(self, begins: str | None, *, vanished: bool = False, anew: datetime | None = None) -> None:
        """There is a gap, behind which the log begins so: it leads on from bases that lie behind it, no others. Where
        log has `vanished` that was stored once, the newest base before the gap leads nowhere any more. Where the source
        went back, and its log began `anew`, no base from before then leads on."""
        before = self.log[-1]
        bases = [b for b in before.bases if begins is not None and b in self.needed and self._leads(b, begins)]
        if vanished:
            last = max((self.points[b] for b in before.bases if b not in bases), default=None)
            first = min((self.points[b] for b in bases), default=None)
            before.points = [
                p
                for p in before.points
                if last is None
                or p.consistent <= last.consistent
                or (first is not None and p.consistent >= first.consistent)
            ]
        self.log.append(Stretch(begins, anew or before.anew, [] if anew else bases))

    def shipped(self, points: Iterable[Point], since: str | None = None) -> None:
        """`since`: all that is known of what the log begins with."""
        newest = self.log[-1]
        if since is not None:
            newest = Stretch(since, newest.anew, [b for b in newest.bases if self._leads(b, since)])
            self.log.append(newest)
        if newest.bases:
            newest.points += points

    def logged(self, bases: Mapping[str, Point]) -> list[Point]:
        """How far the log leads on from these bases: usable once one of them is that lies before it."""
        found = []
        for stretch in filter(lambda s: s.points, self.log):
            mine = sorted(bases[key] for key in stretch.bases if key in bases)
            begin, usable = [b.consistent for b in mine], list(accumulate((b.usable for b in mine), min))
            for point in stretch.points:
                if at := bisect_right(begin, point.consistent):
                    found.append(Point(point.consistent, max(point.usable, usable[at - 1])))
        return found

    def _log_judged(self, test: Record) -> None:
        """A pass takes back what failed from its own base on, if it goes as far: of what lies before that it says
        nothing."""
        said, base = mapping(test.get("recovery")), _moment(mapping(test.get("snapshot")).get("consistent_point"))
        until = _moment(said.get("until"))
        if said.get("verdict") == "FAIL" and until is not None:
            before = [p.consistent for p in self.points.values() if p.consistent <= until]
            failed = LogFailure(base or max(before, default=None), until)
            if failed not in self.log_failures:
                self.log_failures.append(failed)
        elif said.get("verdict") == "PASS" and base is not None:
            still = []
            for failed in self.log_failures:
                if said.get("target") != LATEST and (until is None or until < failed.until):
                    still.append(failed)
                elif failed.base is not None and failed.base < base:
                    still.append(replace(failed, until=min(failed.until, base - timedelta(microseconds=1))))
            self.log_failures = still


@dataclass
class OtherHost:
    """What another host's ledger tells of a plan: what runs there were asked for, and which versions were recorded."""

    until: datetime
    asked: list[Asked] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)


@dataclass
class PlanEvidence:
    """What the records say of one plan's repository, beside its history. `sizes` and `added` are of the period:
    bytes."""

    last: dict[str, Run] = field(default_factory=dict)
    last_conclusive_check: Run | None = None
    sizes: list[tuple[datetime, int]] = field(default_factory=list)
    added: list[tuple[datetime, int]] = field(default_factory=list)
    fetched: list[tuple[datetime, int]] = field(default_factory=list)  # by restore tests
    removed: int = 0  # snapshots, within the period
    asked: list[Asked] = field(default_factory=list)  # what runs here were asked for, change by change
    lost: dict[str, datetime] = field(default_factory=dict)  # when ledgers of this host's end that were lost, by id
    versions: list[Version] = field(default_factory=list)  # of the plan, as they were recorded
    others: dict[str, OtherHost] = field(default_factory=dict)  # by the ledgers that lie beside ours


def _standing(points: Mapping[Key, Point], boundary: datetime) -> set[Key]:
    """Of these points: the newest that stood at the boundary, and those that came to stand, or lie, behind it."""
    before = {key: point for key, point in points.items() if max(point) < boundary}
    newest = max(before, key=lambda key: before[key], default=None)
    return points.keys() - before.keys() | ({newest} if newest is not None else set())


def read_again(damaged: Run, clean: Run) -> bool:
    """Was what one check found damaged read by another, which found it clean?"""
    bad, good = damaged.body or {}, clean.body or {}
    if (bad.get("part"), bad.get("parts")) == (good.get("part"), good.get("parts")):
        return True
    full = _moment(good.get("full_since"))  # since then all of it was read at least once
    return full is not None and full >= damaged.started


def _rule(selected: str | None) -> str:
    if selected == AT:
        return BY_LOG
    return selected if selected in RULES else BY_ID


def _newer(held: dict[str, Run], run: Run) -> None:
    """By the ledger's own order: crashes are concluded last, whenever they began."""
    before = held.get(run.verb)
    if before is None or before.seq < run.seq:
        held[run.verb] = run


@dataclass
class Evidence:
    """Give it every record in order (`take`), then `close` it. `wanted` are plans; None: all.

    A run belongs to the period that it started in, so that two periods, one after the other, hold each run once. At
    the first record of each month that lies before the period, what is no more asked for is let go of: so what has to
    be known does not grow with the years, and can be kept (index.py).
    """

    period: Period
    wanted: Collection[str] | None = None
    boundary: datetime = field(default=LONG_AGO, kw_only=True)  # up to where that was done
    runs: list[Run] = field(default_factory=list)  # the population
    before: list[Run] = field(default_factory=list)  # that may have served what came due just before the period
    assets: dict[tuple[str, str], AssetEvidence] = field(default_factory=dict)
    plans: dict[str, PlanEvidence] = field(default_factory=lambda: defaultdict(PlanEvidence))
    histories: Histories = field(default_factory=dict)
    plans_seen: set[str | None] = field(default_factory=set)  # where only some are wanted
    _kinds: dict[str, tuple[str, str]] = field(default_factory=dict)
    _words: dict[Any, Any] = field(default_factory=dict)  # names and outcomes, each kept once
    open: dict[RunKey, tuple[Record, datetime]] = field(default_factory=dict)  # runs that have no end yet

    def take(self, record: Record, time: datetime) -> None:
        if time >= self._next:
            self.reach(time)
        plan = record["plan"]
        if self.wanted is not None:
            self.plans_seen.add(plan)
            if plan not in self.wanted:
                return
        if PASSED_OVER in record:
            self._pass_over(record, time)
            return
        kind = record["kind"]
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
        """Nothing can be taken from it: that it is there is told. A run that a later ccdr has ended did not crash."""
        verb, edge = self._kind(record["kind"])
        if record[PASSED_OVER] == NEWER and edge == "end":
            self.open.pop((verb, record["plan"], record["asset"], record["run"]), None)
        if time < self.period.end:
            follow(self.histories, record)

    def __post_init__(self) -> None:
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
        self._next = self._after(self.boundary)
        return True

    def _kind(self, kind: str) -> tuple[str, str]:
        """The verb, and which edge of it the record is: there are few kinds, and many records."""
        verb, _, edge = kind.rpartition(".")
        found = self._kinds[kind] = (TEST if verb == _TEST_KIND else verb, edge)
        return found

    def close(self, running: Callable[[str, datetime], bool]) -> None:
        """The runs that have no end: crashed, unless `running` knows them (by run, and when it began) to be at work."""

        def goes_on(run: str, record: Record, begun: datetime) -> bool:
            return may_have_ended(record) if TOLD_BY in record else running(run, begun)

        at_work = {run for (_, _, _, run), begun in self.open.items() if run is not None and goes_on(run, *begun)}
        for key in list(self.open):
            self._crashed(key, RUNNING if key[3] in at_work else CRASHED)
        for history in self.histories.values():
            history.at_work = [run for run in history.open_runs if run in at_work]
        self.runs.sort(key=lambda run: run.seq)

    def _crashed(self, key: RunKey, outcome: str) -> None:
        run = _begun(key[0], *self.open.pop(key))
        run.outcome = outcome
        self._conclude(run, None)

    def asset(self, plan: str, asset: str) -> AssetEvidence | None:
        return self.assets.get((plan, asset))

    def tallies(self) -> dict[tuple[str, str], Counter[str]]:
        """By plan and verb: how many of each outcome, and of `due` (on schedule, missed ones counted) and `started`."""
        found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        # Most runs are alike: counted first, then told apart.
        alike = Counter((r.plan or "", r.verb, r.outcome, r.by == "run", r.count) for r in self.runs)
        for (plan, verb, outcome, scheduled, count), runs in alike.items():
            tally = found[plan, verb]
            tally[outcome] += runs * count
            if outcome == MISSED:
                tally["due"] += runs * count
            else:
                tally["started"] += runs
                tally["due"] += runs * scheduled
        return found

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
        told = mapping(start.get("trigger"))
        seconds = _sum(phases.values()) if phases else None
        if verb not in (BACKUP, TEST) and not phases:
            seconds = _sum([get("seconds", 0)]) or None
        plan, asset, host, actor = start["plan"], start["asset"], start["host"], start["actor"]
        by, outcome = text(told.get("by")) or "", text(get("verdict" if verb == TEST else "result")) or NOTED
        same: Callable[[Any, Any], Any] = self._words.setdefault
        run = Run(
            start["seq"], verb, same(plan, plan), same(asset, asset), start["run"], same(host, host),
            same(actor, actor), started, start["time"], same(by, by), text(told.get("due")) or "",
            time, record["time"], record["seq"], same(outcome, outcome),
            text(get("reason")), 1, text(snapshot.get("id")), text(snapshot.get("consistent_point")),
            text(snapshot.get("selected")), whole(snapshot.get("bytes")), whole(get("added_bytes")), seconds,
            len(listing(findings)) if findings else 0,
            record if findings or verb in _WHOLE or get("repository") else None,
            tuple(map(str, listing(get("left_out")))),
            start.get(TOLD_BY), get(TOLD_BY), start.get("who"), text(get("tenant")), whole(get("attempt")),
            text(get("copy")), text(get("site")), text(get("proof")), whole(get("bytes_restored")),
        )  # fmt: skip
        self._conclude(run, record)
        return True

    def _single(self, record: Record, time: datetime) -> None:
        """A record that stands for itself: `missed`, or something that is only worth noting."""
        kind = record["kind"]
        run = _begun(kind, record, time)
        run.ended, run.until, run.outcome, run.reason = time, record["time"], NOTED, text(record.get("reason"))
        if kind == "missed":
            run.verb, run.outcome = str(record.get("verb")), MISSED
            run.by, run.due = "run", text(record.get("due")) or ""
            run.count = whole(record.get("count")) or 1
            run.body = record
        elif kind == "not_begun":  # tried, and nothing came of it
            run.verb = str(record.get("verb"))
            run.outcome = "FAILED" if run.verb in (BACKUP, "prune") else "INCONCLUSIVE"
            run.by, run.due = "run", text(record.get("due")) or ""
            run.body = record
        elif kind == LOGS:
            if not self._shipped(record, time) or time >= self.period.end:
                return
            run.reason = text(record.get("trouble")) or "log is missing"
            run.body = record
        elif kind == DUTIES and run.plan is not None:
            self._duties(self.plans[run.plan], record, time)
        elif kind == PLAN_VERSION and run.plan is not None and (version := version_of(record)):
            self._version(self.plans[run.plan], version, record)
        self._conclude(run, record)

    def _duties(self, plan: PlanEvidence, record: Record, time: datetime) -> None:
        told = record.get(TOLD_BY)
        if other := self._other(plan, record):
            other.asked.append(_asked(record, time))
            return
        if told and (until := _moment(told["until"])):
            plan.lost[told["ledger"]] = until
        plan.asked.append(_asked(record, time))

    def _version(self, plan: PlanEvidence, version: Version, record: Record) -> None:
        other = self._other(plan, record)
        (plan.versions if other is None else other.versions).append(version)

    @staticmethod
    def _other(plan: PlanEvidence, record: Record) -> OtherHost | None:
        told = record.get(TOLD_BY)
        if told is None or told["ours"]:
            return None
        return plan.others.setdefault(told["ledger"], OtherHost(utc(told["until"])))

    def _shipped(self, record: Record, time: datetime) -> bool:
        """Take an hour's snapshots of a shipped log; whether there is anything else to tell. What lies behind a gap
        counts from the first base on that lies there too."""
        asset = self.assets.get((str(record["plan"]), str(record["asset"])))
        gaps, since = listing(record.get("gaps")), _moment(record.get("since"))
        if asset is not None:
            if TOLD_BY not in record or record[TOLD_BY]["ours"]:
                asset.log_recorded = time
            points: list[Point] = []
            if since is not None:
                points += (
                    Point(since + timedelta(seconds=point), since + timedelta(seconds=usable))
                    for point, usable in filter(_pair, listing(record.get("points")))
                )
            # Told at once: its gap is the last one, and all points lie before it.
            anew = time if record.get("anew") is True else None
            if anew and len(gaps) == 1:
                asset.shipped(points)
                points = []
            if gaps:
                behind = [text(mapping(gap).get("before")) or "" for gap in gaps]
                begins = (behind[-1] if anew else max(behind, key=rank)) or None
                asset.torn(begins, vanished=record.get("vanished") is True, anew=anew)
            asset.shipped(points)
        return bool(gaps) or record.get("trouble") not in (None, STOPPED)

    def _conclude(self, run: Run, record: Record | None) -> None:
        plan, asset, verb = run.plan, run.asset, run.verb
        within = run.started >= self.period.start
        if within:
            self.runs.append(run)
        elif run.started >= self.period.start - PATIENCE:
            self.before.append(run)
        if plan is None:
            return
        if asset is not None:
            found = self.assets.get((plan, asset))
            if found is None:
                found = self.assets[plan, asset] = AssetEvidence(run.started, self.history(plan, asset))
            if run.outcome not in _NO_RUN:
                found.take(run, record)
            if within and verb == TEST:
                found.tests.append(run)
                if run.restored:
                    self.plans[plan].fetched.append((run.started, run.restored))
        if verb == BACKUP:
            if within and run.added:
                self.plans[plan].added.append((run.ended or run.started, run.added))
        elif verb in (PRUNE, CHECK):
            self._of_plan(self.plans[plan], run, record, within=within)

    def _of_plan(self, plan: PlanEvidence, run: Run, record: Record | None, *, within: bool) -> None:
        if run.outcome != MISSED:
            _newer(plan.last, run)
        if record is None or run.outcome == MISSED:
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


def _begun(verb: str, record: Record, time: datetime) -> Run:
    trigger = record.get("trigger")
    by, due = (trigger.get("by"), trigger.get("due")) if type(trigger) is dict else (None, None)
    return Run(
        record["seq"],
        verb,
        record["plan"],
        record["asset"],
        record["run"],
        record["host"],
        record["actor"],
        time,
        record["time"],
        text(by) or "",
        text(due) or "",
        told_by=record.get(TOLD_BY),
        who=record.get("who"),
        tenant=text(record.get("tenant")),
        attempt=whole(record.get("attempt")),
    )


def _asked(record: Record, time: datetime) -> Asked:
    known = {verb.value: verb for verb in Verb}
    last = mapping(record.get("asked_last")).items()
    ended = {known[verb]: at for verb, said in last if verb in known and (at := _moment(said))}
    return Asked(time, frozenset(known[verb] for verb in listing(record.get("verbs")) if verb in known), ended)


def _sum(seconds: Iterable[Any]) -> float | None:
    try:
        total = sum(seconds)
    except TypeError:  # phases that are no numbers
        return None
    return float(total) if total < 1e12 else None


# Records of other versions, or of another hand, may hold anything below their envelope: what is not of the right
# type is as if it were not there.


def text(value: Any) -> str | None:
    return value if type(value) is str else None


def whole(value: Any) -> int | None:
    return value if type(value) is int else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if type(value) is dict else {}


def listing(value: Any) -> list[Any]:
    return value if type(value) is list else []


def who_began(said: Record | None) -> tuple[int | None, int | None, str | None, str | None, str | None]:
    """User id, login user id, terminal, what has started it (these by the kernel, and by names), and who is claimed to
    have called sudo."""
    found = mapping(said)
    names = (
        text(found.get("terminal")),
        text(found.get("started_by")),
        text(mapping(found.get("claims")).get("sudo_user")),
    )
    return whole(found.get("uid")), whole(found.get("login_uid")), *names


def _pair(value: Any) -> bool:
    return type(value) is list and len(value) == 2 and all(type(v) in (int, float) and abs(v) < 1e9 for v in value)


def _moment(value: Any) -> datetime | None:
    """A time that can be read as one."""
    try:
        return utc(value)
    except (ValueError, TypeError, OverflowError):
        return None
