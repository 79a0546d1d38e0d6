"""Where each asset and each plan stands at the period's end, and how it did in it. Values in, values out."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from statistics import median

from ccdr.evidence.history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Disproved, Seen
from ccdr.jobs.shipping.shelf import EARLIEST
from ccdr.model import measure
from ccdr.model.fetched import Fetched, fetched
from ccdr.model.measure import Point
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Achieved,
    Objectives,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    human_bytes,
    human_seconds,
    other_source,
    so_many,
    utc,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.versions import Version, objectives_in_force
from ccdr.storage.catalogue import of_source
from ccdr.telling.report.evidence import (
    BACKUP,
    CHECK,
    CRASHED,
    GOOD,
    PRUNE,
    TEST,
    AssetEvidence,
    PlanEvidence,
    Run,
    mapping,
    read_again,
)
from ccdr.telling.report.growth import Growth, growth
from ccdr.telling.report.period import MOST_PARTS, MOST_POINTS, Period
from ccdr.telling.status import Answering


@dataclass(frozen=True)
class Finding:
    """One sentence, and what it is about: a plan, one of its assets, or (neither) the ledger itself."""

    level: Level
    text: str
    plan: str | None = None
    asset: str | None = None
    step: str | None = None  # what to do next, as of when the report is made
    code: str | None = None  # of the trouble; None for what is of the period alone
    acknowledged: datetime | None = None  # until when, where a person has taken note of it
    because: str | None = None  # code of what it only follows from

    @classmethod
    def of(cls, problem: Problem, plan: str, asset: str | None = None) -> Finding:
        because = problem.because and problem.because.name
        told = problem.step, problem.trouble.name, problem.acknowledged, because
        return cls(problem.level, problem.text, plan, asset, *told)

    @property
    def about(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part) or "the ledger"

    def as_json(self) -> dict[str, object]:
        return {
            "level": self.level.name,
            "code": self.code,
            "acknowledged": self.acknowledged is not None,
            "plan": self.plan,
            "asset": self.asset,
            "text": self.text,
            "next_step": self.step,
            "because": self.because,
        }


@dataclass(frozen=True)
class Exposure:
    """The worst of the period in seconds (infinite: nothing usable), over some of the snapshots. `since` is where
    measuring began if that was after the period did; `parts` has the worst of each part between `edges`."""

    worst_s: float
    since: datetime | None
    edges: tuple[datetime, ...]
    parts: tuple[float, ...]


@dataclass(frozen=True)
class Restores:
    """What the period's passed tests took to restore, with one kind of server settings: seconds."""

    basis: str
    count: int
    worst_s: float
    median_s: float
    last_s: float
    breached: int


@dataclass(frozen=True)
class Timing:
    """One passed test's RTO."""

    at: datetime
    achieved_s: float
    basis: str
    verdict: str


@dataclass(frozen=True)
class AssetReport:
    """One asset. `rpo` is the worst exposure of the period over completed backups; `rpo_tested` the same over those
    that a restore test has passed; `rpo_now` and `rto` are those of the period's end. An asset that no plan names any
    more is not judged: then `in_plan` is false, and the objectives are None. `unreached`: when its repository was last
    asked, it was not to be had."""

    plan: str
    asset: str
    service: str | None
    engine: str | None
    in_plan: bool
    unreached: bool
    objectives: Objectives | None
    basis: str | None
    coverage: str | None  # tested, untested, stale; None where it is not judged
    findings: tuple[Finding, ...]
    rpo: Achieved | None
    rpo_now: Achieved | None
    rto: Achieved | None
    near_known: bool  # whether its copies lie where it does
    completed: Exposure
    tested: Exposure
    restores: tuple[Restores, ...]
    timings: tuple[Timing, ...]
    last_backup: Run | None
    last_test: Run | None
    last_conclusive: Run | None
    by_rule: Mapping[str, Run]
    kept: int  # snapshots that are there, as far as the records tell
    left_out: tuple[str, ...]  # of its newest good backup, as its plan says: nothing of that comes back
    untested: tuple[
        tuple[str, datetime], ...
    ]  # of those, the ones never restored: id and consistent point, newest first
    removed_untested: int
    calendar: tuple[Mapping[str, int], ...]  # outcomes of restore tests, by the matrix's parts of the period

    @property
    def name(self) -> str:
        return f"{self.plan}/{self.asset}"

    @property
    def level(self) -> Level:
        return max((f.level for f in self.findings), default=Level.FINE)

    @property
    def state(self) -> str:
        """In one word, for people."""
        if not self.in_plan:
            return "retired"
        words = {Level.LOST: "cannot be restored", Level.UNPROVEN: "not proven", Level.LATE: "not in time"}
        return words.get(self.level, "proven")


