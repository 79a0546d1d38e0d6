"""Where each asset and each plan stands at the period's end, and how it did in it. Values in, values out."""

from __future__ import annotations

import contextlib
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum
from statistics import median

from ccdr import measure
from ccdr.measure import Point
from ccdr.model import Achieved, Objectives, ObjectiveVerdict, human_seconds, other_source, so_many, utc
from ccdr.nearby import WORDS as NEAR_WORDS
from ccdr.plans import Plan
from ccdr.plans.versions import Version, objectives_in_force
from ccdr.report.evidence import (
    BACKUP,
    CHECK,
    CRASHED,
    GOOD,
    PRUNE,
    TEST,
    AssetEvidence,
    PlanEvidence,
    Run,
    listing,
    mapping,
    read_again,
)
from ccdr.report.growth import Growth, growth
from ccdr.report.period import MOST_PARTS, MOST_POINTS, Period
from ccdr.schedule import second_due
from ccdr.services import Job
from ccdr.shipping.shelf import EARLIEST
from ccdr.trouble import Trouble, next_step, where_it_can_be_done

ELSEWHERE = "have the plan name a repository on another machine (`repository: url`): docs/plan.md"

# How bad, in what words, and whose next step that is, or the step itself.
Said = tuple["Level", str, Trouble | str | None]


class Level(IntEnum):
    """How bad a finding is for whoever needs the service back; the greater the worse."""

    FINE = 0
    NOTE = 1  # something is not as the plan wants, and the service can be brought back
    NEAR = 2  # it can be brought back, but not where its disk or its machine is lost
    LATE = 3  # it can be brought back, and not within its objectives
    UNPROVEN = 4  # nobody has shown that it can
    LOST = 5  # it cannot


@dataclass(frozen=True)
class Finding:
    """One sentence, and what it is about: a plan, one of its assets, or (neither) the ledger itself."""

    level: Level
    text: str
    plan: str | None = None
    asset: str | None = None
    step: str | None = None  # what to do next, as of when the report is made

    @property
    def about(self) -> str:
        return "/".join(part for part in (self.plan, self.asset) if part) or "the ledger"

    def as_json(self) -> dict[str, object]:
        return {
            "level": self.level.name,
            "plan": self.plan,
            "asset": self.asset,
            "text": self.text,
            "next_step": self.step,
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
    findings: tuple[Finding, ...]
    rpo: Achieved | None
    rpo_now: Achieved | None
    rto: Achieved | None
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
    elsewhere: Mapping[str, Point],
    plan: PlanEvidence,
    period: Period,
) -> AssetReport:
    """`job` is None for what no plan names; `elsewhere` are snapshots that other hosts took, by id. The period's RPO is
    judged by what was promised at each time, as far as versions of the plan tell."""
    ev = evidence or AssetEvidence(period.start)
    points = {**ev.points, **elsewhere}
    source = job.engine.source_name if job else None
    ours = {key: p for key, p in points.items() if source is None or ev.of_source(key, source)}
    good = {key: p for key, p in ours.items() if not ev.disproved(key)}
    counting = _counting(good, ev, plan)
    completed = [*counting.values(), *_log_that_counts(ev, ev.logged(counting), counting.values())]
    begun = ev.last.get(BACKUP) is not None
    ours_to_do = BACKUP in plan.duties if plan.duties is not None else begun or not points
    if not ours_to_do:  # nor is its log shipped here
        completed += [p for p, test in ev.recovered if source is None or not other_source(test, source)]
    tested = [p for key, p in good.items() if ev.proven.get(key) == "PASS"]
    tested += [p for p, test in ev.recovered if source is None or not other_source(test, source)]
    if ev.closed_by_damage(plan):
        tested = []
    kept = {key: p for key, p in points.items() if key not in ev.removed}
    untested = sorted(((p.consistent, key) for key, p in kept.items() if key not in ev.proven), reverse=True)
    over_completed, over_tested = _exposure(completed, period), _exposure(tested, period)
    timings = tuple(t for run in ev.tests if (t := _timing(run)))
    objectives = job.objectives if job else None
    now = measure.exposure(period.end, completed)
    rpo = _worst_of(plan.versions, name[1], period, objectives.rpo, over_completed, completed) if objectives else None
    rpo_now = measure.judge(objectives.rpo, now) if objectives else None
    if objectives and not ours_to_do:
        looked = ev.last[TEST].ended if TEST in ev.last else None
        rpo, rpo_now = _elsewhere(objectives.rpo, completed, period, over_completed, now, looked)
    rto = _rto(job, ev) if job else None
    away = _unreached(ev, plan)
    findings: list[Finding] = []
    if job and rpo and rpo_now and rto:
        said = [
            *_standing(job, ev, plan, good.values(), period, away=away, made_good=_made_good(ev, good, elsewhere)),
            *_objectives(rpo, rpo_now, rto, timings, job, ev, over_completed, len(counting) < len(good)),
            *_near(ev),
            *_noted(ev),
        ]
        failed = ev.failure or ev.last_conclusive
        of_it = mapping(mapping(failed and failed.body).get("snapshot")).get("id")
        alone = not good.keys() - {of_it}
        findings = [
            Finding(level, text, *name, _step(todo, *name, backs_up=ours_to_do, alone=alone))
            for level, text, todo in said
        ]
    return AssetReport(
        plan=name[0],
        asset=name[1],
        service=job.loaded.plan.service if job else None,
        engine=job.engine.engine_name if job else None,
        in_plan=job is not None,
        unreached=away is not None,
        objectives=objectives,
        basis=job.engine.settings if job else None,
        findings=tuple(findings),
        rpo=rpo,
        rpo_now=rpo_now,
        rto=rto,
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
        removed_untested=sum(key in points and key not in ev.proven for key in ev.removed),
        calendar=_calendar(ev.tests, period),
    )


