"""What is wrong with the care of a plan's repository: prunes and checks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from ccdr.evidence.acknowledged import acknowledged, steady
from ccdr.evidence.history.asset_history import NEVER, AssetHistory
from ccdr.evidence.history.kinds import CHECKED, FAILED, INCONCLUSIVE, PRUNED, RECOVER_START
from ccdr.evidence.history.places import Histories
from ccdr.evidence.judgement.access import access_of
from ccdr.evidence.judgement.approvals import approval_of
from ccdr.evidence.judgement.object_locks import locks_of
from ccdr.evidence.judgement.statements import refused
from ccdr.evidence.judgement.troubles import distinct, findings_of, not_begun, passed_over
from ccdr.evidence.judgement.unusual_access import unusual_of
from ccdr.evidence.pauses import told
from ccdr.model.fetched import Fetched, month_of
from ccdr.model.schedule import second_due
from ccdr.model.trouble import (
    Problem,
    Trouble,
    next_step,
)
from ccdr.model.values import (
    Verb,
    duty_of,
    human_bytes,
    of_another_host,
    to_the_second,
    utc,
)
from ccdr.plans import LoadedPlan
from ccdr.plans.trust import origin_of
from ccdr.plans.versions import PLAN_STORED, PLAN_VERSION
from ccdr.storage.removals import CLOCK_TOLERANCE

UNSTORED = timedelta(days=1)  # that a plan may wait for its repository, where nothing was backed up since


def judge_upkeep(
    loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False
) -> tuple[Problem, ...]:
    """What is wrong with the care of a plan's repository, by its newest prune and its newest check. `at_work`: one of
    them is, so that none is overdue."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    told = {one[:8] for asset in loaded.plan.assets for one in histories.get((name, asset), AssetHistory()).vanished}
    known = judge_repository(loaded, histories, now, at_work=at_work)
    found = (p for p in known if not _of_these_alone(p, told))
    troubles = (
        *_fetched(loaded, histories, now),
        *_unstored(loaded, histories, now),
        *elsewhere(loaded, history),
        *approval_of(loaded, history, now),
        *access_of(loaded, history, now),
        *refused(history),
        *locks_of(loaded, history, now),
        *unusual_of(history),
        *_paused(history, now),
        *_recovery(history, now),
    )
    wrong = distinct((*found, *troubles))
    problems = (
        p if p.trouble is Trouble.FINDING else replace(p, step=next_step(p.trouble, name, None))
        for p in (*wrong, *passed_over(history, *_of_no_asset(loaded, histories)))
    )
    return tuple(acknowledged(problems, history.acks, now))


def judge_repository(
    loaded: LoadedPlan, histories: Histories, now: datetime, *, at_work: bool = False
) -> Iterator[Problem]:
    """By its newest prune and its newest check alone."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    first = min((h.first for (plan, _), h in histories.items() if plan == name and h.first), default=None)
    yield from _upkeep(history)
    if not at_work:
        yield from _upkeep_late(loaded, history, first, now)


def judge_runbook(plan: str, history: AssetHistory, now: datetime) -> tuple[Problem, ...]:
    """Of a runbook that was begun, has not ended, and that no process goes on with: each step that waits for a person
    or failed; or that nobody is at it."""
    of = history.runbook
    if not of:
        return ()
    begun = f"the runbook that was begun at {to_the_second(of['begun'])}"
    standing = {s: told for s, told in of["steps"].items() if told[0] in ("WAITING", "FAILED")}
    problems = [
        Problem(
            Trouble.RUNBOOK_STANDS,
            f"{begun} {'waits for a person' if result == 'WAITING' else 'stands'}: its step {step} "
            + (f"failed: {reason}" if result == "FAILED" else "is to be answered"),
            utc(at),
            about=step,
            why=f"{step} {'failed' if result == 'FAILED' else 'is to be answered'}",
            cause=result,
            step=_runbook_step(plan, step, failed=result == "FAILED"),
        )
        for step, (result, at, reason) in standing.items()
    ] or [Problem(Trouble.RUNBOOK_STANDS, f"{begun} has not ended, and nobody is at it", utc(of["begun"]))]
    told = (p if p.step else replace(p, step=next_step(p.trouble, plan, None)) for p in problems)
    return tuple(acknowledged(told, history.acks, now))


def _runbook_step(plan: str, step: str, *, failed: bool) -> str:
    if failed:
        return f"ccdr runbook retry {plan} {step}   tries it again; ccdr runbook status {plan}   shows the rest"
    return f"ccdr runbook resume {plan}   asks, and goes on; ccdr runbook status {plan}   shows the rest"


def _paused(history: AssetHistory, now: datetime) -> Iterator[Problem]:
    if pause := history.pause(now):
        text = f"it is {told(pause, now)}: what is due waits, no log is shipped; what is due twice is skipped"
        yield Problem(Trouble.PAUSED, text, pause.begun, about=str(pause.seq), why=str(pause))


def _recovery(history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """One that was begun, and that nobody has brought to an end."""
    if (last := history.unfinished_recovery(now)) is None:
        return
    at = utc(last["time"])
    how = "crashed: its run {} never recorded an end" if last["kind"] == RECOVER_START else "was not finished (run {})"
    missing = [str(a["asset"]) for a in last.get("assets") or () if a.get("state") not in (None, "done")]
    what = f"; not brought back: {', '.join(missing)}" if missing else ""
    text = f"the recovery of {to_the_second(at)} {how.format(last['run'])}{what}"
    yield Problem(Trouble.RECOVERY_UNFINISHED, text, at, about=str(last["run"]), run=str(last["run"]))


def _of_these_alone(problem: Problem, told: Collection[str]) -> bool:
    """Is it what a prune found of snapshots that vanished? Their assets' SNAPSHOT_VANISHED tells it, which somebody may
    have acknowledged."""
    named = {one[:8] for one in problem.cause.split()} if problem.trouble is Trouble.FINDING else set()
    return bool(named) and named.issubset(told)


def _of_no_asset(loaded: LoadedPlan, histories: Histories) -> list[AssetHistory]:
    """What records tell of a plan's assets that it does not name."""
    name, assets = loaded.plan.plan, loaded.plan.assets
    return [h for (plan, asset), h in histories.items() if plan == name and asset not in (None, *assets)]


