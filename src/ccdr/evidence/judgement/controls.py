"""What is wrong by an asset's negative controls: do its restore tests find a damaged copy bad?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import NEVER, AssetHistory
from ccdr.evidence.history.kinds import CONTROL_START, CONTROLLED, INCONCLUSIVE
from ccdr.evidence.judgement.troubles import not_begun
from ccdr.model.damage import OF_FILES
from ccdr.model.schedule import second_due
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import Verb, to_the_second, utc
from ccdr.plans.job import Job
from ccdr.plans.versions import PLAN_VERSION


def problems_of_controls(job: Job, history: AssetHistory, upkeep: AssetHistory, now: datetime) -> Iterator[Problem]:
    yield from _passed(job, history)
    last = history.newest.get(CONTROLLED)
    if last is not None and last["result"] == INCONCLUSIVE and job.control is not None:
        why, at = str(last.get("reason") or ""), utc(last["time"])
        text = f"its last negative control is INCONCLUSIVE: {why}"
        yield Problem(
            Trouble.CONTROL_INCONCLUSIVE, text, at, verb=Verb.CONTROL, run=last["run"], why=why, cause=steady(why)
        )
    crashed = history.crashed(CONTROL_START)
    if crashed is not None and (last is None or last["seq"] < crashed["seq"]):
        at = utc(crashed["time"])
        text = f"the negative control of {to_the_second(at)} crashed: its run {crashed['run']} never recorded an end"
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
        if (kind := str(record["damage"]["kind"])) in possible:
            word, at = kind.replace("_", " "), utc(record["time"])
            text = (
                f"a copy that was damaged on purpose PASSED its restore test ({word}, {to_the_second(at)}, run "
                f"{record['run']}): that its tests pass proves nothing against such damage"
            )
            yield Problem(Trouble.CONTROL_PASSED, text, at, about=name, verb=Verb.CONTROL, why=word, run=record["run"])


def kinds_of(job: Job) -> frozenset[str]:
    """What can be done to a copy of the asset, as its engine is now."""
    return frozenset(kind.value for kind in (*OF_FILES, *job.engine.damages))


def _late(job: Job, history: AssetHistory, upkeep: AssetHistory, now: datetime) -> Iterator[Problem]:
    """It has come due twice since the last one; where there was none, since the plan came to be as it is."""
    last, version = history.upkeep_tried(Verb.CONTROL), upkeep.newest.get(PLAN_VERSION, {})
    since: str | None = last or version.get("time")
    if since is None or job.control is None:
        return
    let_be = max(utc(since), upkeep.let_be(now) or NEVER)
    if due := second_due(job.control.schedule, job.loaded.plan.timezone, let_be, now):
        told = f"the last one was at {to_the_second(last)}" if last else "there was none yet"
        text = f"its negative control is overdue: {told}"
        yield Problem(Trouble.CONTROL_LATE, text, due, verb=Verb.CONTROL)
