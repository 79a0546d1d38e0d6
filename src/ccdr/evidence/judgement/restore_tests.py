"""What is wrong by the newest restore tests of an asset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ccdr.evidence.acknowledged import steady
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.came_apart import step_after_coming_apart
from ccdr.evidence.judgement.coverage import conclusive
from ccdr.evidence.judgement.troubles import findings_of
from ccdr.evidence.verdicts import Record, blames_the_log, misfits
from ccdr.model.next_steps import mend_first
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import (
    Snapshot,
    Verb,
    to_the_second,
    utc,
)
from ccdr.plans.job import Job


@dataclass(frozen=True)
class _Case:
    """An asset, and all that its tests are judged by; `usable` snapshots, oldest first."""

    job: Job
    history: AssetHistory
    upkeep: AssetHistory
    usable: Sequence[Snapshot]


def problems_of_tests(
    job: Job, history: AssetHistory, upkeep: AssetHistory, usable: Sequence[Snapshot]
) -> Iterator[Problem]:
    """`upkeep` is the plan's history."""
    newest = usable[-1] if usable else None
    last, failure = history.last_test, history.older_failure
    planned, case = job.engine.restore_test is not None, _Case(job, history, upkeep, usable)
    if last is None:
        text = "never tested" if planned else "never tested, and its plan has no restore test for it"
        yield Problem(Trouble.NEVER_TESTED, text, verb=Verb.TEST)
    elif last["verdict"] != "PASS" and not history.made_good(last, newest):
        trouble = _failed(last) if last["verdict"] == "FAIL" else Trouble.TEST_INCONCLUSIVE
        alone = " for a newer backup alone" if trouble is Trouble.NEWER_FAILED else ""
        when = f", of {to_the_second(last['time'])}," if trouble is Trouble.TEST_INCONCLUSIVE else ""
        text = f"its last restore test{when} is {last['verdict']}{alone}: {last.get('reason')}"
        # The one of a newer snapshot, or of log that goes further, keeps its name: it was told before.
        stands = history.older_log_failure if trouble is Trouble.LOG_FAILED else failure
        yield _of_test(last, trouble, text, case, about="newest test" if stands else "")
    # A test that broke does not take the failure before it back, nor does one of an older snapshot.
    if failure is not None and not history.made_good(failure, newest):
        when = to_the_second(failure["time"])
        text = f"its restore test of {when} is FAIL, and no newer snapshot has passed: {failure.get('reason')}"
        yield _of_test(failure, _failed(failure), text, case)
    if (failed := history.unchecked) is not None:
        text = (
            f"its restore test of {to_the_second(failed['time'])} is FAIL, and later tests passed only with fewer "
            f"or weaker checks, without the one that failed: {failed.get('reason')}"
        )
        why, run = str(failed.get("reason") or ""), str(failed["run"])
        at = utc(failed["time"])
        yield Problem(Trouble.NO_LONGER_CHECKED, text, at, verb=Verb.TEST, cause=run, why=why)
    if (failure := history.older_log_failure) is not None and job.engine.shipping is not None:
        text = (
            f"its recovery by the log of {to_the_second(failure['time'])} is FAIL, and none that goes as far has "
            f"passed: {failure.get('reason')}"
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


def _of_test(test: Record, trouble: Trouble, text: str, case: _Case, about: str = "") -> Problem:
    """What is wrong by a test that did not pass. What to do then: is there another snapshot to be found good?"""
    job, history, tested = case.job, case.history, (test.get("snapshot") or {}).get("id")
    # restic stores nothing that is there already: another backup would stand on what is damaged.
    todo = Trouble.REPOSITORY_DAMAGED if test.get("damaged") is True else trouble
    step = next_step(todo, job.plan, job.asset, alone=all(s.id == tested for s in case.usable))
    if todo is Trouble.REPOSITORY_DAMAGED and history.newest_met_damage:
        step = mend_first(job.plan, job.asset)
    if todo is Trouble.TEST_FAILED:
        step = step_after_coming_apart(job, test, case.upkeep) or step
    checks = sorted(
        (c for c in test.get("checks") or () if c.get("status") == "FAIL"), key=lambda c: str(c.get("name"))
    )
    failed = [str(check.get("name")) for check in checks]
    cause = "\n".join(map(_found, checks)) or steady(test.get("reason"))
    why = "; ".join(failed) or str(test.get("reason") or "")
    kind = {"verb": Verb.TEST, "step": step, "run": test["run"]}
    return Problem(trouble, text, utc(test["time"]), about=about, cause=cause, why=why, **kind)


def _found(check: Record) -> str:
    """What tells this failure of a check from another: all that it found, so far as that stays so while it lasts."""
    return f"{check.get('name')}: {'' if check.get('varies') else check.get('actual')}"


def _failed(test: Record) -> Trouble:
    """The log that is bad; or a snapshot, or what it does not fit; or one that is good, and not the newest backup that
    was tried."""
    if blames_the_log(test):
        return Trouble.LOG_FAILED
    good = (test.get("snapshot") or {}).get("verdict") == "PASS" and not misfits(test)
    return Trouble.NEWER_FAILED if good else Trouble.TEST_FAILED