def _fetched(loaded: LoadedPlan, histories: Histories, now: datetime) -> Iterator[Problem]:
    """Told before the limit is reached. What was fetched for an asset that the plan names no more counts too."""
    name, month = loaded.plan.plan, month_of(now)
    size = sum(history.fetched.get(month, 0) for (plan, _), history in histories.items() if plan == name)
    of_tests = Fetched({month: size}, limit=loaded.plan.limits.fetch_per_month)
    if of_tests.limit is not None and of_tests.near(now):
        text = f"its restore tests fetched {human_bytes(size)} of the {human_bytes(of_tests.limit)} allowed this month"
        reached = "reached" if size >= of_tests.limit else "near"
        yield Problem(Trouble.FETCH_LIMIT, text, about=month, verb=Verb.TEST, why=f"limit {reached}", cause=reached)


def _unstored(loaded: LoadedPlan, histories: Histories, now: datetime) -> Iterator[Problem]:
    """Is the plan that is in force in its repository? Asked once there is a backup that it would lead to: of the host
    that takes them, which stores it with the next one, and within a day."""
    name = loaded.plan.plan
    history = histories.get((name, None), AssetHistory())
    version, stored = history.newest.get(PLAN_VERSION), history.newest.get(PLAN_STORED)
    if version is None or not version.get("files") or not history.answers_for(Verb.BACKUP):
        return
    if stored is not None and stored.get("digest") == version.get("digest"):
        return
    origin = origin_of(loaded)
    if origin is not None and not origin.made and origin.version == version.get("digest"):
        return  # it came from there
    since = utc(version["time"])
    backups = (histories.get((name, asset), AssetHistory()).last_good_backup for asset in loaded.plan.assets)
    times = [utc(backup["time"]) for backup in backups if backup is not None and not of_another_host(backup)]
    if times and (max(times) > since + CLOCK_TOLERANCE or now - since > UNSTORED):
        text = f"the plan of {to_the_second(since)} (record {version['seq']}) is not in its repository"
        yield Problem(Trouble.PLAN_NOT_STORED, text, since, about=str(version["digest"])[:16], verb=Verb.BACKUP)


def elsewhere(loaded: LoadedPlan, history: AssetHistory) -> Iterator[Problem]:
    """By the file of a plan that was brought back from a repository: is the state of another one that bears its name?
    Backups and tests of that say nothing of this. A plan that a person edits here is judged by its version in force."""
    origin, facts = origin_of(loaded), loaded.facts.repository
    if origin is None or facts is None:
        return
    version, stored = history.newest.get(PLAN_VERSION), history.newest.get(PLAN_STORED)
    known = [(((version or {}).get("facts") or {}).get("repository") or {}).get("location")]
    if not origin.made:  # a made one is never stored
        known.append((stored or {}).get("repository"))
    other = next((where for where in known if where is not None and where != facts.location), None)
    if other is not None:
        text = "what is known here of the plan is of another repository than it came from: nothing of it counts"
        step = next_step(Trouble.PLAN_ELSEWHERE, loaded.plan.plan, None)
        yield Problem(Trouble.PLAN_ELSEWHERE, text, about=str(other)[:16], step=step)


