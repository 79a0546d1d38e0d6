"""What is wrong with each asset: its backups, its restore tests and negative controls, its log. One set of rules, for
whatever tells of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import NEVER, AssetHistory
from ccdr.evidence.history.folded import RuleVerdict
from ccdr.evidence.history.kinds import CONTROL_START, INCONCLUSIVE, STOPPED
from ccdr.evidence.judgement.asset_status import (
    STALE,
    AssetStatus,
    Counted,
    Seen,
    apart_from_vanished,
    as_far_as_known,
    breaches,
    conclusive,
    count,
    coverage,
    made_up_for,
    measured_rpo,
    measured_rto,
    newer_not_counting,
    rto_known,
    test_late,
    vanished_problem,
)
from ccdr.evidence.judgement.troubles import (
    as_problem,
    by_their_causes,
    copies_near,
    findings_of,
    not_begun,
    passed_over,
    repository_away,
    repository_damaged,
    with_places,
)
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.records import RestoreStart, TestEnd
from ccdr.evidence.records.values import RecordedCheckResult
from ccdr.evidence.verdicts import blames_the_log, misfits, of_the_source, point_of, verdict_on_snapshot
from ccdr.host.state import RESTORE_MARK
from ccdr.model.damage import OF_FILES
from ccdr.model.leaps import WORDS, Sign
from ccdr.model.next_steps import (
    AS_ITS_SOURCE,
    Missing,
    after_a_crash,
    after_a_recovery,
    after_coming_apart,
    mend_first,
    ship_again,
)
from ccdr.model.schedule import second_due
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Snapshot,
    Verb,
    human_seconds,
    so_many,
    to_the_second,
)
from ccdr.plans.job import Job
from ccdr.plans.one_server import of_one_server
from ccdr.storage.removals import CLOCK_TOLERANCE

# What the newest recovery of a plan has brought back apart, and so stays red: what one store got in between has no
# counterpart in the other. No backup mends that; a person decides. By records alone.

ALIKE = 1.0  # seconds that are told of nobody


def step_after_coming_apart(job: Job, test: TestEnd, upkeep: AssetHistory) -> str | None:
    """What leads on from this test, where all that failed in it are such comparisons, and it is of what was backed up
    since; `upkeep` is the plan's."""
    recovery, tested = upkeep.recovered, point_of(test)
    if recovery is None or recovery.state != "done" or tested is None or tested < recovery.time:
        return None
    points = {one.asset: one.point for one in recovery.assets if one.point is not None}
    failed = {check.name for check in test.checks if check.status == "FAIL"}
    if not failed or not failed <= set(_apart(job, points)):
        return None
    return after_coming_apart(job.plan, job.asset, to_the_second(recovery.time))


def _apart(job: Job, points: Mapping[str, datetime]) -> Iterator[str]:
    """Checks that compare it with what came back older or newer. It may go on at the server of another asset, which it
    is a spare of."""
    assets = job.loaded.plan.assets
    mine = [
        at
        for name, at in points.items()
        if name == job.asset or (name in assets and of_one_server(job.engine, assets[name]))
    ]
    for check in job.checks:
        other = None if check.beside is None else points.get(check.beside)
        if other is not None and any(abs((at - other).total_seconds()) > ALIKE for at in mine):
            yield check.label


# What is wrong by an asset's negative controls: do its restore tests find a damaged copy bad?


def problems_of_controls(job: Job, history: AssetHistory, upkeep: AssetHistory, now: datetime) -> Iterator[Problem]:
    yield from _passed(job, history)
    last = history.controlled
    if last is not None and last.result == INCONCLUSIVE and job.control is not None:
        why = last.reason or ""
        text = f"its last damage test is INCONCLUSIVE: {why}"
        yield Problem(
            Trouble.CONTROL_INCONCLUSIVE, text, last.time, verb=Verb.CONTROL, run=last.run, why=why, cause=steady(why)
        )
    crashed = history.crashed(CONTROL_START)
    if crashed is not None and (last is None or last.order < crashed.order):
        at = crashed.time
        text = f"the damage test of {to_the_second(at)} crashed: its run {crashed.run} never recorded an end"
        yield Problem(Trouble.CONTROL_INCONCLUSIVE, text, at, about="crash", verb=Verb.CONTROL, why="it crashed")
    if job.control is not None:
        yield from not_begun(history, {Verb.CONTROL: last})
        if upkeep.answers_for(Verb.CONTROL):
            yield from _late(job, history, upkeep, now)


