"""What is wrong with each asset, and with the care of each repository: one set of rules, for whatever tells of it.

Values in, values out: what the ledger says (`evidence/history`) and what else is known at one moment become an
`AssetStatus`, its troubles with their codes. `status`, the report, metrics and messages put that into words and
numbers, and have no rule of their own; so the same records give the same judgement, whoever looks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import AssetHistory, Elsewhere
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.counting import (
    apart_from_vanished,
    made_up_for,
    points_by_records,
    vanished_problem,
    why_not,
)
from ccdr.evidence.judgement.coverage import (
    STALE,
    as_far_as_known,
    conclusive,
    coverage,
    measured_rto,
    rto_known,
    test_late,
)
from ccdr.evidence.judgement.restore_tests import problems_of_tests
from ccdr.evidence.judgement.shipped_log import log_problems
from ccdr.evidence.judgement.troubles import (
    DOUBT,
    MOST_NAMED,
    by_their_causes,
    copies_near,
    findings_of,
    not_begun,
    passed_over,
    repository_away,
    with_places,
)
from ccdr.model import measure
from ccdr.model import parents as chain
from ccdr.model.measure import Point
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    Level,
    Problem,
    Trouble,
    mend_first,
)
from ccdr.model.values import (
    Achieved,
    ObjectiveVerdict,
    Snapshot,
    Verb,
    human_seconds,
    so_many,
    to_the_second,
    utc,
)
from ccdr.plans.job import Job
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future


def judge(job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, now: datetime) -> AssetStatus:
    """Where one asset stands at `now`, by what the ledger says of it and of its plan's `upkeep`, and what else is
    `seen`."""
    gone = set(history.vanished)
    known = [s for s in seen.snapshots if s.id not in gone]
    source = job.engine.source_name
    ours = [s for s in known if of_source(s, source)]
    usable = chain.usable([s for s in ours if not dated_in_future(s, now)], known, history.disproved)
    counting = history.counting(usable, upkeep)
    points = [
        *(Point(s.consistent_point, s.usable_at) for s in counting),
        *seen.logged(counting, history.log_disproved),
    ]
    newest = usable[-1] if usable else None
    tested = coverage(job, history, now)
    backer, tester = upkeep.elsewhere(Verb.BACKUP), upkeep.elsewhere(Verb.TEST)
    ours_to_do = history.backs_up(upkeep, known=bool(ours))
    rpo = measure.judge(job.objectives.rpo, measure.exposure(now, points))
    if not ours_to_do:
        rpo = _elsewhere(job, history, [*points, *points_by_records(job, history, upkeep, seen, usable)], now, backer)
    known_here = ours_to_do or backer is not None or history.last_test is not None
    # That one failed its test, or vanished, says what is wrong: it was backed up.
    never = known_here and not any(map(history.disproved, ours)) and len(known) == len(seen.snapshots)
    wrong = [*repository_away(job, history, upkeep), *_problems(job, history, usable, now, never=never)]
    # One that a newer good one has made up for is history, not a finding for ever.
    bad = [s for s in ours if newest is None or s.consistent_point > newest.consistent_point]
    if bad:
        count = so_many(len(bad), "newer snapshot does", "newer snapshots do")
        named = [f"{s.short}, {why_not(s, known, history, now)}" for s in reversed(bad[-MOST_NAMED:])]
        rest = [f"and {len(bad) - MOST_NAMED} more"] if len(bad) > MOST_NAMED else []
        which = " ".join(sorted(s.short for s in bad))
        text = f"{count} not count: {'; '.join([*named, *rest])}"
        lacks = Trouble.SNAPSHOT_VANISHED if all(gone & {n.id for n in s.upon} for s in bad) else None
        wrong.append(Problem(Trouble.FINDING, text, about="newer", cause=which, because=lacks))
    if known[-1:] != ours[-1:]:
        text = "its newest snapshot is from another source than the plan names now"
        wrong.append(Problem(Trouble.FINDING, text, about="source"))
    mend = mend_first(job.plan, job.asset) if history.newest_met_damage else None
    if damage := history.damage_since(upkeep):
        since = utc(upkeep.last_damage["time"]) if upkeep.last_damage else None
        wrong.append(Problem(Trouble.REPOSITORY_DAMAGED, damage, since, step=mend))
    if doubted := len(usable) - len(counting):
        count = so_many(doubted, "newer snapshot does", "newer snapshots do")
        text = f"{count} not count until one has passed a test: the repository was found damaged"
        wrong.append(Problem(Trouble.REPOSITORY_DAMAGED, text, about=DOUBT, step=mend))
    if ours_to_do or backer is not None:
        at = now if ours_to_do or backer is None else min(now, backer.until)
        wrong += _backup_late(job, history, newest, at, backing_up=seen.backing_up)
    if tested == STALE:
        wrong += test_late(job, history, now)
    if not upkeep.answers_for(Verb.TEST):
        wrong = list(as_far_as_known(wrong, job, history, now, tester))
    if seen.ships:
        wrong += log_problems(job, history, seen, usable, now)
    wrong += _incomplete(job, upkeep)
    wrong += [*passed_over(history), *seen.changed, *_settling(job)]
    made_up = made_up_for([s for s in seen.snapshots if s.id in gone], newest, history)
    wrong += vanished_problem(
        job, [s for s in seen.snapshots if s.id in gone], gone - {s.id for s in seen.snapshots}, made_up
    )
    wrong = list(apart_from_vanished(wrong, gone))
    status = AssetStatus(
        plan=job.plan,
        asset=job.asset,
        rpo=rpo,
        rto=rto_known(measured_rto(job, history), wrong),
        last_backup=history.last_backup,
        good=counting[-1] if counting else None,
        failed=any(p.trouble is Trouble.BACKUP_FAILED for p in wrong),
        last_test=history.last_test,
        coverage=tested,
        wrong=by_their_causes(
            placed := with_places(wrong, job, history, now, backs_up=ours_to_do), placed, history, made_up
        ),
        by_rule=_by_rule(job, history),
        counting=tuple(counting),
        usable=tuple(usable),
        backs_up=ours_to_do,
    )
    near = () if status.unreachable else with_places(copies_near(history), job, history, now, backs_up=True)
    status = replace(status, near=near, near_known="beside_source" in (history.last_good_backup or {}))
    breaches = with_places(_breaches(job, history, status, now), job, history, now, backs_up=ours_to_do)
    return replace(status, breaches=by_their_causes(breaches, placed, history, made_up))


def _breaches(job: Job, history: AssetHistory, status: AssetStatus, now: datetime) -> Iterator[Problem]:
    """Objectives that are not met; an asset that never had a backup is told as that."""
    never = any(p.trouble is Trouble.NEVER_SUCCEEDED for p in status.wrong)
    rpo, rto = status.rpo, status.rto
    if rpo.verdict is ObjectiveVerdict.BREACHED and not never:
        achieved = math.inf if rpo.achieved_s is None else rpo.achieved_s
        since, level = None, Level.LOST
        text = f"RPO breached: there is no snapshot that counts, {_objective(rpo)}"
        if math.isfinite(achieved):
            since, level = now - timedelta(seconds=achieved - rpo.objective_s), Level.LATE
            text = f"RPO breached: {human_seconds(achieved)} of data would be lost, {_objective(rpo)}"
        some, point = math.isfinite(achieved), now.timestamp() - achieved
        yield Problem(
            Trouble.BREACH_RPO,
            text,
            since,
            verb=Verb.BACKUP,
            as_bad_as=level,
            cause="" if some else "none",
            values=(achieved,) if some else (),
            lasting=point if some else None,
        )
    last = conclusive(job, history)
    if rto.verdict is ObjectiveVerdict.BREACHED:
        text = f"RTO breached: its last restore took {human_seconds(rto.achieved_s)}, {_objective(rto)}"
        why = f"{human_seconds(rto.achieved_s)} of {human_seconds(rto.objective_s)}"
        yield Problem(Trouble.BREACH_RTO, text, verb=Verb.TEST, why=why, values=(rto.achieved_s or 0.0,))
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and last is not None and last["verdict"] == "PASS":
        text = f"its RTO was not measured with {job.engine.settings} settings, which its plan asks for"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)
    elif rto.verdict is ObjectiveVerdict.NOT_MEASURED and not any(p.verb is Verb.TEST for p in status.wrong):
        text = "its last conclusive restore test did not measure its RTO"
        yield Problem(Trouble.RTO_UNMEASURED, text, verb=Verb.TEST)


def _objective(achieved: Achieved) -> str:
    return f"the objective is {human_seconds(achieved.objective_s)}"


def _elsewhere(
    job: Job, history: AssetHistory, points: Sequence[measure.Point], now: datetime, backer: Elsewhere | None
) -> Achieved:
    """Exposure where another host backs up, and ships the log: what there is was last seen by a restore test, and what
    that measured counts, too; or it is told by that host's own ledger, as far as that goes. A breach that was seen
    stands while nothing newer is known."""
    last, known = history.last_test or {}, list(points)
    rpo = last.get("rpo") or {}
    if backer is not None and job.engine.shipping is None and (not rpo or utc(last["time"]) <= backer.until):
        until = min(now, backer.until)
        seen = 0.0 if any(p.usable > until for p in known) else measure.exposure(until, known)
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)
    if not rpo:  # never looked, or it did not come to that: whether it is met or not is not known
        return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), 0.0)
    at, achieved = utc(last["time"]), rpo.get("achieved_s")
    seen = math.inf if achieved is None else float(achieved)
    if math.isfinite(seen):
        known.append(measure.Point(at - timedelta(seconds=seen), at))
    if any(p.usable > at for p in known):  # something else has looked since
        seen = 0.0
    return measure.judge_elsewhere(job.objectives.rpo, measure.exposure(now, known), seen)


def _settling(job: Job) -> Iterator[Problem]:
    """Of files in use the newest are in no snapshot, however new that is."""
    settle, wanted = job.engine.settle_time, job.objectives.rpo
    if settle is not None and settle > wanted:
        text = f"a backup leaves out what changed within the last {human_seconds(settle)}"
        text += f", so it cannot meet its RPO of {human_seconds(wanted)}"
        yield Problem(Trouble.FINDING, text, about=f"settle {settle:g}", verb=Verb.BACKUP)


def _incomplete(job: Job, plan: AssetHistory) -> Iterator[Problem]:
    """Told of those whose own backup is good: why another's is not, its own problem says."""
    last = plan.captured_together(str(job.engine.group)) if job.grouped else None
    if last is None or job.asset in last["missing"]:
        return
    if missing := [asset for asset in last["missing"] if asset in job.grouped]:
        why = f"there is no snapshot of {', '.join(missing)}"
        text = f"its group {job.engine.group} was not captured whole: {why} with it"
        at = utc(last["time"])
        yield Problem(Trouble.GROUP_INCOMPLETE, text, at, verb=Verb.BACKUP, why=why, cause=" ".join(missing))


