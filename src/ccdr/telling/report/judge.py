"""Where each asset and each plan stands at the period's end, and how it did in it: its worst exposures, and its
interruptions. Values in, values out.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Disproved, Seen
from ccdr.evidence.records import TestEnd
from ccdr.jobs.shipping.log_archive import EARLIEST
from ccdr.model import measure
from ccdr.model.fetched import fetched
from ccdr.model.measure import Point
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    human_seconds,
    so_many,
    source_digest,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.versions import PlanRevision, objectives_in_force
from ccdr.storage.catalogue import of_source
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.copies import CopyReport
from ccdr.telling.report.evidence import PlanEvidence
from ccdr.telling.report.growth import growth
from ccdr.telling.report.judged import (
    AssetReport,
    Exposure,
    Interruption,
    PlanReport,
    ReportedFinding,
    Restores,
    Timing,
)
from ccdr.telling.report.period import MOST_PARTS, MOST_POINTS, Period
from ccdr.telling.report.runs import BACKUP, CHECK, CRASHED, GOOD, PRUNE, TEST, RecordedRun, read_again
from ccdr.telling.status import Answering

# The worst exposure of a period, stage by stage, against the RPO of its time.


def log_that_counts(ev: AssetEvidence, logged: Iterable[Point], good: Iterable[Point]) -> list[Point]:
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


Stages = Sequence[tuple[datetime, Sequence[Point]]]  # what could be restored from each of these times on


@dataclass(frozen=True)
class _Stage:
    """What is known to be there from a time on: that something vanished says nothing of what it was good for before."""

    since: datetime
    completed: list[Point]
    tested: list[Point]


def missed_from(history: AssetHistory) -> Iterator[tuple[datetime, set[str]]]:
    """What was missed already, from each time on that something was first missed."""
    yield datetime.min.replace(tzinfo=UTC), set()
    for since in sorted(set(history.vanished.values())):
        yield since, {one for one, at in history.vanished.items() if at <= since}


def stages_of(
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
    completed = [*counting.values(), *log_that_counts(ev, ev.logged(counting), counting.values())]
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


def worst_of(
    versions: Sequence[PlanRevision], asset: str, period: Period, now: float, over: Exposure, stages: Stages
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


def exposed_elsewhere(
    objective: float, stages: Stages, period: Period, over: Exposure, known_until: datetime | None
) -> Achieved:
    """The worst exposure of the period where another host backs up: a breach is one by what was there at
    `known_until`, when this host last looked; what came since is not known here."""
    points = stages[0][1]
    if known_until is None or any(max(p) > known_until for p in points if max(p) < period.end):
        known_until = max((max(p) for p in points if max(p) < period.end), default=period.start)
    at, first = min(known_until, period.end), min(map(max, points), default=period.end)
    since = max(period.start, first)
    seen = max(_worst_each((since, at), stages)) if since < at else 0.0
    return measure.judge_elsewhere(objective, over.worst_s, seen)


def exposure_over(stages: Stages, period: Period, begun: datetime | None = None) -> Exposure:
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


# Consecutive runs that did not end well, and whether they were mended.


def interruptions(
    runs: Iterable[RecordedRun], mends: Callable[[RecordedRun, RecordedRun], bool] = lambda bad, good: True
) -> list[Interruption]:
    """Everything of the population that did not end well, newest last. Runs at work, and mere notes, are neither; nor
    is a restore that was refused: nothing was done, and there is nothing to mend.
    `mends`: does a good run take back a bad one, as far as its checks go?"""
    open_: dict[tuple[str | None, str | None, str], list[RecordedRun]] = {}
    unchecked: dict[tuple[str | None, str | None, str], RecordedRun] = {}
    ended: list[Interruption] = []
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
                ended.append(_interruption(mended, run))
        elif run.outcome not in ("RUNNING", "NOTED", "REFUSED"):
            open_.setdefault(key, []).append(run)
    for key, bad in open_.items():  # what failed after the last good run was not passed by it
        passed = unchecked.get(key)
        old = [one for one in bad if passed is not None and one.seq < passed.seq]
        ended += [replace(_interruption(old, None), unchecked=passed)] if old else []
        ended += [_interruption(rest, None)] if (rest := bad[len(old) :]) else []
    return sorted(ended, key=lambda i: i.runs[-1].seq)


def _interruption(bad: list[RecordedRun], mended: RecordedRun | None) -> Interruption:
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
    versions: Sequence[PlanRevision] = (),
    seen: Seen | None = None,
    lost: bool = False,
) -> AssetReport:
    """`job` is None for what no plan names; `elsewhere` are snapshots that other hosts took, `upkeep` is the plan's own
    history, `versions` what was promised at each time, `seen` what this host knows now, where that is asked for;
    `lost` as `Seen` has it."""
    ev = evidence or AssetEvidence(AssetHistory())
    course = _course(job, ev, elsewhere, upkeep, period)
    timings = tuple(t for run in ev.tests if (t := _timing(run)))
    status, rpo = None, None
    findings: tuple[ReportedFinding, ...] = ()
    if job:
        known = replace(_with(seen, ev, elsewhere, job, period), lost=lost)
        status = judge(job, ev.history, upkeep, known, period.end)
        rpo = _rpo_of_the_period(job, ev, upkeep, course, versions, period)
        findings = (
            *(ReportedFinding.of(problem, *name) for problem in status.troubles),
            *_over_the_period(status, rpo, timings, job, course.completed, name),
            *(ReportedFinding.of(problem, *name) for problem in status.near),
        )
    return AssetReport(
        plan=name[0],
        asset=name[1],
        service=job.loaded.plan.service if job else None,
        engine=job.engine.engine_name if job else None,
        in_plan=job is not None,
        objectives=job.objectives if job else None,
        basis=job.engine.settings if job else None,
        coverage=status.coverage if status else None,
        findings=tuple(sorted(findings, key=lambda f: -f.level)),
        rpo=rpo,
        rpo_now=status.rpo if status else None,
        rto=status.rto if status else None,
        near_known=status is None or status.near_known,
        completed=course.completed,
        tested=course.tested,
        restores=tuple(_restores(timings)),
        timings=timings,
        last_backup=ev.last.get(BACKUP),
        last_test=ev.last.get(TEST),
        last_conclusive=ev.last_conclusive,
        by_rule=ev.by_rule,
        kept=course.kept,
        left_out=newest.left_out if (newest := ev.last_good.get(BACKUP)) else (),
        untested=course.untested,
        removed_untested=ev.removed_unseen,
        calendar=_calendar(ev.tests, period),
        judged=status,
    )


@dataclass(frozen=True)
class _Course:
    """How an asset's backups stood in the course of the period: how many are `kept` at its end, and which of these
    nobody has tested, the newest first; `stages`: what counted as backed up, from each of these times on."""

    stages: Stages
    completed: Exposure
    tested: Exposure
    kept: int
    untested: tuple[tuple[str, datetime], ...]
    ours_to_do: bool  # are its backups this host's to take?


def _course(
    job: Job | None, ev: AssetEvidence, elsewhere: Sequence[Snapshot], upkeep: AssetHistory, period: Period
) -> _Course:
    source = job.engine.source_name if job else None
    others = {s.id: Point(s.whole_until, s.usable_at) for s in elsewhere if source is None or of_source(s, source)}
    points = {**ev.points, **others}
    ours = {key: p for key, p in points.items() if source is None or key in others or ev.of_source(key, source)}
    ours_to_do = ev.history.backs_up(upkeep, known=bool(points))
    recovered = [one.point for one in ev.recovered if source is None or one.source in (None, source_digest(source))]
    stages = [
        stages_of(since, {key: p for key, p in ours.items() if key not in gone}, ev, upkeep, recovered, ours_to_do)
        for since, gone in missed_from(ev.history)
    ]
    completed = [(one.since, one.completed) for one in stages]
    kept = {key: p for key, p in points.items() if key not in ev.removed and key not in ev.history.vanished}
    untested = sorted(((p.consistent, key) for key, p in kept.items() if key not in ev.history.proven), reverse=True)
    return _Course(
        completed,
        exposure_over(completed, period, min(map(max, ours.values()), default=None)),
        exposure_over([(one.since, one.tested) for one in stages], period),
        len(kept),
        tuple((key, moment) for moment, key in untested),
        ours_to_do,
    )


def _rpo_of_the_period(
    job: Job,
    ev: AssetEvidence,
    upkeep: AssetHistory,
    course: _Course,
    versions: Sequence[PlanRevision],
    period: Period,
) -> Achieved:
    """By what was promised at each time; of what another host backs up as far as it is known here."""
    backer = upkeep.elsewhere(Verb.BACKUP)
    if course.ours_to_do or (backer is not None and backer.until >= period.end):
        return worst_of(versions, job.asset, period, job.objectives.rpo, course.completed, course.stages)
    ends = [ev.last[TEST].ended if TEST in ev.last else None, backer.until if backer else None]
    known_until = max((at for at in ends if at), default=None)
    return exposed_elsewhere(job.objectives.rpo, course.stages, period, course.completed, known_until)


def _with(
    now: Seen | None,
    ev: AssetEvidence,
    elsewhere: Sequence[Snapshot],
    job: Job,
    period: Period,
) -> Seen:
    """What is known `now`, if that is asked for. Where no catalogue tells what its bases begin with, the records tell
    how far their log leads on."""
    if now is not None and not now.by_records:
        return now
    recorded = _as_of(ev, elsewhere, job, period)
    return recorded if now is None else replace(now, logged=recorded.logged)


def _as_of(ev: AssetEvidence, elsewhere: Sequence[Snapshot], job: Job, period: Period) -> Seen:
    """What the records alone tell of the period's end."""
    own = ev.snapshots(job.plan, job.asset, job.engine.source_name, period.end, elsewhere)
    there = sorted([*own, *elsewhere], key=lambda s: (s.consistent_point, s.usable_at, s.id))

    def logged(bases: Sequence[Snapshot], _: Disproved) -> Sequence[Point]:
        points = {s.id: Point(s.consistent_point, s.usable_at) for s in bases}
        return log_that_counts(ev, ev.logged(points), points.values())

    return Seen(there, logged)