def _passed(job: Job, history: AssetHistory) -> Iterator[Problem]:
    """Of each damage until a control of the same one is caught: that another one is says nothing of it. What cannot be
    done to the asset any more, as it is of another engine now, cannot be shown either."""
    possible = kinds_of(job)
    for name, record in history.not_caught.items():
        if record.damage is not None and (kind := record.damage.kind) in possible:
            word, at = kind.replace("_", " "), record.time
            text = (
                f"a copy that was damaged on purpose PASSED its restore test ({word}, {to_the_second(at)}, run "
                f"{record.run}): that its tests pass proves nothing against such damage"
            )
            yield Problem(Trouble.CONTROL_PASSED, text, at, about=name, verb=Verb.CONTROL, why=word, run=record.run)


def kinds_of(job: Job) -> frozenset[str]:
    """What can be done to a copy of the asset, as its engine is now."""
    return frozenset(kind.value for kind in (*OF_FILES, *job.engine.damages))


def _late(job: Job, history: AssetHistory, upkeep: AssetHistory, now: datetime) -> Iterator[Problem]:
    """It has come due twice since the last one; where there was none, since the plan came to be as it is."""
    last, version = history.upkeep_tried(Verb.CONTROL), upkeep.version
    since = last or (version.time if version else None)
    assert job.control is not None
    if since is None:
        return
    let_be = max(since, upkeep.let_be(now))
    if due := second_due(job.control.schedule, job.loaded.plan.timezone, let_be, now):
        told = f"the last one was at {to_the_second(last)}" if last else "there was none yet"
        text = f"its damage test is overdue: {told}"
        yield Problem(Trouble.CONTROL_LATE, text, due, verb=Verb.CONTROL)


# What is wrong by the newest restore tests of an asset.


@dataclass(frozen=True)
class _Case:
    """An asset, and all that its tests are judged by."""

    job: Job
    history: AssetHistory
    upkeep: AssetHistory


def problems_of_tests(
    job: Job, history: AssetHistory, upkeep: AssetHistory, usable: Sequence[Snapshot]
) -> Iterator[Problem]:
    """`upkeep` is the plan's history."""
    newest = usable[-1] if usable else None
    last, failure = history.last_test, history.older_failure
    planned, case = job.engine.restore_test is not None, _Case(job, history, upkeep)
    if last is None:
        text = "never tested" if planned else "never tested, and its plan has no restore test for it"
        yield Problem(Trouble.NEVER_TESTED, text, verb=Verb.TEST)
    elif last.verdict != "PASS" and not history.made_good(last, newest):
        trouble = _failed(last) if last.verdict == "FAIL" else Trouble.TEST_INCONCLUSIVE
        alone = " for a newer backup alone" if trouble is Trouble.NEWER_FAILED else ""
        when = f", of {to_the_second(last.time)}," if trouble is Trouble.TEST_INCONCLUSIVE else ""
        text = f"its last restore test{when} is {last.verdict}{alone}: {last.reason}"
        # The one of a newer snapshot, or of log that goes further, keeps its name: it was told before.
        stands = history.older_log_failure if trouble is Trouble.LOG_FAILED else failure
        yield _of_test(last, trouble, text, case, about="newest test" if stands else "")
    # A test that broke does not take the failure before it back, nor does one of an older snapshot.
    if failure is not None and not history.made_good(failure, newest):
        when = to_the_second(failure.time)
        text = f"its restore test of {when} is FAIL, and no newer snapshot has passed: {failure.reason}"
        yield _of_test(failure, _failed(failure), text, case)
    if (failed := history.unchecked) is not None:
        text = (
            f"its restore test of {to_the_second(failed.time)} is FAIL, and later tests passed only with fewer "
            f"or weaker checks, without the one that failed: {failed.reason}"
        )
        why = failed.reason or ""
        yield Problem(Trouble.NO_LONGER_CHECKED, text, failed.time, verb=Verb.TEST, cause=failed.run, why=why)
    if (failure := history.older_log_failure) is not None and job.engine.shipping is not None:
        text = (
            f"its recovery by the log of {to_the_second(failure.time)} is FAIL, and none that goes as far has "
            f"passed: {failure.reason}"
        )
        yield _of_test(failure, Trouble.LOG_FAILED, text, case)
    yield from _without_a_verdict(job, history)
    yield from findings_of(last, Verb.TEST)