def _problems(
    job: Job, history: AssetHistory, usable: Sequence[Snapshot], now: datetime, *, never: bool
) -> Iterator[Problem]:
    """`never`: where there is no snapshot, that is known to be so."""
    newest = usable[-1] if usable else None
    if newest is None and history.last_good_backup is None and never:
        yield Problem(Trouble.NEVER_SUCCEEDED, "no backup has succeeded yet", verb=Verb.BACKUP)
    since = newest.usable_at if newest else datetime.min.replace(tzinfo=now.tzinfo)
    known = newest.id if newest else None
    # That the last that was stored does not count any more has reasons of its own.
    if failed := history.failed_since(since, snapshot=known, mended=history.last_stored):
        step = failed.step(job.plan, job.asset)
        cause = steady(failed.why)
        yield Problem(
            Trouble.BACKUP_FAILED, failed.text, verb=Verb.BACKUP, step=step, run=failed.run, why=failed.why, cause=cause
        )
    if crashed := history.crashed_test:
        text = (
            f"the restore test of {to_the_second(crashed['time'])} crashed: its run {crashed['run']} never "
            f"recorded an end"
        )
        began = utc(crashed["time"])
        yield Problem(Trouble.TEST_INCONCLUSIVE, text, began, about="crash", verb=Verb.TEST, why="it crashed")
    if begun := history.crashed_restore(now):
        into = (begun.get("target") or {}).get("name")
        where = f" into {into}" if into else ""
        text = (
            f"the restore of {to_the_second(begun['time'])}{where} crashed: its run {begun['run']} never "
            f"recorded an end"
        )
        yield Problem(Trouble.RESTORE_CRASHED, text, utc(begun["time"]))
    yield from findings_of(history.last_good_backup, Verb.BACKUP)
    yield from problems_of_tests(job, history, usable)
    planned = {Verb.BACKUP: job.engine.backup, Verb.TEST: job.engine.restore_test}
    ends = {Verb.BACKUP: history.last_backup, Verb.TEST: history.last_test}
    yield from not_begun(history, {verb: last for verb, last in ends.items() if planned[verb]})


def _backup_late(
    job: Job, history: AssetHistory, newest: Snapshot | None, now: datetime, *, backing_up: bool
) -> Iterator[Problem]:
    """A backup has come due twice since it was last done; one that failed was tried, and is a problem of its own."""
    planned, last = job.engine.backup, history.last_backup
    if planned is not None and newest is not None and not backing_up:
        tried = max(newest.usable_at, utc(last["time"])) if last else newest.usable_at
        if due := second_due(planned.schedule, job.loaded.plan.timezone, tried, now):
            text = f"its backup is overdue: the last one was at {to_the_second(tried)}"
            yield Problem(Trouble.BACKUP_LATE, text, due, verb=Verb.BACKUP)


def _by_rule(job: Job, history: AssetHistory) -> dict[str, tuple[str, str] | None]:
    """The plan's rules first, in its order."""
    verdicts: dict[str, tuple[str, str] | None] = dict.fromkeys(job.rules)
    return verdicts | {rule: (time, verdict) for rule, (time, verdict) in history.by_rule.items()}