@dataclass(frozen=True)
class PlanReport:
    """One plan's repository and upkeep."""

    plan: str
    service: str | None
    owner: str | None
    in_plan: bool
    findings: tuple[Finding, ...]
    last_prune: Run | None
    last_check: Run | None
    last_conclusive_check: Run | None
    removed: int
    growth: Growth
    fetched: Fetched = field(default_factory=Fetched)
    elsewhere: tuple[Answering, ...] = ()  # who does what this host does not answer for


@dataclass(frozen=True)
class Interruption:
    """Consecutive runs of one asset (or plan) and verb that did not end well. `mended` is the good run after them;
    `unchecked` one that was good by fewer or weaker checks, so that what failed is no longer checked."""

    plan: str | None
    asset: str | None
    verb: str
    runs: tuple[Run, ...]
    mended: Run | None
    outcomes: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    unchecked: Run | None = None

    @property
    def count(self) -> int:
        return sum(self.outcomes.values())


def interruptions(
    runs: Iterable[Run], mends: Callable[[Run, Run], bool] = lambda bad, good: True
) -> list[Interruption]:
    """Everything of the population that did not end well, newest last. Runs at work, and mere notes, are neither.
    `mends`: does a good run take back a bad one, as far as its checks go?"""
    open_: dict[tuple[str | None, str | None, str], list[Run]] = {}
    unchecked: dict[tuple[str | None, str | None, str], Run] = {}
    found: list[Interruption] = []
    for run in runs:
        key = (run.plan, run.asset, run.verb)
        if run.outcome in GOOD:
            if key not in open_:
                continue
            bad = open_.pop(key)
            weaker = {id(one) for one in bad if not mends(one, run)}
            if weaker:
                unchecked[key] = run
            if still := [
                one for one in bad if id(one) in weaker or (one.outcome == "DAMAGED" and not read_again(one, run))
            ]:
                open_[key] = still
            if mended := [one for one in bad if one not in still]:
                found.append(_interruption(mended, run))
        elif run.outcome not in ("RUNNING", "NOTED"):
            open_.setdefault(key, []).append(run)
    for key, bad in open_.items():  # what failed after the last good run was not passed by it
        passed = unchecked.get(key)
        old = [one for one in bad if passed is not None and one.seq < passed.seq]
        found += [replace(_interruption(old, None), unchecked=passed)] if old else []
        found += [_interruption(rest, None)] if (rest := bad[len(old) :]) else []
    return sorted(found, key=lambda i: i.runs[-1].seq)


def _interruption(bad: list[Run], mended: Run | None) -> Interruption:
    outcomes: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for run in bad:
        outcomes[run.outcome] += run.count
        reasons[run.reason or ("it has no end" if run.outcome == CRASHED else "no reason given")] += run.count
    return Interruption(bad[0].plan, bad[0].asset, bad[0].verb, tuple(bad), mended, outcomes, reasons)