def _counting(good: Mapping[str, Point], ev: AssetEvidence, plan: PlanEvidence) -> Mapping[str, Point]:
    """As `status` has it: in a damaged repository, those up to the newest that has itself passed; none in one that does
    not open for it."""
    if ev.closed_by_damage(plan):
        return {}
    if ev.doubt(plan) is None:
        return good
    passed = max((p.consistent for key, p in good.items() if ev.proven.get(key) == "PASS"), default=None)
    return {key: p for key, p in good.items() if passed is not None and p.consistent <= passed}


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


def judge_plan(
    name: str, jobs: Sequence[Job], ev: PlanEvidence, period: Period, *, first: datetime | None, free: int | None
) -> PlanReport:
    """`first` is when the records of the plan begin; `free` is the room that is left where the repository lies, bytes,
    if that is known."""
    loaded = jobs[0].loaded.plan if jobs else None
    said: list[tuple[str, Trouble | None]] = []
    pruned, checked = ev.last.get(PRUNE), ev.last_conclusive_check
    if loaded:
        if pruned and pruned.outcome in ("FAILED", CRASHED):
            said.append((f"its last prune, on {day(pruned.started)}, {_ended(pruned)}", Trouble.PRUNE_FAILED))
        for run in ev.damage:
            text = f"its check on {day(run.started)} found damage, not read and found clean since: {run.reason}"
            said.append((text, Trouble.REPOSITORY_DAMAGED))
        said += _upkeep_late(loaded, ev, first, period)
        if pruned and pruned.body:
            said += [(str(f), None) for f in listing(pruned.body.get("findings"))]
    return PlanReport(
        plan=name,
        service=loaded.service if loaded else None,
        owner=loaded.owner if loaded else None,
        in_plan=loaded is not None,
        findings=tuple(Finding(Level.NOTE, text, name, step=_step(todo, name)) for text, todo in said),
        last_prune=pruned,
        last_check=ev.last.get(CHECK),
        last_conclusive_check=checked,
        removed=ev.removed,
        growth=growth(ev.sizes, ev.added, period, free),
    )


def _upkeep_late(plan: Plan, ev: PlanEvidence, first: datetime | None, period: Period) -> Iterable[tuple[str, Trouble]]:
    """As `status` has it: what came due twice by the period's end, since it was last tried or became this host's."""
    planned = {PRUNE: plan.upkeep.prune, CHECK: plan.upkeep.check}
    if plan.retention is None:
        del planned[PRUNE]  # it would remove nothing
    for verb, schedule in planned.items():
        if ev.duties is not None and verb not in ev.duties:
            continue  # another host's to do
        tried, asked = ev.last.get(verb), (ev.duties or {}).get(verb, first)
        since = [moment for moment in (tried and (tried.ended or tried.started), asked) if moment]
        if since and second_due(schedule, plan.timezone, max(since), period.end):
            what = "what its retention lets go is overdue to be removed" if verb == PRUNE else "its check is overdue"
            last = f"the last one was on {day(tried.started)}" if tried else "it was never done"
            yield f"{what}: {last}", Trouble.PRUNE_LATE if verb == PRUNE else Trouble.CHECK_LATE