def _without_a_verdict(job: Job, history: AssetHistory) -> Iterator[Problem]:
    """Tests there were, and none that came to a verdict on what the plan names now."""
    if history.last_test is not None and history.last_conclusive_test is None:
        text = "no restore test of it has been conclusive yet"
        text = text if job.engine.restore_test is not None else f"{text}, and its plan has none for it"
        yield Problem(Trouble.NEVER_TESTED, text, about="verdict", verb=Verb.TEST)
    if history.last_conclusive_test is not None and conclusive(job, history) is None:
        text = "its last restore test was from another source than the plan names now"
        yield Problem(Trouble.NEVER_TESTED, text, about="source", verb=Verb.TEST)


def _of_test(test: TestEnd, trouble: Trouble, text: str, case: _Case, about: str = "") -> Problem:
    """What is wrong by a test that did not pass."""
    job, history = case.job, case.history
    # restic stores nothing that is there already: another backup would stand on what is damaged.
    todo = Trouble.REPOSITORY_DAMAGED if test.damaged else trouble
    step = next_step(todo, job.plan, job.asset)
    if todo is Trouble.REPOSITORY_DAMAGED and history.newest_met_damage:
        step = mend_first(job.plan, job.asset)
    if todo is Trouble.TEST_FAILED:
        if of_the_source((check.kind, check.status) for check in test.checks):
            step = f"{AS_ITS_SOURCE}; then {step}"
        step = step_after_coming_apart(job, test, case.upkeep) or step
    failed = sorted((check for check in test.checks if check.status == "FAIL"), key=lambda check: check.name)
    cause = "\n".join(map(_found, failed)) or steady(test.reason)
    why = "; ".join(check.name for check in failed) or test.reason or ""
    return Problem(trouble, text, test.time, about=about, cause=cause, why=why, verb=Verb.TEST, step=step, run=test.run)


def _found(check: RecordedCheckResult) -> str:
    """What tells this failure of a check from another: all that it found, so far as that stays so while it lasts."""
    return f"{check.name}: {'' if check.varies else check.actual}"


def _failed(test: TestEnd) -> Trouble:
    """The log that is bad; or a snapshot, or what it does not fit; or one that is good, and not the newest backup that
    was tried."""
    if blames_the_log(test):
        return Trouble.LOG_FAILED
    good = verdict_on_snapshot(test) == "PASS" and not misfits(test)
    return Trouble.NEWER_FAILED if good else Trouble.TEST_FAILED


# What is wrong with the log that this host is to ship.

LATE_INTERVALS, LATE_GRACE = 3, 60.0  # a log's point may be this many intervals, and seconds, old


def _good(_: Snapshot) -> bool:
    """Of a base: whatever was found of the log that leads on from it."""
    return False


def log_problems(
    job: Job, history: AssetHistory, seen: Seen, usable: Sequence[Snapshot], now: datetime, let_be: datetime
) -> Iterator[Problem]:
    """Of the log that this host is to ship: it comes, without a gap since the newest base, and harms nobody. While the
    plan is paused, up to `let_be`, it need not come."""
    settings, standing = job.engine.shipping, seen.standing
    if settings is None:
        return
    if standing is None:
        if history.last_backup is not None:  # else another host backs up, and ships
            yield Problem(
                Trouble.LOG_LATE,
                f"its log was never shipped: run `ccdr ship {job.plan}`, or `ccdr run`",
                about="never",
                verb=Verb.BACKUP,
            )
        return
    late = timedelta(seconds=LATE_INTERVALS * settings.interval + LATE_GRACE)
    lets = _Lets(now - late, let_be >= now, let_be > now - late)
    yield from _not_up_to_date(job, seen, standing, usable[-1] if usable else None, lets, now)
    yield from _leads_on_from_nothing(seen, standing, usable)
    yield from (as_problem(one, Verb.BACKUP) for one in standing.findings)