def judge_asset(
    job: Job | None,
    name: tuple[str, str],
    evidence: AssetEvidence | None,
    elsewhere: Sequence[Snapshot],
    upkeep: AssetHistory,
    period: Period,
    *,
    versions: Sequence[Version] = (),
    seen: Seen | None = None,
) -> AssetReport:
    """`job` is None for what no plan names; `elsewhere` are snapshots that other hosts took, `upkeep` is the plan's own
    history, `versions` what was promised at each time, `seen` what this host knows now, where that is asked for."""
    ev = evidence or AssetEvidence(period.start, AssetHistory())
    source = job.engine.source_name if job else None
    others = {
        s.id: Point(s.consistent_point, s.usable_at)
        for s in elsewhere
        if s.note is None and (source is None or of_source(s, source))
    }
    points = {**ev.points, **others}
    ours = {key: p for key, p in points.items() if source is None or key in others or ev.of_source(key, source)}
    ours_to_do = ev.history.backs_up(upkeep, known=bool(points))
    recovered = [p for p, test in ev.recovered if source is None or not other_source(test, source)]
    stages = [
        _stage(since, {key: p for key, p in ours.items() if key not in gone}, ev, upkeep, recovered, ours_to_do)
        for since, gone in _missed(ev.history)
    ]
    kept = {key: p for key, p in points.items() if key not in ev.removed}
    untested = sorted(((p.consistent, key) for key, p in kept.items() if key not in ev.history.proven), reverse=True)
    completed = [(one.since, one.completed) for one in stages]
    over_completed = _exposure(completed, period, min(map(max, ours.values()), default=None))
    over_tested = _exposure([(one.since, one.tested) for one in stages], period)
    timings = tuple(t for run in ev.tests if (t := _timing(run)))
    objectives, found, rpo = job.objectives if job else None, None, None
    findings: tuple[Finding, ...] = ()
    if job and source is not None:
        found = judge(job, ev.history, upkeep, _with(seen, ev, elsewhere, source, name, period), period.end)
        rpo = _worst_of(versions, name[1], period, job.objectives.rpo, over_completed, completed)
        backer = upkeep.elsewhere(Verb.BACKUP)
        if not ours_to_do and (backer is None or backer.until < period.end):
            looks = [ev.last[TEST].ended if TEST in ev.last else None, backer.until if backer else None]
            looked = max((at for at in looks if at), default=None)
            rpo = _elsewhere(job.objectives.rpo, completed, period, over_completed, looked)
        findings = (
            *(Finding.of(problem, *name) for problem in found.troubles),
            *_over_the_period(found, rpo, timings, job, over_completed, name),
            *(Finding.of(problem, *name) for problem in found.near),
        )
    return AssetReport(
        plan=name[0],
        asset=name[1],
        service=job.loaded.plan.service if job else None,
        engine=job.engine.engine_name if job else None,
        in_plan=job is not None,
        unreached=found is not None and found.away,
        objectives=objectives,
        basis=job.engine.settings if job else None,
        coverage=found.coverage if found else None,
        findings=tuple(sorted(findings, key=lambda f: -f.level)),
        rpo=rpo,
        rpo_now=found.rpo if found else None,
        rto=found.rto if found else None,
        near_known=found is None or found.near_known,
        completed=over_completed,
        tested=over_tested,
        restores=tuple(_restores(timings)),
        timings=timings,
        last_backup=ev.last.get(BACKUP),
        last_test=ev.last.get(TEST),
        last_conclusive=ev.last_conclusive,
        by_rule=ev.by_rule,
        kept=len(kept),
        left_out=newest.left_out if (newest := ev.last_good.get(BACKUP)) else (),
        untested=tuple((key, moment) for moment, key in untested),
        removed_untested=ev.removed_unseen,
        calendar=_calendar(ev.tests, period),
    )


def _with(
    now: Seen | None,
    ev: AssetEvidence,
    elsewhere: Sequence[Snapshot],
    source: str,
    name: tuple[str, str],
    period: Period,
) -> Seen:
    """What is known `now`, if that is asked for. Where no catalogue tells what its bases begin with, the records tell
    how far their log leads on."""
    if now is not None and not now.by_records:
        return now
    told = _as_of(ev, elsewhere, source, name, period)
    return told if now is None else replace(now, logged=told.logged)


def _as_of(
    ev: AssetEvidence, elsewhere: Sequence[Snapshot], source: str, name: tuple[str, str], period: Period
) -> Seen:
    """What the records alone tell of the period's end."""
    own = ev.snapshots(*name, source, period.end, elsewhere)
    there = sorted([*own, *elsewhere], key=lambda s: (s.consistent_point, s.usable_at, s.id))

    def logged(bases: Sequence[Snapshot], _: Disproved) -> Sequence[Point]:
        points = {s.id: Point(s.consistent_point, s.usable_at) for s in bases}
        return _log_that_counts(ev, ev.logged(points), points.values())

    return Seen(there, logged)


def _log_that_counts(ev: AssetEvidence, logged: Iterable[Point], good: Iterable[Point]) -> list[Point]:
    """Without what a recovery that failed, and none took back, was to go through: from its base on, until a newer base
    leads on anew."""
    if not ev.log_failures:
        return list(logged)
    bases = sorted(point.consistent for point in good)
    bad = set()
    for failed in ev.log_failures:
        at = bisect_right(bases, failed.until)
        begins = failed.base or (bases[at - 1] if at else EARLIEST)
        bad.add((begins, bases[at] if at < len(bases) else None))
    return [
        p
        for p in logged
        if not any(begins < p.consistent and (ends is None or p.consistent < ends) for begins, ends in bad)
    ]


def _near_limit(told: Fetched, plan: str, period: Period) -> Iterator[Finding]:
    if told.limit is not None and told.near(period.end):
        month = told.in_month(period.end)
        text = f"its restore tests fetched {human_bytes(month)} of the {human_bytes(told.limit)} allowed this month"
        step = "test less often, or smaller snapshots; or raise `limits: {fetch_per_month: …}`"
        yield Finding(Level.NOTE, text, plan, step=step)