def judge_plan(
    name: str,
    loaded: LoadedPlan | None,
    ev: PlanEvidence,
    problems: Sequence[Problem],
    period: Period,
    *,
    free: int | None,
    elsewhere: tuple[Answering, ...] = (),
    copies: Iterable[CopyReport] = (),
) -> PlanReport:
    """`problems` are of the care of its repository; `free` is the room that is left where that lies, bytes, if that is
    known."""
    plan = loaded.plan if loaded else None
    of_tests = fetched(ev.fetched, plan.limits.fetch_per_month if plan else None)
    return PlanReport(
        plan=name,
        service=plan.service if plan else None,
        owner=plan.owner if plan else None,
        in_plan=plan is not None,
        findings=tuple(ReportedFinding.of(problem, name) for problem in problems),
        last_prune=ev.last.get(PRUNE),
        last_check=ev.last.get(CHECK),
        last_conclusive_check=ev.last_conclusive_check,
        removed=ev.removed,
        growth=growth(ev.sizes, ev.added, period, free),
        fetched=of_tests,
        elsewhere=elsewhere,
        copies=tuple(copies),
    )


def _over_the_period(
    status: AssetStatus,
    rpo: Achieved,
    timings: Sequence[Timing],
    job: Job,
    completed: Exposure,
    name: tuple[str, str],
) -> Iterable[ReportedFinding]:
    """What was once not as promised in the period, and is again at its end."""
    wanted, allowed = human_seconds(rpo.objective_s), human_seconds(status.rto.objective_s)
    now = status.rpo.verdict is ObjectiveVerdict.BREACHED and status.rpo.achieved_s != math.inf
    if not now and rpo.verdict is ObjectiveVerdict.BREACHED and completed.worst_s != math.inf:
        worst, over_by = human_seconds(rpo.achieved_s), human_seconds((rpo.achieved_s or 0.0) - rpo.objective_s)
        text = f"up to {worst} of its data could have been lost at one time in the period, {over_by} more than its RPO"
        yield ReportedFinding(Level.NOTE, f"{text} of {wanted}", *name)
    elif rpo.verdict is ObjectiveVerdict.BREACHED and status.rpo.verdict is not ObjectiveVerdict.BREACHED:
        text = "at one time in the period none of its backups was good: all of its data could have been lost"
        yield ReportedFinding(Level.NOTE, text, *name)
    over = [t for t in timings if t.basis == job.engine.settings and t.verdict == ObjectiveVerdict.BREACHED]
    if over and status.rto.verdict is not ObjectiveVerdict.BREACHED:
        took = human_seconds(max(t.achieved_s for t in over))
        text = f"restoring it took up to {took} in {so_many(len(over), 'test')} of the period, and its RTO is {allowed}"
        yield ReportedFinding(Level.NOTE, text, *name, next_step(Trouble.BREACH_RTO, *name))


def _timing(run: RecordedRun) -> Timing | None:
    rto = run.body.rto if isinstance(run.body, TestEnd) else None
    if rto is None or rto.achieved_s is None:
        return None
    return Timing(run.started, rto.achieved_s, rto.basis, rto.verdict)


def _restores(timings: Sequence[Timing]) -> Iterable[Restores]:
    for basis in sorted({t.basis for t in timings}):
        some = [t for t in timings if t.basis == basis]
        took = [t.achieved_s for t in some]
        breached = sum(t.verdict == ObjectiveVerdict.BREACHED for t in some)
        yield Restores(basis, len(some), max(took), median(took), took[-1], breached)


def _calendar(tests: Sequence[RecordedRun], period: Period) -> tuple[Mapping[str, int], ...]:
    edges = period.edges(MOST_PARTS)
    counts: list[Counter[str]] = [Counter() for _ in edges[1:]]
    at = 0
    for run in sorted(tests, key=lambda run: run.started):
        while at < len(counts) - 1 and run.started >= edges[at + 1]:
            at += 1
        counts[at][run.outcome] += run.count
    return tuple(counts)