@dataclass(frozen=True)
class _Lets:
    """What goes up to before `late` only is late; not where the plan is paused, or was until just now."""

    late: datetime
    paused: bool
    grace: bool


def _begins_anew(standing: LogStanding, newest: Snapshot | None) -> bool:
    """Is its newest backup the first base of a new log, of which nothing need be stored yet?"""
    anew = standing.anew
    return standing.point is None and anew is not None and newest is not None and newest.consistent_point >= anew


def _not_up_to_date(
    job: Job, seen: Seen, standing: LogStanding, newest: Snapshot | None, lets: _Lets, now: datetime
) -> Iterator[Problem]:
    begins = _begins_anew(standing, newest)
    since = newest.consistent_point if newest and begins else standing.point  # up to which nothing is missing
    why = "the process that ships it makes no progress" if seen.shipping else "nothing ships it"
    who = why if seen.shipping else f"{why}: run `ccdr ship {job.plan}`"
    up_to = f"its log is stored only up to {to_the_second(since)}" if since else ""
    if standing.trouble is not None and standing.trouble != STOPPED and not lets.paused:
        text, why = f"its log is not shipped: {standing.trouble}", standing.trouble
        step = ship_again(job.plan, job.asset)
        away = Trouble.SOURCE_AWAY if standing.away else None
        yield Problem(Trouble.LOG_LATE, text, standing.troubled, verb=Verb.BACKUP, why=why, step=step, because=away)
    elif standing.claimed is not None:
        how_far = up_to if since else "its log is not stored"
        claimed = f"the state directory claims {to_the_second(standing.claimed)}, but no record confirms it"
        text = f"{how_far}, by the records; {claimed}: {who}"
        yield Problem(Trouble.LOG_LATE, text, since, verb=Verb.BACKUP, why=why)
    elif standing.point is not None and standing.point > now + CLOCK_TOLERANCE:
        text = (
            f"its log is stored up to {to_the_second(standing.point)}, which is in the future: a clock is or was wrong"
        )
        yield Problem(Trouble.LOG_LATE, text, verb=Verb.BACKUP)
    elif standing.running and not seen.shipping and not lets.paused:
        gone = "the process that shipped its log is gone"
        text = f"{gone}, and {up_to or 'nothing of it is stored'}: run `ccdr ship {job.plan}`, or `ccdr run`"
        yield Problem(Trouble.LOG_LATE, text, since, verb=Verb.BACKUP, why=gone)
    elif since is not None and since < lets.late and not lets.grace:
        text = "no log is stored after its new base" if begins else up_to
        yield Problem(Trouble.LOG_LATE, f"{text}: {who}", since, verb=Verb.BACKUP, why=why)


def _leads_on_from_nothing(seen: Seen, standing: LogStanding, usable: Sequence[Snapshot]) -> Iterator[Problem]:
    """Log is stored, and none of it goes on from the newest backup."""
    newest = usable[-1] if usable else None
    stored = standing.newest is not None or (standing.anew is not None and not _begins_anew(standing, newest))
    if newest is None or not stored or seen.logged([newest], _good):
        return
    text = standing.gap or "the log cannot continue from its newest backup"
    meanwhile = "until then it can be restored only to its backups, not to points between them"
    if standing.forks and seen.logged(usable, _good):
        text = "the source went back to a state before its newest backup: it needs a new base backup"
        meanwhile = "until then its log continues from an older base"
    yield Problem(Trouble.LOG_GAP, f"{text}; {meanwhile}", verb=Verb.BACKUP)


# Values in, values out: what the ledger says (`evidence/history`) and what else is known at one moment become an
# `AssetStatus`, its troubles with their codes. `status`, the report, metrics and messages put that into words and
# numbers, and have no rule of their own; so the same records give the same judgement, whoever looks.


@dataclass(frozen=True)
class _AssetCase:
    """One asset at one moment, and all that it is judged by."""

    job: Job
    history: AssetHistory
    upkeep: AssetHistory
    seen: Seen
    now: datetime
    counted: Counted
    coverage: str
    ours_to_do: bool  # are its backups this host's to take?


