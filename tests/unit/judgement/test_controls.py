"""What negative controls say of an asset's restore tests: that a damaged copy passed stands until the same damage is
found; what shows nothing says so; what is due and does not happen is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.chronicle import DISPOSED, PASSED, Chronicle, digest
from tests.support.harness import Site
from tests.support.judged import about, codes, judged, told, well

from ccdr.model.damage import OF_FILES, Damage, in_turn
from ccdr.model.trouble import Level
from ccdr.plans.job import Job

FAILED = PASSED | {"status": "FAIL"}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A damaged copy of it is to be tested at four each day."""
    site = Site(tmp_path_factory.mktemp("n"), bare=True)
    site.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    tested = 'restore_test: {schedule: "0 3 * * *", checks: [t]}'
    plan = f"crm: {{engine: files, paths: [/spool], {tested}}}\nidle: {{engine: files, paths: [/idle]}}\n"
    site.plan(plan, extra='negative_control: {schedule: "0 4 * * *"}\n')
    return Job(site.loaded(), "crm")


@pytest.fixture
def past(job: Job) -> Chronicle:
    return well(about(job))


def controlled(
    past: Chronicle,
    hours: float,
    result: str,
    kind: str = "page_damaged",
    table: str | None = None,
    seed: int = 7,
    **more: object,
) -> int:
    damaged = {"CAUGHT": "FAIL", "PASSED": "PASS"}.get(result)
    snapshot = {
        "id": digest("new"),
        "consistent_point": "2026-11-24T11:30:00Z",
        "bytes": 5,
        "manifest_sha256": digest("m"),
    }
    body: dict[str, object] = {"result": result, "phases": {}, **DISPOSED, **more}
    if damaged:
        body |= {"snapshot": snapshot, "damage": {"kind": kind, "table": table, "seed": seed}}
        body |= {"healthy": {"verdict": "PASS", "checks": [PASSED]}}
        body |= {"damaged": {"verdict": damaged, "checks": [FAILED if damaged == "FAIL" else PASSED]}}
    return past.wrote(hours, "negative_control.end", **body)


def test_a_damage_that_was_found_is_no_trouble(job: Job, past: Chronicle) -> None:
    controlled(past, -3, "CAUGHT")
    assert codes(judged(job, past)) == []


def test_a_damaged_copy_that_passed_is_unproven_until_the_same_damage_is_found(job: Job, past: Chronicle) -> None:
    controlled(past, -3, "PASSED")
    ((code, level, text, step),) = told(judged(job, past))
    assert (
        (code, level) == ("CONTROL_PASSED", Level.UNPROVEN)
        and "page damaged" in text
        and "--negative-control" in str(step)
    )
    controlled(past, -2.5, "CAUGHT", "file_removed")
    controlled(past, -2, "INCONCLUSIVE", reason="Docker does not answer")
    assert codes(judged(job, past)) == ["CONTROL_PASSED", "CONTROL_INCONCLUSIVE"]
    controlled(past, -1, "CAUGHT")
    assert codes(judged(job, past)) == []


def test_of_the_same_kind_only_the_same_table_or_the_same_choice_takes_it_back(job: Job, past: Chronicle) -> None:
    """What is seen of one file or table says nothing of another."""
    controlled(past, -9, "PASSED", table="call")
    for hours, table in ((-8, "customer"), (-7, None)):
        controlled(past, hours, "CAUGHT", table=table, seed=9)
        assert codes(judged(job, past)) == ["CONTROL_PASSED"]
    controlled(past, -6, "CAUGHT", table="call", seed=9)
    assert codes(judged(job, past)) == []
    controlled(past, -5, "PASSED")
    controlled(past, -4, "CAUGHT", seed=9)
    assert codes(judged(job, past)) == ["CONTROL_PASSED"]
    controlled(past, -3, "CAUGHT")
    assert codes(judged(job, past)) == []


def test_each_damage_that_passed_is_a_trouble_of_its_own(job: Job, past: Chronicle) -> None:
    for hours, kind in ((-3, "page_damaged"), (-2, "file_removed")):
        controlled(past, hours, "PASSED", kind)
    assert codes(judged(job, past)) == ["CONTROL_PASSED"] * 2
    controlled(past, -1, "PASSED", "row_changed")
    assert codes(judged(job, past)) == ["CONTROL_PASSED"] * 2, "of another engine that it was: nobody can show it again"


def test_one_that_broke_or_crashed_shows_nothing(job: Job, past: Chronicle) -> None:
    past.began(-3, "negative_control", "n1", restore_tests={})
    assert codes(judged(job, past)) == ["CONTROL_INCONCLUSIVE"]
    assert codes(judged(job, past, at_work=["n1"])) == [], "it goes on"
    controlled(past, -2, "CAUGHT")
    assert codes(judged(job, past)) == []


def test_what_came_due_twice_is_late_and_what_was_not_asked_for_never_is(job: Job, past: Chronicle) -> None:
    controlled(past, -33, "CAUGHT")  # at three, yesterday
    assert codes(judged(job, past)) == ["CONTROL_LATE"]
    controlled(past, -9, "CAUGHT")
    assert codes(judged(job, past)) == []
    assert Job(job.loaded, "idle").control is None, "it has no restore test"


def test_a_plan_that_asks_for_it_now_is_not_late_at_once(job: Job, past: Chronicle, tmp_path: Path) -> None:
    facts = {"format": 2, "timezone": "UTC", "mtd": None, "retention": None, "prune": "0 5 * * 0", "check": "0 6 * * *"}
    facts |= {"parts": 30, "assets": {}, "copies": {}}
    facts |= {"repository": {"location": digest("here"), "on_host": False, "apart": True}}
    version = {"digest": digest("v"), "predecessor": None, "files": {}, "facts": facts}
    past.wrote(-20, "plan.version", asset=None, **version)
    assert codes(judged(job, past)) == []
    assert codes(judged(job, past, 24 * 2)) == ["TEST_LATE", "CONTROL_LATE", "BREACH_RPO"]


def test_the_next_damage_is_the_one_that_passed_then_the_one_that_is_longest_ago() -> None:
    possible, tried = list(OF_FILES), {"page_damaged": 5, "file_truncated": 3, "file_replaced": 9}
    assert in_turn(possible, tried, [])[:2] == [Damage.FILE_REMOVED, Damage.FILE_TRUNCATED]
    assert in_turn(possible, tried, ["file_replaced"])[0] is Damage.FILE_REPLACED
    assert sorted(in_turn(possible, tried, ["row_changed"])) == sorted(possible)