def judge_plan(
    name: str,
    loaded: LoadedPlan | None,
    ev: PlanEvidence,
    problems: Sequence[Problem],
    period: Period,
    *,
    free: int | None,
    elsewhere: tuple[Answering, ...] = (),
) -> PlanReport:
    """`problems` are of the care of its repository; `free` is the room that is left where that lies, bytes, if that is
    known."""
    plan = loaded.plan if loaded else None
    told = fetched(ev.fetched, plan.limits.fetch_per_month if plan else None)
    return PlanReport(
        plan=name,
        service=plan.service if plan else None,
        owner=plan.owner if plan else None,
        in_plan=plan is not None,
        findings=(*(Finding.of(problem, name) for problem in problems), *_near_limit(told, name, period)),
        last_prune=ev.last.get(PRUNE),
        last_check=ev.last.get(CHECK),
        last_conclusive_check=ev.last_conclusive_check,
        removed=ev.removed,
        growth=growth(ev.sizes, ev.added, period, free),
        fetched=told,
        elsewhere=elsewhere,
    )


Stages = Sequence[tuple[datetime, Sequence[Point]]]  # what could be restored from each of these times on


@dataclass(frozen=True)
class _Stage:
    """What is known to be there from a time on: that something vanished says nothing of what it was good for before."""

    since: datetime
    completed: list[Point]
    tested: list[Point]


def _missed(history: AssetHistory) -> Iterator[tuple[datetime, set[str]]]:
    """What was missed already, from each time on that something was first missed."""
    yield datetime.min.replace(tzinfo=UTC), set()
    missed = {one: utc(at) for one, at in history.vanished.items()}
    for since in sorted(set(missed.values())):
        yield since, {one for one, at in missed.items() if at <= since}


def _stage(
    since: datetime,
    there: Mapping[str, Point],
    ev: AssetEvidence,
    upkeep: AssetHistory,
    recovered: Sequence[Point],
    ours_to_do: bool,
) -> _Stage:
    good = {key: p for key, p in there.items() if not ev.disproved(key)}
    until = ev.history.counts_until(((key, p.consistent) for key, p in good.items()), upkeep)
    counting = {key: p for key, p in good.items() if p.consistent <= until}
    completed = [*counting.values(), *_log_that_counts(ev, ev.logged(counting), counting.values())]
    if not ours_to_do:  # nor is its log shipped here
        completed += recovered
    tested = [*(p for key, p in good.items() if ev.history.proven.get(key) == "PASS"), *recovered]
    return _Stage(since, completed, [] if ev.history.closed_by_damage(upkeep) else tested)


def _worst_each(edges: Sequence[datetime], stages: Stages) -> list[float]:
    """The worst exposure of each of the periods between `edges`, by what was there at each time."""
    if len(stages) == 1:
        return measure.worst_exposures(edges, stages[0][1])
    worst = [0.0] * (len(edges) - 1)
    for (since, points), end in zip(stages, [*(later for later, _ in stages[1:]), edges[-1]], strict=True):
        first, last = max(edges[0], since), min(edges[-1], end)
        if first >= last:
            continue
        within = [first, *(edge for edge in edges if first < edge < last), last]
        for start, part in zip(within, measure.worst_exposures(within, points), strict=False):
            number = bisect_right(edges, start) - 1
            worst[number] = max(worst[number], part)
    return worst


def _worst_of(
    versions: Sequence[Version], asset: str, period: Period, now: float, over: Exposure, stages: Stages
) -> Achieved:
    """The period's worst exposure against the RPO of its time: where that was changed, the one that is worst against
    its own. Before the first version it was that version's, as far as anybody knows."""
    spans = objectives_in_force(versions, asset, period.start, period.end)
    whole = measure.judge(now, over.worst_s)
    if {rpo for _, _, rpo, _ in spans} <= {now} or over.worst_s == math.inf:
        return whole
    begun = [(since if number else period.start, until, rpo) for number, (since, until, rpo, _) in enumerate(spans)]
    measured = [(max(since, over.since or since), until, rpo) for since, until, rpo in begun]
    each = [measure.judge(rpo, *_worst_each((since, until), stages)) for since, until, rpo in measured if since < until]
    return max(each, key=lambda one: (one.achieved_s or 0.0) / one.objective_s, default=whole)