def judge(job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, now: datetime) -> AssetStatus:
    """Where one asset stands at `now`, by what the ledger says of it and of its plan's `upkeep`, and what else is
    `seen`."""
    counted = count(job, history, upkeep, seen, now)
    ours_to_do = history.backs_up(upkeep, known=bool(counted.ours))
    tested = coverage(job, history, now, upkeep.let_be(now))
    made_up = made_up_for(counted.vanished, counted.newest, history)
    case = _AssetCase(job, history, upkeep, seen, now, counted, tested, ours_to_do)
    wrong = list(apart_from_vanished(_wrong(case, made_up), counted.gone))
    placed = with_places(wrong, job, history, now, backs_up=ours_to_do)
    status = AssetStatus(
        plan=job.plan,
        asset=job.asset,
        rpo=measured_rpo(job, history, upkeep, seen, counted, now, ours_to_do=ours_to_do),
        rto=rto_known(measured_rto(job, history), wrong),
        last_backup=history.last_backup,
        good=counted.counting[-1] if counted.counting else None,
        failed=any(p.trouble is Trouble.BACKUP_FAILED for p in wrong),
        last_test=history.last_test,
        coverage=tested,
        wrong=by_their_causes(placed, placed, history, made_up),
        by_rule=_by_rule(job, history),
        counting=tuple(counted.counting),
        usable=tuple(counted.usable),
        backs_up=ours_to_do,
        conclusive=conclusive(job, history),
        shown=any(history.proven.get(s.id) == "PASS" for s in counted.counting),
        left_out=tuple(history.last_good_backup.left_out) if history.last_good_backup else (),
    )
    near = () if status.unreachable else with_places(copies_near(history), job, history, now, backs_up=True)
    status = replace(status, near=near, near_known=history.last_good_backup is not None)
    not_met = with_places(breaches(job, history, status, now), job, history, now, backs_up=ours_to_do)
    return replace(status, breaches=by_their_causes(not_met, placed, history, made_up))


def _wrong(case: _AssetCase, made_up: Missing) -> Iterator[Problem]:
    """All that is wrong, whether or not it only follows from something else. `made_up`: for what vanished."""
    job, history, upkeep, counted = case.job, case.history, case.upkeep, case.counted
    yield from _suspect(history)
    yield from _other_cluster(history)
    of_runs = _of_backups_and_tests(case)
    if not upkeep.answers_for(Verb.TEST):
        of_runs = as_far_as_known(of_runs, job, history, case.now, upkeep.elsewhere(Verb.TEST))
    yield from of_runs
    if case.seen.ships:
        yield from log_problems(job, history, case.seen, counted.usable, case.now, upkeep.let_be(case.now))
    yield from problems_of_controls(job, history, upkeep, case.now)
    yield from _incomplete(job, upkeep)
    yield from passed_over(history)
    yield from case.seen.changed
    yield from _settling(job)
    yield from vanished_problem(job, counted.vanished, counted.gone - {s.id for s in counted.vanished}, made_up)


def _of_backups_and_tests(case: _AssetCase) -> Iterator[Problem]:
    job, history, upkeep, counted, now = case.job, case.history, case.upkeep, case.counted, case.now
    backer = upkeep.elsewhere(Verb.BACKUP)
    known_here = case.ours_to_do or backer is not None or history.last_test is not None
    # That one failed its test, or vanished, says what is wrong: it was backed up.
    never = known_here and not any(map(history.disproved, counted.ours)) and not counted.vanished
    yield from _source_away(case)
    yield from repository_away(job, history, upkeep)
    yield from _problems(job, history, upkeep, counted.usable, now, never=never, lost=case.seen.lost)
    yield from newer_not_counting(counted, history, now)
    yield from repository_damaged(job, history, upkeep, len(counted.usable) - len(counted.counting))
    if case.ours_to_do or backer is not None:
        at = now if case.ours_to_do or backer is None else min(now, backer.until)
        let_be = upkeep.let_be(now) if case.ours_to_do else NEVER
        yield from _backup_late(job, history, counted.newest, at, let_be, backing_up=case.seen.backing_up)
    if case.coverage == STALE:
        yield from test_late(job, history, now, upkeep.let_be(now))