def _step(
    todo: Trouble | str | None, plan: str, asset: str | None = None, *, backs_up: bool = True, alone: bool = False
) -> str | None:
    step = next_step(todo, plan, asset, alone=alone) if isinstance(todo, Trouble) else todo
    return step and where_it_can_be_done(step, backs_up=backs_up)


def _worst_of(
    versions: Sequence[Version], asset: str, period: Period, now: float, over: Exposure, points: Sequence[Point]
) -> Achieved:
    """The period's worst exposure against the RPO of its time: where that was changed, the one that is worst against
    its own. Before the first version it was that version's, as far as anybody knows."""
    spans = objectives_in_force(versions, asset, period.start, period.end)
    whole = measure.judge(now, over.worst_s)
    if {rpo for _, _, rpo, _ in spans} <= {now} or over.worst_s == math.inf:
        return whole
    begun = [(since if number else period.start, until, rpo) for number, (since, until, rpo, _) in enumerate(spans)]
    measured = [(max(since, over.since or since), until, rpo) for since, until, rpo in begun]
    each = [
        measure.judge(rpo, measure.worst_exposure(since, until, points))
        for since, until, rpo in measured
        if since < until
    ]
    return max(each, key=lambda one: (one.achieved_s or 0.0) / one.objective_s, default=whole)


def _elsewhere(
    objective: float,
    points: Sequence[Point],
    period: Period,
    over: Exposure,
    now: float,
    looked: datetime | None,
) -> tuple[Achieved, Achieved]:
    """The worst exposure of the period and that of its end, where another host backs up: a breach is one by what was
    there when this host last `looked`; what came since is not known here."""
    if looked is None or any(max(p) > looked for p in points if max(p) < period.end):
        looked = max((max(p) for p in points if max(p) < period.end), default=period.start)
    at, first = min(looked, period.end), min(map(max, points), default=period.end)
    since = max(period.start, first)
    seen = measure.worst_exposure(since, at, points) if since < at else 0.0
    return (
        measure.judge_elsewhere(objective, over.worst_s, seen),
        measure.judge_elsewhere(objective, now, measure.exposure(at, points) if since < at else 0.0),
    )