def _elsewhere(objective: float, stages: Stages, period: Period, over: Exposure, looked: datetime | None) -> Achieved:
    """The worst exposure of the period where another host backs up: a breach is one by what was there when this host
    last `looked`; what came since is not known here."""
    points = stages[0][1]
    if looked is None or any(max(p) > looked for p in points if max(p) < period.end):
        looked = max((max(p) for p in points if max(p) < period.end), default=period.start)
    at, first = min(looked, period.end), min(map(max, points), default=period.end)
    since = max(period.start, first)
    seen = max(_worst_each((since, at), stages)) if since < at else 0.0
    return measure.judge_elsewhere(objective, over.worst_s, seen)


def day(moment: datetime) -> str:
    """As sentences name a moment: UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _over_the_period(
    found: AssetStatus,
    rpo: Achieved,
    timings: Sequence[Timing],
    job: Job,
    completed: Exposure,
    name: tuple[str, str],
) -> Iterable[Finding]:
    """What was once not as promised in the period, and is again at its end."""
    wanted, allowed = human_seconds(rpo.objective_s), human_seconds(found.rto.objective_s)
    now = found.rpo.verdict is ObjectiveVerdict.BREACHED and found.rpo.achieved_s != math.inf
    if not now and rpo.verdict is ObjectiveVerdict.BREACHED and completed.worst_s != math.inf:
        worst, over_by = human_seconds(rpo.achieved_s), human_seconds((rpo.achieved_s or 0.0) - rpo.objective_s)
        text = f"up to {worst} of its data could have been lost at one time in the period, {over_by} more than its RPO"
        yield Finding(Level.NOTE, f"{text} of {wanted}", *name)
    elif rpo.verdict is ObjectiveVerdict.BREACHED and found.rpo.verdict is not ObjectiveVerdict.BREACHED:
        text = "at one time in the period none of its backups was good: all of its data could have been lost"
        yield Finding(Level.NOTE, text, *name)
    over = [t for t in timings if t.basis == job.engine.settings and t.verdict == ObjectiveVerdict.BREACHED]
    if over and found.rto.verdict is not ObjectiveVerdict.BREACHED:
        took = human_seconds(max(t.achieved_s for t in over))
        text = f"restoring it took up to {took} in {so_many(len(over), 'test')} of the period, and its RTO is {allowed}"
        yield Finding(Level.NOTE, text, *name, next_step(Trouble.BREACH_RTO, *name))


def _timing(run: Run) -> Timing | None:
    rto = mapping((run.body or {}).get("rto"))
    achieved = rto.get("achieved_s")
    if not isinstance(achieved, (int, float)):
        return None
    return Timing(run.started, float(achieved), str(rto.get("basis")), str(rto.get("verdict")))


def _restores(timings: Sequence[Timing]) -> Iterable[Restores]:
    for basis in sorted({t.basis for t in timings}):
        some = [t for t in timings if t.basis == basis]
        took = [t.achieved_s for t in some]
        breached = sum(t.verdict == ObjectiveVerdict.BREACHED for t in some)
        yield Restores(basis, len(some), max(took), median(took), took[-1], breached)


def _exposure(stages: Stages, period: Period, begun: datetime | None = None) -> Exposure:
    """The contract's formula: over consecutive good backups, and from the last one to the end. Before the first that
    was ever there nothing could be measured: then `since` says from when. What was stored since `begun` and is no good
    makes that no better: until the first good one, all of it would have been lost."""
    edges, points = tuple(period.edges(MOST_POINTS)), stages[0][1]
    first = min(map(max, points), default=period.end)
    none_good = begun is not None and begun < first and first > period.start
    if first >= period.end:
        return Exposure(math.inf, None, edges, (math.inf,) * (len(edges) - 1))
    if first <= period.start:
        parts = _worst_each(edges, stages)
        return Exposure(max(parts), None, edges, tuple(parts))
    later = [edge for edge in edges if edge > first]
    parts = _worst_each([first, *later], stages)
    worst = math.inf if none_good else max(parts)
    return Exposure(worst, first, edges, (math.inf,) * (len(edges) - 1 - len(later)) + tuple(parts))


def _calendar(tests: Sequence[Run], period: Period) -> tuple[Mapping[str, int], ...]:
    edges = period.edges(MOST_PARTS)
    counts: list[Counter[str]] = [Counter() for _ in edges[1:]]
    at = 0
    for run in sorted(tests, key=lambda run: run.started):
        while at < len(counts) - 1 and run.started >= edges[at + 1]:
            at += 1
        counts[at][run.outcome] += run.count
    return tuple(counts)