def _source_away(case: _AssetCase) -> Iterator[Problem]:
    """By the newest backup, and by what ships its log: what has got there since knows better."""
    history, standing, newest = case.history, case.seen.standing, case.counted.newest
    stored = standing.point if standing and not standing.trouble else None
    since = [history.source_away] if history.source_away else []
    if standing and standing.away and standing.troubled and case.seen.ships:
        since.append(standing.troubled)
    usable = newest.usable_at if newest else None
    there = max((at for at in (stored, usable) if at is not None), default=None)
    if gone := min((at for at in since if there is None or at > there), default=None):
        job = case.job
        who = (
            "nothing that can be read is there"
            if job.engine.source_paths
            else "no server answers there, or it lacks the database,"
        )
        text = f"its source is gone: {who} since {to_the_second(gone)}"
        again = case.upkeep.recovered_lately(job.asset, case.now)
        step = after_a_recovery(job.plan) if again else job.way_back(gone, there=newest is not None)
        yield Problem(Trouble.SOURCE_AWAY, text, gone, verb=Verb.BACKUP, step=step)


def _suspect(history: AssetHistory) -> Iterator[Problem]:
    """Told until somebody answers for it: what a newer backup looks like takes nothing back."""
    of = history.suspect
    if of is not None and of.snapshot is not None:
        why = "; ".join(WORDS[Sign(one)] for one in of.suspect)
        also = len(history.suspected) - 1
        later = f", and no more does what was stored since ({so_many(also, 'snapshot')})" if also else ""
        which = f"{of.snapshot.id[:8]} of {to_the_second(of.time)}"
        text = f"the snapshot {which} does not count{later}: {why}"
        yield Problem(Trouble.SNAPSHOT_SUSPECT, text, of.time, about=of.run, verb=Verb.BACKUP, why=why, run=of.run)


def _other_cluster(history: AssetHistory) -> Iterator[Problem]:
    if (of := history.other_cluster) is not None:
        number, at = str(of.server), of.time
        text = (
            f"the backup of {to_the_second(at)} is of another server than those before it: its system identifier is "
            f"{number}, and theirs is {history.server}"
        )
        yield Problem(Trouble.OTHER_CLUSTER, text, at, about=number, verb=Verb.BACKUP, run=of.run)


def _settling(job: Job) -> Iterator[Problem]:
    """Of files in use the newest are in no snapshot, however new that is."""
    settle, wanted = job.engine.settle_time, job.objectives.rpo
    if settle is not None and settle > wanted:
        text = f"a backup leaves out what changed within the last {human_seconds(settle)}"
        text += f", so it cannot meet its RPO of {human_seconds(wanted)}"
        yield Problem(Trouble.FINDING, text, about=f"settle {settle:g}", verb=Verb.BACKUP)


def _incomplete(job: Job, plan: AssetHistory) -> Iterator[Problem]:
    """Told of those whose own backup is good: why another's is not, its own problem says."""
    last = plan.groups.get(str(job.engine.group)) if job.grouped else None
    if last is None or job.asset in last.missing:
        return
    if missing := [asset for asset in last.missing if asset in job.grouped]:
        why = f"there is no snapshot of {', '.join(missing)}"
        text = f"its group {job.engine.group} was not captured whole: {why} with it"
        yield Problem(Trouble.GROUP_INCOMPLETE, text, last.time, verb=Verb.BACKUP, why=why, cause=" ".join(missing))