def _upkeep(history: AssetHistory) -> Iterator[Problem]:
    pruned, checked = history.newest.get(PRUNED), history.newest.get(CHECKED)
    yield from not_begun(history, {Verb.PRUNE: pruned, Verb.CHECK: checked})
    crashed = history.crashed_upkeep()
    if crashed is not None:
        what = Verb(crashed["kind"].removesuffix(".start"))
        text = f"the {what} of {to_the_second(crashed['time'])} crashed: its run {crashed['run']} never recorded an end"
        trouble = Trouble.PRUNE_FAILED if what is Verb.PRUNE else Trouble.CHECK_INCONCLUSIVE
        yield Problem(trouble, text, utc(crashed["time"]), about="crash", verb=what, why="it crashed")
    if pruned is not None:
        if pruned.get("result") == FAILED:
            text = f"its last prune FAILED: {pruned.get('reason')}"
            why, at, run = str(pruned.get("reason") or ""), utc(pruned["time"]), pruned["run"]
            yield Problem(Trouble.PRUNE_FAILED, text, at, verb=Verb.PRUNE, run=run, why=why, cause=steady(why))
        yield from findings_of(pruned, Verb.PRUNE)
    if damaged := history.damaged_parts:  # until the same part is read again and found clean
        text = f"a check found part {', '.join(damaged)} of {history.parts} of the repository's data DAMAGED"
        if len(damaged) == history.parts:
            text = "a check that read all of the repository's data found some of it DAMAGED"
        earliest = min(utc(history.read[part][0]) for part in damaged)
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, earliest, cause=" ".join(damaged))
    if history.damaged_before:
        part, parts, since = history.damaged_before
        text = (
            f"a check found part {part} of {parts} of the repository's data DAMAGED; since then it is read in "
            f"{history.parts} parts, and not all of them were found clean yet"
        )
        yield Problem(Trouble.REPOSITORY_DAMAGED, text, utc(since), about="before")
    if checked is not None and checked.get("result") == INCONCLUSIVE:
        text = f"its last check is INCONCLUSIVE: {checked.get('reason')}"
        why, at, run = str(checked.get("reason") or ""), utc(checked["time"]), checked["run"]
        yield Problem(Trouble.CHECK_INCONCLUSIVE, text, at, verb=Verb.CHECK, run=run, why=why, cause=steady(why))


def _upkeep_late(loaded: LoadedPlan, history: AssetHistory, first: str | None, now: datetime) -> Iterator[Problem]:
    """What has come due twice since it was last tried, or since it became this host's to do; what was tried in vain is
    a problem of its own. `first` is the time of the plan's first record."""
    plan = loaded.plan
    planned = {Verb.PRUNE: plan.upkeep.prune, Verb.CHECK: plan.upkeep.check}
    if plan.retention is None:
        del planned[Verb.PRUNE]  # it would remove nothing
    for verb, schedule in planned.items():
        if (due := late_since(loaded, history, history, verb, schedule, first, now)) is None:
            continue
        tried = history.upkeep_tried(verb)
        what = "its prune is overdue" if verb is Verb.PRUNE else "its check is overdue"
        last = (
            f"the last one was at {to_the_second(tried)}"
            if tried
            else f"it never ran, and is due since {to_the_second(due)}"
        )
        trouble = Trouble.PRUNE_LATE if verb is Verb.PRUNE else Trouble.CHECK_LATE
        yield Problem(trouble, f"{what}: {last}", due, verb=verb)


def late_since(
    loaded: LoadedPlan,
    history: AssetHistory,
    duties: AssetHistory,
    verb: Verb,
    schedule: str,
    first: str | None,
    now: datetime,
) -> datetime | None:
    """Since when such work is overdue: it has come due twice since it was last tried, or since it became this host's
    to do, as the plan's own history (`duties`) tells."""
    at, asked = now, (duties.duties or {}).get(duty_of(verb)) or first
    if not duties.answers_for(verb):
        if (other := duties.elsewhere(verb)) is None:
            return None
        at, asked = min(now, other.until), other.since or first
    # By a clock that was wrong: when it was, nobody knows, and nothing is put off by it until that has come.
    times = (history.upkeep_tried(verb), asked, first)
    known = [when for one in times if one and (when := utc(one)) <= now + CLOCK_TOLERANCE]
    let_be = duties.let_be(now) if duties.answers_for(verb) else NEVER
    return second_due(schedule, loaded.plan.timezone, max(*known, let_be) if known else at, at)
