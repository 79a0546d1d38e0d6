"""Can it be brought back? What the last restore tests say, when one is due, and what is over."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle
from tests.support.judged import NEWER, NOON, RPO, about, codes, judged, nothing, step, told, well

from ccdr.model.trouble import Level, Trouble
from ccdr.model.values import to_the_second
from ccdr.plans.job import Job


def both_failed(past: Chronicle) -> None:
    for name in ("old", "new"):
        past.tested(-0.2, name, "FAIL")


def later_failed(past: Chronicle) -> None:
    past.tested(-0.2, "new", "FAIL")
    past.tested(-0.1, "old", selected="oldest")


def older_newer_failed(past: Chronicle) -> None:
    past.tested(-0.2, "new", "FAIL", own="PASS", newer_failed=True)
    past.tested(-0.1, "old", selected="oldest")


DAMAGE = "found the repository damaged, and no test of the newest snapshot has passed since"
DOUBT = "1 newer snapshot does not count until one has passed a test: the repository was found damaged"


@pytest.mark.parametrize(
    ("then", "code", "level", "text"),
    [
        (both_failed, "BREACH_RPO", Level.LOST, "RPO breached: there is no snapshot that counts, the objective is 1h 00m"),
        (lambda p: p.tested(-0.2, "new", "FAIL"), "TEST_FAILED", Level.LOST, "its last restore test is FAIL: so it was"),
        (
            lambda p: p.tested(-0.2, "new", "FAIL", **NEWER), "NEWER_FAILED", Level.LATE,
            "its last restore test is FAIL for a newer backup alone: so it was",
        ),
        (
            lambda p: p.tested(-0.2, "new", source="/elsewhere"), "NEVER_TESTED", Level.UNPROVEN,
            "its last restore test was from another source than the plan names now",
        ),
        (
            later_failed, "TEST_FAILED", Level.LOST,
            f"its restore test of {NOON}11:48:00Z is FAIL, and no newer snapshot has passed: so it was",
        ),
        (
            older_newer_failed, "NEWER_FAILED", Level.LATE,
            f"its restore test of {NOON}11:48:00Z is FAIL, and no newer snapshot has passed: so it was",
        ),
        (
            lambda p: p.checked(-0.2, "DAMAGED"), "REPOSITORY_DAMAGED", Level.UNPROVEN,
            f"the check of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.failed(-0.2, repository="damaged"), p.stored(-0.1, "s")), "REPOSITORY_DAMAGED",
            Level.UNPROVEN, f"the backup of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.checked(-0.2, "INCONCLUSIVE", repository="damaged"), p.stored(-0.1, "s")),
            "REPOSITORY_DAMAGED", Level.UNPROVEN, f"the check of {NOON}11:48:00Z {DAMAGE}",
        ),
        (
            lambda p: (p.tested(-0.2, "old", "FAIL", damaged=True), p.tested(-0.1, "old", selected="oldest")),
            "REPOSITORY_DAMAGED", Level.UNPROVEN, DOUBT,
        ),
    ],
)  # fmt: skip
def test_whether_it_can_be_brought_back(
    jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object], code: str, level: Level, text: str
) -> None:
    then(well(past))
    found = judged(jobs["crm"], past)
    todo = step(Trouble[code], jobs["crm"])
    if code == "BREACH_RPO":  # it follows from that both have failed
        todo = step(Trouble.TEST_FAILED, jobs["crm"])
    assert (code, level, text, todo) in told(found)
    assert max(p.level for p in found.troubles) is level and found.finding and not found.proven


def test_what_was_never_backed_up_nor_tested_says_both(
    jobs: dict[str, Job], past: Chronicle, wording: SnapshotAssertion
) -> None:
    """That its objective is breached is no trouble beside that."""
    job = jobs["crm"]
    found = judged(job, past)
    assert told(found) == [
        ("NEVER_SUCCEEDED", Level.LOST, wording, wording),
        ("NEVER_TESTED", Level.UNPROVEN, "never tested", step(Trouble.NEVER_SUCCEEDED, job)),
    ]
    assert (
        found.rpo.as_json() == {"objective_s": RPO, "achieved_s": None, "verdict": "BREACHED"}
        and found.coverage == "untested"
    )


def test_a_test_that_came_to_no_verdict_has_tested_nothing(jobs: dict[str, Job], past: Chronicle) -> None:
    past.stored(-0.5, "new")
    past.tested(-0.2, "new", "INCONCLUSIVE")
    text = "no restore test of it has been conclusive yet"
    found = judged(jobs["crm"], past)
    assert ("NEVER_TESTED", Level.UNPROVEN, text, step(Trouble.TEST_INCONCLUSIVE, jobs["crm"])) in told(found)
    assert codes(found) == ["TEST_INCONCLUSIVE", "NEVER_TESTED"] and found.coverage == "untested"
    past.tested(-0.1, "new")
    assert codes(judged(jobs["crm"], past)) == []


@pytest.mark.parametrize(
    ("hours", "stale"), [(-8, False), (-32, False), (-33.1, True), (-50, True)]
)  # due each night at three
def test_a_test_that_came_due_twice_since_is_overdue(
    jobs: dict[str, Job], past: Chronicle, hours: float, stale: bool
) -> None:
    past.stored(hours, "old")
    past.tested(hours, "old")
    past.stored(-0.5, "new")
    found = judged(jobs["crm"], past)
    text = f"its restore test is overdue: the last conclusive one was at {to_the_second(past.at(hours))}"
    late = ("TEST_LATE", Level.UNPROVEN, text, step(Trouble.TEST_LATE, jobs["crm"]))
    assert told(found) == ([late] if stale else []) and found.coverage == ("stale" if stale else "tested")


def test_what_has_no_restore_test_in_its_plan_says_so_and_is_never_overdue(
    jobs: dict[str, Job], wording: SnapshotAssertion
) -> None:
    past = about(jobs["idle"])
    past.stored(-300, "old")
    past.stored(-0.5, "new")
    (never,) = judged(jobs["idle"], past).troubles
    assert never.text == wording
    past.tested(-200, "old", "INCONCLUSIVE")
    (_, never) = judged(jobs["idle"], past).troubles
    assert never.text == wording
    past.tested(-200, "old")
    assert judged(jobs["idle"], past).troubles == ()


@pytest.mark.parametrize(
    "then",
    [
        nothing,
        lambda p: (p.tested(-0.4, "new", "FAIL"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "old", "FAIL"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "new", "FAIL", **NEWER), p.stored(-0.3, "s")),
        lambda p: (p.checked(-0.4, "DAMAGED"), p.tested(-0.3, "new")),
        lambda p: (p.tested(-0.4, "old", "FAIL", damaged=True), p.tested(-0.3, "new")),
        lambda p: (p.failed(-0.4), p.stored(-0.3, "s")),
        lambda p: p.by_log(-0.3, "new", "FAIL", until=-0.3) and p.tested(-0.2, "new"),  # its plan ships no log any more
        lambda p: (p.began(-0.4, "restore", "x"), p.wrote(-0.3, "restore.end", "x", result="RESTORED", checks=[], phases={}, target={"kind": "directory", "name": None})),
        lambda p: p.stored(0, "s"),
    ],
)  # fmt: skip
def test_what_is_over_is_no_trouble(jobs: dict[str, Job], past: Chronicle, then: Callable[[Chronicle], object]) -> None:
    then(well(past))
    assert told(judged(jobs["crm"], past)) == []


def test_a_failure_that_came_last_is_told_once(jobs: dict[str, Job], past: Chronicle) -> None:
    well(past).tested(-0.2, "new", "FAIL")
    found = judged(jobs["crm"], past)
    assert codes(found).count("TEST_FAILED") == 1
    assert {(p.trouble.name, p.about) for p in found.wrong} == {("TEST_FAILED", ""), ("FINDING", "newer")}


@pytest.mark.parametrize(("hours", "coverage"), [(24 * 3650, "stale"), (0.05, "tested")])
def test_a_test_that_is_dated_ahead_puts_no_other_off(
    jobs: dict[str, Job], past: Chronicle, hours: float, coverage: str
) -> None:
    """By a clock that was wrong: nobody knows when it was. A little ahead is as good as now."""
    well(past).tested(hours, "new", "PASS")
    assert judged(jobs["crm"], past).coverage == coverage
