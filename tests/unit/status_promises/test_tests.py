"""What `status` says of restore tests: each sentence with since when, what to do and whose work it is, and when it is over."""

from __future__ import annotations

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.asked import IDS, NOON, Centre, ago

from ccdr.model.trouble import Trouble
from ccdr.model.values import source_digest


def test_that_it_was_never_tested_is_told_to_who_tests(centre: Centre) -> None:
    centre.stored(1, ago(minutes=5))
    assert centre.says() == [(Trouble.NEVER_TESTED, "never tested")] and centre.of().coverage == "untested"
    assert centre.whose("test") == {Trouble.NOT_KNOWN_HERE}, "another host may have tested it"


@pytest.mark.parametrize(
    ("verdict", "trouble"), [("FAIL", Trouble.TEST_FAILED), ("INCONCLUSIVE", Trouble.TEST_INCONCLUSIVE)]
)
def test_a_test_that_did_not_pass_is_told_with_why_and_since_when(
    centre: Centre, verdict: str, trouble: Trouble
) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested(verdict, reason="so it was", findings=["2 files were skipped"])
    told = [(c.trouble, c.text, c.since) for c in centre.told() if c.about not in ("newer", "verdict")]
    when = ", of 2026-11-24T12:00:00Z," if verdict == "INCONCLUSIVE" else ""
    assert told[-2:] == [
        (trouble, f"its last restore test{when} is {verdict}: so it was", NOON),
        (Trouble.FINDING, "2 files were skipped", None),
    ]
    never = {Trouble.NEVER_TESTED} if verdict == "INCONCLUSIVE" else set()
    assert centre.whose("test") == {trouble, Trouble.FINDING} | never


def test_a_test_that_crashed_is_told_to_who_tests(centre: Centre) -> None:
    centre.well()
    centre.wrote("restore_test.start", run="t9")
    text = "the restore test of 2026-11-24T12:00:00Z crashed: its run t9 never recorded an end"
    assert centre.says() == [(Trouble.TEST_INCONCLUSIVE, text)] and centre.whose("test") == {Trouble.TEST_INCONCLUSIVE}


def test_a_failure_before_a_test_that_broke_is_told_as_of_when_it_was(
    centre: Centre, wording: SnapshotAssertion
) -> None:
    centre.stored(1, ago(minutes=5))
    centre.clock.at = ago(minutes=2)
    centre.tested("FAIL", reason="rows are gone")
    centre.clock.at = NOON
    centre.tested("INCONCLUSIVE", reason="no room", snapshot=None)
    assert [(c.trouble, c.text, c.since) for c in centre.told() if c.about != "newer"] == [
        (Trouble.TEST_INCONCLUSIVE, wording, NOON),
        (Trouble.TEST_FAILED, wording, ago(minutes=2)),
    ]
    assert centre.whose("test") == {Trouble.TEST_INCONCLUSIVE, Trouble.TEST_FAILED}


def test_a_failure_for_a_newer_backup_is_over_once_one_is_stored_though_a_test_broke_meanwhile(centre: Centre) -> None:
    centre.stored(1, ago(minutes=50))
    centre.wrote("backup.end", result="FAILED", reason="disk full", snapshot=None)
    good = {"id": IDS[1], "verdict": "PASS", "selected": "latest"}
    centre.tested("FAIL", reason="the backup failed", newer_failed=True, snapshot=good)
    centre.tested("INCONCLUSIVE", reason="no room", snapshot=None)
    kinds = [Trouble.BACKUP_FAILED, Trouble.TEST_INCONCLUSIVE, Trouble.NEWER_FAILED]
    assert [trouble for trouble, _ in centre.says()] == kinds
    centre.stored(2, ago(minutes=5))
    assert [trouble for trouble, _ in centre.says()] == [Trouble.TEST_INCONCLUSIVE]


@pytest.mark.parametrize("other", [True, False])
def test_a_test_of_another_source_proves_nothing_of_what_the_plan_names_now(
    centre: Centre, other: bool, wording: SnapshotAssertion
) -> None:
    centre.stored(1, ago(minutes=5))
    source = "/srv/elsewhere" if other else centre.site.loaded().plan.assets["calls"].source_name
    snapshot = {"id": IDS[1], "verdict": "PASS", "selected": "latest", "source_sha256": source_digest(source)}
    centre.tested(snapshot=snapshot)
    found, told = centre.of(), centre.told()
    if not other:
        assert told == [] and found.coverage == "tested" and found.rto.verdict == "MET"
        return
    assert [(c.trouble, c.text, c.about) for c in told] == [(Trouble.NEVER_TESTED, wording, "source")]
    assert found.coverage == "untested" and found.rto.verdict == "NOT_MEASURED"
    assert centre.whose("test") == {Trouble.NEVER_TESTED}


@pytest.mark.parametrize("rto", [None, {}, {"achieved_s": None, "basis": "throwaway"}])
def test_how_long_a_recovery_takes_is_not_known_where_the_test_did_not_measure_it(centre: Centre, rto: Any) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested("FAIL", rto=rto)
    assert centre.of().as_json()["rto"] == {"objective_s": 1800, "achieved_s": None, "verdict": "NOT_MEASURED"}


def test_a_test_that_found_nothing_to_restore_failed_itself(centre: Centre, wording: SnapshotAssertion) -> None:
    centre.stored(1, ago(minutes=5))
    centre.tested("FAIL", reason="its snapshot is gone", snapshot=None)
    assert centre.says() == [(Trouble.TEST_FAILED, wording)]


def test_a_log_that_failed_is_no_trouble_of_a_plan_that_ships_none(centre: Centre) -> None:
    """It did when that was tested."""
    centre.stored(1, ago(minutes=5))
    until = {"target": "latest", "verdict": "FAIL", "until": "2026-11-24T11:58:00Z"}
    centre.tested("FAIL", snapshot={"id": IDS[1], "verdict": None, "selected": "at"}, recovery=until)
    assert [trouble for trouble, _ in centre.says()] == [Trouble.LOG_FAILED]
    centre.tested()
    assert centre.says() == []
