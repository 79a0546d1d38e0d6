"""Where each asset and each plan stands at the period's end, and how it did in it. Values in, values out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import judge
from ccdr.evidence.judgement.asset_status import AssetStatus, Disproved, Seen
from ccdr.evidence.mappings import mapping
from ccdr.model.fetched import fetched
from ccdr.model.measure import Point
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    human_seconds,
    other_source,
    so_many,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.versions import PlanRevision
from ccdr.storage.catalogue import of_source
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.copies import CopyReport
from ccdr.telling.report.evidence import PlanEvidence
from ccdr.telling.report.exposures import (
    Stages,
    exposed_elsewhere,
    exposure_over,
    log_that_counts,
    missed_from,
    stages_of,
    worst_of,
)
from ccdr.telling.report.growth import growth
from ccdr.telling.report.judged import AssetReport, Exposure, PlanReport, ReportedFinding, Restores, Timing
from ccdr.telling.report.period import MOST_PARTS, Period
from ccdr.telling.report.runs import BACKUP, CHECK, PRUNE, TEST, RecordedRun
from ccdr.telling.status import Answering


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
        unreached=status is not None and status.away,
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


def day(moment: datetime) -> str:
    """As sentences name a moment: UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}"


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


def _calendar(tests: Sequence[RecordedRun], period: Period) -> tuple[Mapping[str, int], ...]:
    edges = period.edges(MOST_PARTS)
    counts: list[Counter[str]] = [Counter() for _ in edges[1:]]
    at = 0
    for run in sorted(tests, key=lambda run: run.started):
        while at < len(counts) - 1 and run.started >= edges[at + 1]:
            at += 1
        counts[at][run.outcome] += run.count
    return tuple(counts)
