"""What is wrong with each asset, and with the care of each repository: one set of rules, for whatever tells of it.

Values in, values out: what the ledger says (`evidence/history`) and what else is known at one moment become an
`AssetStatus`, its troubles with their codes. `status`, the report, metrics and messages put that into words and
numbers, and have no rule of their own; so the same records give the same judgement, whoever looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import NEVER, AssetHistory
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.controls import problems_of_controls
from ccdr.evidence.judgement.counting import (
    Counted,
    apart_from_vanished,
    count,
    made_up_for,
    newer_not_counting,
    vanished_problem,
)
from ccdr.evidence.judgement.coverage import (
    STALE,
    as_far_as_known,
    coverage,
    measured_rto,
    rto_known,
    test_late,
)
from ccdr.evidence.judgement.objectives import breaches, measured_rpo
from ccdr.evidence.judgement.restore_tests import problems_of_tests
from ccdr.evidence.judgement.shipped_log import log_problems
from ccdr.evidence.judgement.troubles import (
    by_their_causes,
    copies_near,
    findings_of,
    not_begun,
    passed_over,
    repository_away,
    repository_damaged,
    with_places,
)
from ccdr.host.state import RESTORE_MARK
from ccdr.model.leaps import WORDS, Sign
from ccdr.model.next_steps import Missing, after_a_crash, after_a_recovery
from ccdr.model.schedule import second_due
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import (
    Snapshot,
    Verb,
    human_seconds,
    so_many,
    to_the_second,
    utc,
)
from ccdr.plans.job import Job


@dataclass(frozen=True)
class _Case:
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
    case = _Case(job, history, upkeep, seen, now, counted, tested, ours_to_do)
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
    )
    near = () if status.unreachable else with_places(copies_near(history), job, history, now, backs_up=True)
    status = replace(status, near=near, near_known="beside_source" in (history.last_good_backup or {}))
    not_met = with_places(breaches(job, history, status, now), job, history, now, backs_up=ours_to_do)
    return replace(status, breaches=by_their_causes(not_met, placed, history, made_up))


def _wrong(case: _Case, made_up: Missing) -> Iterator[Problem]:
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


def _of_backups_and_tests(case: _Case) -> Iterator[Problem]:
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


def _source_away(case: _Case) -> Iterator[Problem]:
    """By the newest backup, and by what ships its log: what has got there since knows better."""
    history, standing, newest = case.history, case.seen.standing, case.counted.newest
    stored = standing.point if standing and not standing.trouble else None
    since = [utc(history.source_away)] if history.source_away else []
    if standing and standing.away and standing.troubled and case.seen.ships:
        since.append(standing.troubled)
    usable = newest.usable_at if newest else None
    there = max((at for at in (stored, usable) if at is not None), default=None)
    if gone := min((at for at in since if there is None or at > there), default=None):
        text = f"its source is gone: nobody answers there since {to_the_second(gone)}"
        lately = case.upkeep.recovered_lately(case.job.asset, case.now)
        step = after_a_recovery(case.job.plan) if lately else None
        yield Problem(Trouble.SOURCE_AWAY, text, gone, verb=Verb.BACKUP, step=step)


def _suspect(history: AssetHistory) -> Iterator[Problem]:
    """Told until somebody answers for it: what a newer backup looks like takes nothing back."""
    of = history.suspect
    if of is not None:
        why = "; ".join(WORDS[Sign(one)] for one in of["suspect"])
        also = len(history.suspected) - 1
        later = f", and no more does what was stored since ({so_many(also, 'snapshot')})" if also else ""
        which = f"{str(of['snapshot']['id'])[:8]} of {to_the_second(of['time'])}"
        text = f"the snapshot {which} does not count{later}: {why}"
        at, run = utc(of["time"]), str(of["run"])
        yield Problem(Trouble.SNAPSHOT_SUSPECT, text, at, about=run, verb=Verb.BACKUP, why=why, run=run)


def _other_cluster(history: AssetHistory) -> Iterator[Problem]:
    if (of := history.other_cluster) is not None:
        number, at = str(of["server"]), utc(of["time"])
        text = (
            f"the backup of {to_the_second(at)} is of another server than those before it: its system identifier is "
            f"{number}, and theirs is {history.server}"
        )
        yield Problem(Trouble.OTHER_CLUSTER, text, at, about=number, verb=Verb.BACKUP, run=str(of["run"]))


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
        resumed = upkeep.goes_on_with(begun, now)
        then = next_step(Trouble.RECOVERY_UNFINISHED, job.plan, None) if resumed else _clear(job, begun)
        yield Problem(Trouble.RESTORE_CRASHED, text, utc(begun["time"]), step=then)
    yield from _returned(history)
    yield from findings_of(history.last_good_backup, Verb.BACKUP)
    yield from problems_of_tests(job, history, upkeep, usable)
    planned = {Verb.BACKUP: job.engine.backup, Verb.TEST: job.engine.restore_test}
    ends = {Verb.BACKUP: history.last_backup, Verb.TEST: history.last_test}
    yield from not_begun(history, {verb: last for verb, last in ends.items() if planned[verb]})


def _returned(history: AssetHistory) -> Iterator[Problem]:
    """Somebody broke the glass, and nobody has looked since."""
    for seq, time in history.returned:
        text = (
            f"what was restored at {to_the_second(time)} was handed over though erased people may be in it (record "
            f"{seq}): nobody has reviewed that"
        )
        yield Problem(Trouble.ERASED_RETURNED, text, utc(time), about=str(seq))


def _clear(job: Job, begun: Mapping[str, Any]) -> str | None:
    """What to remove of a restore that crashed, by name; None where its record does not say where it went."""
    target, run = begun.get("target") or {}, str(begun["run"])
    if target.get("kind") == "directory" and target.get("name"):
        to = Path(str(target["name"]))
        left = f"{to.parent}/.{to.name}.{RESTORE_MARK}-{run} (or {to}/.{RESTORE_MARK}-{run}, on a mount)"
    elif target.get("kind") == "server":
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
        tried = max(newest.usable_at, utc(last["time"])) if last else newest.usable_at
        if due := second_due(planned.schedule, job.loaded.plan.timezone, max(tried, let_be), now):
            text = f"its backup is overdue: the last one was at {to_the_second(tried)}"
            yield Problem(Trouble.BACKUP_LATE, text, due, verb=Verb.BACKUP)


def _by_rule(job: Job, history: AssetHistory) -> dict[str, tuple[str, str] | None]:
    """The plan's rules first, in its order."""
    verdicts: dict[str, tuple[str, str] | None] = dict.fromkeys(job.rules)
    return verdicts | {rule: (time, verdict) for rule, (time, verdict) in history.by_rule.items()}
