"""A restore test that failed for nothing but a newer backup that had failed, and what makes that good."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import END, NEWER, about, codes, judged, step, told, well

from ccdr.model.trouble import Trouble
from ccdr.model.values import rfc3339
from ccdr.plans.job import Job

HOUR = timedelta(hours=1)


def test_a_failure_for_a_newer_backup_is_over_once_one_was_stored_and_another_stands(
    jobs: dict[str, Job], past: Chronicle
) -> None:
    well(past).tested(-0.3, "new", "FAIL", **NEWER)
    assert codes(judged(jobs["crm"], past)) == ["NEWER_FAILED"]
    past.stored(-0.2, "s")
    assert codes(judged(jobs["crm"], past)) == []
    past.tested(-0.1, "s", "FAIL", own="PASS", newer_failed=False)
    (still,) = told(judged(jobs["crm"], past))
    assert still[0] == "NEWER_FAILED" and still[3] == step(Trouble.NEWER_FAILED, jobs["crm"])


def failed_for_a_newer_one(past: Chronicle, newer: object, **more: Any) -> None:
    """Record 5, and record 7 is of something else."""
    past.stored(-5, "old")  # 1
    past.wrote(-4.9, "missed", verb="backup", due=rfc3339(END), first_due=rfc3339(END), count=1)  # 2
    for hours in (-4.8, -4.7):  # 3, 4
        past.pruned(hours)
    past.tested(-3, "old", "FAIL", own="PASS", **{"newer_failed": True, "newer": newer} | more)  # 5


@pytest.mark.parametrize(
    ("newer", "over"),
    [
        ({"seq": 5, "at": "2026-11-24T10:00:00Z"}, True),
        ({"seq": 7, "at": "2026-11-24T10:00:00Z"}, True),
        ({"seq": 8, "at": "2026-11-24T06:00:00Z"}, False),  # it is what was stored
        ({"seq": 9, "at": "2026-11-24T06:00:00Z"}, False),  # it failed since, whatever a clock said
        ({"seq": None, "at": "2026-11-24T10:59:59Z"}, True),  # another host's: its clock tells
        ({"seq": None, "at": "2026-11-24T11:00:00Z"}, False),
        ({"seq": None, "at": "2026-11-24T11:00:01Z"}, False),
        (None, True),  # not told: as of when the test ended
    ],
)
def test_it_is_made_good_by_what_was_stored_after_the_newer_one_had_failed(
    jobs: dict[str, Job], past: Chronicle, newer: object, over: bool
) -> None:
    failed_for_a_newer_one(past, newer)
    for hours in (-2.9, -2.8):  # 6, 7
        past.pruned(hours)
    assert past.stored(-1, "s") == 8
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(
    ("newer", "over"),
    [
        ({"seq": 3, "at": "2026-11-24T07:12:00Z"}, True),  # stored since that failed, though before the test had ended
        ({"seq": 4, "at": "2026-11-24T07:18:00Z"}, False),
        (None, False),
    ],
)
def test_what_was_stored_while_the_test_went_on_makes_good_what_had_failed_before(
    jobs: dict[str, Job], past: Chronicle, newer: object, over: bool
) -> None:
    past.stored(-8, "old")  # 1
    past.pruned(-4.9)  # 2
    past.failed(-4.8)  # 3
    past.stored(-0.5, "s")  # 4
    past.tested(-0.4, "old", "FAIL", own="PASS", newer_failed=True, newer=newer)  # 5
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(("at", "over"), [(-2.01, True), (-2, False), (-1.99, False)])
@pytest.mark.parametrize("seq", [None, 3])
def test_so_is_it_by_what_another_host_stored_after_that(
    jobs: dict[str, Job], past: Chronicle, at: float, over: bool, seq: int | None
) -> None:
    failed_for_a_newer_one(past, {"seq": seq, "at": rfc3339(END + at * HOUR)})
    past.snapshot(-3.5, "s", usable=-2)
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


@pytest.mark.parametrize(("usable", "over"), [(-2.9, True), (-3, False), (-3.1, False)])
def test_where_the_newer_one_is_not_told_another_hosts_counts_from_when_the_test_ended(
    jobs: dict[str, Job], past: Chronicle, usable: float, over: bool
) -> None:
    failed_for_a_newer_one(past, None)
    past.snapshot(-3.5, "s", usable=usable)
    assert ("NEWER_FAILED" not in codes(judged(jobs["crm"], past))) is over


def test_what_was_stored_since_and_is_disproved_makes_nothing_good(jobs: dict[str, Job], past: Chronicle) -> None:
    failed_for_a_newer_one(past, {"seq": 4, "at": rfc3339(END)})
    past.stored(-1, "s")
    assert "NEWER_FAILED" not in codes(judged(jobs["crm"], past))
    past.tested(-0.9, "s", "FAIL")
    past.tested(-0.8, "old", selected="oldest")
    past.tested(-0.7, "old", "FAIL", own="PASS", newer_failed=True, newer={"seq": 4, "at": rfc3339(END)})
    assert "NEWER_FAILED" in codes(judged(jobs["crm"], past))


@pytest.mark.parametrize("more", [{"newer_failed": False}, {"own": "FAIL", "newer_failed": False}])
def test_no_backup_makes_good_what_failed_for_another_reason(
    jobs: dict[str, Job], past: Chronicle, more: dict[str, Any]
) -> None:
    failed_for_a_newer_one(past, None, **{k: v for k, v in more.items() if k != "own"})
    past.stored(-1, "s")
    assert "NEWER_FAILED" in codes(judged(jobs["crm"], past))


def test_only_what_is_good_in_itself_and_fits_is_blamed_on_a_newer_one(jobs: dict[str, Job], past: Chronicle) -> None:
    def check(status: str) -> dict[str, str]:
        return {"kind": "rows", "name": "n", "status": status, "expected": "1", "actual": "1"}

    for checks, own, code in (
        (["PASS"], "PASS", "NEWER_FAILED"),
        ([], "PASS", "NEWER_FAILED"),
        (["PASS", "FAIL"], "PASS", "TEST_FAILED"),
        (["PASS"], "FAIL", "TEST_FAILED"),
        (["PASS"], None, "TEST_FAILED"),
    ):
        one = well(replace(past, records=[], there=[], manifests={}))
        one.tested(-0.2, "new", "FAIL", own=own, checks=[check(status) for status in checks])
        assert code in codes(judged(jobs["crm"], one)), (checks, own)
    past = well(about(jobs["crm"]))
    past.tested(-0.2, None, "FAIL")
    assert "TEST_FAILED" in codes(judged(jobs["crm"], past)), "there was nothing to restore"