def _problems(
    job: Job,
    history: AssetHistory,
    upkeep: AssetHistory,
    usable: Sequence[Snapshot],
    now: datetime,
    *,
    never: bool,
    lost: bool,
) -> Iterator[Problem]:
    """`never`: where there is no snapshot, that is known to be so; `lost`: as far as the ledger that is left tells."""
    newest = usable[-1] if usable else None
    if newest is None and history.last_good_backup is None and never:
        yield _never_backed_up(job, lost=lost)
    since = newest.usable_at if newest else datetime.min.replace(tzinfo=now.tzinfo)
    known = newest.id if newest else None
    # That the last that was stored does not count any more has reasons of its own.
    if failed := history.failed_since(since, snapshot=known, mended=history.last_stored):
        step = failed.step(job.plan, job.asset)
        cause, run, away = steady(failed.why), failed.run, Trouble.SOURCE_AWAY if history.source_away else None
        yield Problem(
            Trouble.BACKUP_FAILED,
            failed.text,
            verb=Verb.BACKUP,
            step=step,
            run=run,
            why=failed.why,
            cause=cause,
            because=away,
        )
    if crashed := history.crashed_test:
        text = f"the restore test of {to_the_second(crashed.time)} crashed: its run {crashed.run} never recorded an end"
        yield Problem(Trouble.TEST_INCONCLUSIVE, text, crashed.time, about="crash", verb=Verb.TEST, why="it crashed")
    if (crashed := history.crashed_restore(now)) and (begun := crashed.restore) is not None:
        where = f" into {begun.target.name}" if begun.target.name else ""
        text = f"the restore of {to_the_second(begun.time)}{where} crashed: its run {begun.run} never recorded an end"
        resumed = upkeep.goes_on_with(begun, now)
        then = next_step(Trouble.RECOVERY_UNFINISHED, job.plan, None) if resumed else _clear(job, begun)
        yield Problem(Trouble.RESTORE_CRASHED, text, begun.time, step=then)
    yield from _returned(history)
    yield from findings_of(history.last_good_backup, Verb.BACKUP)
    yield from problems_of_tests(job, history, upkeep, usable)
    planned = {Verb.BACKUP: job.engine.backup, Verb.TEST: job.engine.restore_test}
    ends = {Verb.BACKUP: history.last_backup, Verb.TEST: history.last_test}
    yield from not_begun(history, {verb: last for verb, last in ends.items() if planned[verb]})


def _returned(history: AssetHistory) -> Iterator[Problem]:
    """Somebody broke the glass, and nobody has looked since."""
    for seq, time in history.handed_over:
        text = (
            f"what was restored at {to_the_second(time)} was handed over though erased people may be in it (record "
            f"{seq}): nobody has reviewed that"
        )
        yield Problem(Trouble.ERASED_RETURNED, text, time, about=str(seq))


def _clear(job: Job, begun: RestoreStart) -> str | None:
    """What to remove of a restore that crashed, by name; None where its record does not say where it went."""
    target, run = begun.target, begun.run
    if target.kind == "directory" and target.name:
        to = Path(target.name)
        left = f"{to.parent}/.{to.name}.{RESTORE_MARK}-{run} (or {to}/.{RESTORE_MARK}-{run}, on a mount)"
    elif target.kind == "server":
        from ccdr.engines.servers.target import suffix_of  # for few: it brings the engines' settings with it

        left = f"the database …{suffix_of(run)} there"
    else:
        return None
    return after_a_crash(job.plan, job.asset, left)


def _never_backed_up(job: Job, *, lost: bool) -> Problem:
    if not lost:
        return Problem(Trouble.NEVER_SUCCEEDED, "no backup has succeeded yet", verb=Verb.BACKUP)
    text = "no backup is recorded since the ledger was lost, and ccdr does not know whether there was one before"
    step = next_step(Trouble.LEDGER_LOST, job.plan, job.asset)
    return Problem(Trouble.NEVER_SUCCEEDED, text, verb=Verb.BACKUP, about="lost", step=step, as_bad_as=Level.UNPROVEN)


def _backup_late(
    job: Job, history: AssetHistory, newest: Snapshot | None, now: datetime, let_be: datetime, *, backing_up: bool
) -> Iterator[Problem]:
    """A backup has come due twice since it was last done; one that failed was tried, and is a problem of its own. What
    came due up to `let_be` was to be let be."""
    planned, last = job.engine.backup, history.last_backup
    if planned is not None and newest is not None and not backing_up:
        tried = max(newest.usable_at, last.time) if last else newest.usable_at
        if due := second_due(planned.schedule, job.loaded.plan.timezone, max(tried, let_be), now):
            text = f"its backup is overdue: the last one was at {to_the_second(tried)}"
            yield Problem(Trouble.BACKUP_LATE, text, due, verb=Verb.BACKUP)


def _by_rule(job: Job, history: AssetHistory) -> dict[str, RuleVerdict | None]:
    """The plan's rules first, in its order."""
    return {**dict.fromkeys(job.rules), **history.by_rule}