def day(moment: datetime) -> str:
    """As sentences name a moment: UTC, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}"


def _ended(run: Run) -> str:
    return "crashed: it has no end" if run.outcome == CRASHED else f"is {run.outcome}: {run.reason}"


def _made_good(ev: AssetEvidence, good: Mapping[str, Point], elsewhere: Mapping[str, Point]) -> bool:
    """Did the last test that failed do so for nothing but a newer backup that had failed, and was a good one stored
    since? As `status` has it."""
    failed, stored = ev.failure, ev.last_good.get(BACKUP)
    if failed is None or (failed.body or {}).get("newer_failed") is not True or failed.ended is None:
        return False
    newer = mapping((failed.body or {}).get("newer"))  # an older record has none: as of when the test ended
    seq, at = newer.get("seq", failed.end_seq), _moment(newer.get("at")) or failed.ended
    if stored is not None and (point := good.get(stored.snapshot or "")):
        here = point.usable > at
        if here if seq is None else (stored.end_seq or 0) > seq:
            return True
    return any(key in good and point.usable > at for key, point in elsewhere.items())


def _moment(text: object) -> datetime | None:
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return utc(text)  # type: ignore[arg-type]
    return None


# By how records call it: how bad that is, and in words.
_NO_REPOSITORY = {
    "missing": (Level.LOST, "it was not there"),
    "closed": (Level.LOST, "it did not open with the plan's password"),
    "unavailable": (Level.UNPROVEN, "it did not answer"),
    "damaged": (Level.LOST, "it did not open, for what opens it is damaged"),
}


def _unreached(ev: AssetEvidence, plan: PlanEvidence) -> Run | None:
    """The newest backup or test, where it failed for want of the repository and nobody has read that since."""
    ended = [run for verb in (BACKUP, TEST) if (run := ev.last.get(verb)) and run.end_seq is not None]
    newest = max(ended, key=lambda run: run.end_seq or 0, default=None)
    if newest is None or mapping(newest.body).get("repository") not in _NO_REPOSITORY:
        return None
    checked = plan.last_conclusive_check
    return None if checked and (checked.end_seq or 0) > (newest.end_seq or 0) else newest


def _of_newer_alone(failed: Run) -> bool:
    """Is what was restored good, and fits what it was compared with? As `status` has it; a record may hold anything."""
    body = failed.body or {}
    misfits = any(mapping(check).get("status") == "FAIL" for check in listing(body.get("checks")))
    return mapping(body.get("snapshot")).get("verdict") == "PASS" and not misfits


def _standing(
    job: Job,
    ev: AssetEvidence,
    plan: PlanEvidence,
    stored: Collection[Point],
    period: Period,
    *,
    away: Run | None,
    made_good: bool,
) -> Iterable[Said]:
    """Can it be brought back, as far as anybody has shown? `away`: the run that met no repository, if that is how it
    stands; `made_good`: what the last test that failed did so for is over."""
    if away is not None:
        look = f"ccdr doctor {job.plan}   looks at the repository; then ccdr test {job.plan}"
        level, text = _NO_REPOSITORY[str(mapping(away.body).get("repository"))]
        yield level, f"when its repository was last asked, on {day(away.started)}, {text}: {away.reason}", look
    last = ev.last_conclusive
    if last is not None and other_source(last.body or {}, job.engine.source_name):
        yield (
            Level.UNPROVEN,
            "its last restore test was of something else than the plan now names",
            Trouble.NEVER_TESTED,
        )
        last = None
    elif last is not None and last.outcome == "PASS" and ev.failure is not None and not made_good:
        why = f"the one of {day(ev.failure.started)} failed, and no newer snapshot has passed: {ev.failure.reason}"
        level, todo = (
            (Level.LATE, Trouble.NEWER_FAILED) if _of_newer_alone(ev.failure) else (Level.LOST, Trouble.TEST_FAILED)
        )
        yield level, f"its last conclusive restore test was not of what is newest; {why}", todo
    if ev.log_failure is not None and job.engine.shipping and (last is None or last.body is not ev.log_failure):
        said = f"its recovery by the log on {day(utc(ev.log_failure['time']))} failed"
        yield (
            Level.LOST,
            f"{said}, and none that goes as far has passed: {ev.log_failure.get('reason')}",
            Trouble.LOG_FAILED,
        )
    if not any(p.usable <= period.end for p in stored):
        yield (
            Level.LOST,
            "it has no backup that counts" if ev.points else "it has never been backed up",
            Trouble.BREACH_RPO if ev.points else Trouble.NEVER_SUCCEEDED,
        )
    elif last is None:
        planned = "" if job.engine.restore_test else ", and its plan has no restore test for it"
        yield Level.UNPROVEN, f"no backup of it was ever restored and checked to the end{planned}", Trouble.NEVER_TESTED
    elif last.outcome == "FAIL" and not (made_good and last is ev.failure):
        if _of_newer_alone(last):
            yield (
                Level.LATE,
                f"its newest backup failed; an older one was proven on {day(last.started)}: {last.reason}",
                Trouble.NEWER_FAILED,
            )
        else:
            yield (
                Level.LOST,
                f"its last conclusive restore test, on {day(last.started)}, is FAIL: {last.reason}",
                Trouble.TEST_FAILED,
            )
    elif job.engine.restore_test:
        planned = job.engine.restore_test.schedule
        if second_due(planned, job.loaded.plan.timezone, last.started, period.end):
            yield (
                Level.UNPROVEN,
                f"its restore test is overdue: the last conclusive one was on {day(last.started)}",
                Trouble.TEST_LATE,
            )
    if damage := ev.doubt(plan):
        what = {CHECK: "a check", BACKUP: "a backup"}.get(damage.verb, "a restore test")
        yield (
            Level.UNPROVEN,
            f"{what} found its repository damaged on {day(damage.started)}; its newest has not been restored since",
            Trouble.REPOSITORY_DAMAGED,
        )


def _objectives(
    rpo: Achieved,
    rpo_now: Achieved,
    rto: Achieved,
    timings: Sequence[Timing],
    job: Job,
    ev: AssetEvidence,
    completed: Exposure,
    doubted: bool,
) -> Iterable[Said]:
    """`doubted`: there are newer backups, which do not count in a damaged repository; nor would another one."""
    wanted, allowed = human_seconds(rpo.objective_s), human_seconds(rto.objective_s)
    if rpo_now.verdict is ObjectiveVerdict.BREACHED and rpo_now.achieved_s != math.inf:
        lost = human_seconds(rpo_now.achieved_s)
        yield (
            Level.LATE,
            f"its newest good backup is true for {lost} ago, and its RPO is {wanted}",
            (Trouble.REPOSITORY_DAMAGED if doubted else Trouble.BREACH_RPO),
        )
    elif rpo.verdict is ObjectiveVerdict.BREACHED and completed.worst_s != math.inf:
        worst, over_by = human_seconds(rpo.achieved_s), human_seconds((rpo.achieved_s or 0.0) - rpo.objective_s)
        said = f"{over_by} more than its RPO of {wanted}"
        yield Level.NOTE, f"up to {worst} of its data could have been lost at one time in the period, {said}", None
    over = [t for t in timings if t.basis == job.engine.settings and t.verdict == ObjectiveVerdict.BREACHED]
    if rto.verdict is ObjectiveVerdict.BREACHED:
        took = human_seconds(rto.achieved_s)
        yield (
            Level.LATE,
            f"restoring it took {took} in its last conclusive test, and its RTO is {allowed}",
            Trouble.BREACH_RTO,
        )
    elif over:
        took = human_seconds(max(t.achieved_s for t in over))
        yield (
            Level.NOTE,
            f"restoring it took up to {took} in {so_many(len(over), 'test')} of the period, and its RTO is {allowed}",
            Trouble.BREACH_RTO,
        )
    last = ev.last_conclusive
    if rto.verdict is ObjectiveVerdict.NOT_MEASURED and last and last.outcome == "PASS":
        yield (
            Level.LATE,
            f"its RTO was not measured with {job.engine.settings} settings, which its plan asks for",
            Trouble.NEVER_TESTED,
        )


def _near(ev: AssetEvidence) -> Iterable[Said]:
    """By the newest good backup: where all copies lie."""
    backup = ev.last_good.get(BACKUP)
    if backup is not None and backup.beside in NEAR_WORDS:
        yield Level.NEAR, f"its repository lies {NEAR_WORDS[backup.beside]}", ELSEWHERE


def _noted(ev: AssetEvidence) -> Iterable[Said]:
    """What did not go well last."""
    backup, test = ev.last.get(BACKUP), ev.last.get(TEST)
    if backup and not backup.good and backup.outcome != "RUNNING":
        yield Level.NOTE, f"its last backup, on {day(backup.started)}, {_ended(backup)}", Trouble.BACKUP_FAILED
    if test and test.outcome in ("INCONCLUSIVE", CRASHED):
        yield Level.NOTE, f"its last restore test, on {day(test.started)}, {_ended(test)}", Trouble.TEST_INCONCLUSIVE
    for run in (ev.last_good.get(BACKUP), test):
        for said in listing((run.body or {}).get("findings")) if run else ():
            yield Level.NOTE, str(said), None


def _rto(job: Job, ev: AssetEvidence) -> Achieved:
    """Of the last conclusive test; throwaway and durable are never mixed."""
    timing = _timing(ev.last_conclusive) if ev.last_conclusive else None
    same = timing is not None and timing.basis == job.engine.settings
    return measure.judge(job.objectives.rto, timing.achieved_s if same and timing else None)


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


def _exposure(points: Sequence[Point], period: Period) -> Exposure:
    """The contract's formula: over consecutive good backups, and from the last one to the end. Before the first that
    was ever there nothing could be measured: then `since` says from when."""
    edges = tuple(period.edges(MOST_POINTS))
    first = min(map(max, points), default=period.end)
    if first >= period.end:
        return Exposure(math.inf, None, edges, (math.inf,) * (len(edges) - 1))
    if first <= period.start:
        parts = measure.worst_exposures(edges, points)
        return Exposure(max(parts), None, edges, tuple(parts))
    later = [edge for edge in edges if edge > first]
    parts = measure.worst_exposures([first, *later], points)
    return Exposure(max(parts), first, edges, (math.inf,) * (len(edges) - 1 - len(later)) + tuple(parts))


def _calendar(tests: Sequence[Run], period: Period) -> tuple[Mapping[str, int], ...]:
    edges = period.edges(MOST_PARTS)
    counts: list[Counter[str]] = [Counter() for _ in edges[1:]]
    at = 0
    for run in sorted(tests, key=lambda run: run.started):
        while at < len(counts) - 1 and run.started >= edges[at + 1]:
            at += 1
        counts[at][run.outcome] += run.count
    return tuple(counts)
