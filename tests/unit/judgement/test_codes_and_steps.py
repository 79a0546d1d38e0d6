"""Codes, levels and steps of troubles."""

from __future__ import annotations

from syrupy.assertion import SnapshotAssertion
from tests.support.judged import END

from ccdr.model.next_steps import where_it_can_be_done
from ccdr.model.trouble import Level, Problem, Trouble, next_step


def test_troubles_are_as_bad_as_what_they_keep_from_whoever_needs_it() -> None:
    assert [level.name for level in sorted(Level)] == ["FINE", "NOTE", "NEAR", "LATE", "UNPROVEN", "LOST"]
    by_level = {level: {t.name for t in Trouble if Problem(t, "").level is level} for level in Level}
    assert by_level[Level.LOST] == {"NEVER_SUCCEEDED", "TEST_FAILED", "LOG_FAILED", "REPOSITORY_AWAY"}
    assert by_level[Level.UNPROVEN] == {
        "NEVER_TESTED", "NOT_KNOWN_HERE", "TEST_LATE", "REPOSITORY_DAMAGED", "NO_LONGER_CHECKED", "RECORDS_UNKNOWN",
        "RECORDS_WRONG", "CATALOGUE_WRONG", "CONTROL_PASSED", "OTHER_CLUSTER",
    }  # fmt: skip
    assert by_level[Level.LATE] == {
        "NEWER_FAILED", "BREACH_RPO", "BREACH_RTO", "RTO_UNMEASURED", "SNAPSHOT_VANISHED",
        "SNAPSHOT_SUSPECT",
    }  # fmt: skip
    assert by_level[Level.NEAR] == {"REPOSITORY_NEAR"}
    assert by_level[Level.FINE] == set() and len(by_level[Level.NOTE]) == len(Trouble) - 21


def test_a_trouble_is_told_with_its_code_and_when_it_began() -> None:
    one = Problem(Trouble.LOG_GAP, "torn", END, step="do")
    assert one.as_json() == {
        "code": "LOG_GAP", "level": "NOTE", "text": "torn", "since": "2026-11-24T12:00:00Z", "next_step": "do",
        "because": None, "acknowledged": False, "until": None,
    }  # fmt: skip
    worse = Problem(Trouble.LOG_GAP, "torn", as_bad_as=Level.LOST, acknowledged=END).as_json()
    assert (worse["level"], worse["since"], worse["next_step"]) == ("LOST", None, None)
    assert (worse["acknowledged"], worse["until"]) == (True, "2026-11-24T12:00:00Z")


def test_steps_are_filled_in(wording: SnapshotAssertion) -> None:
    assert str(next_step(Trouble.REPOSITORY_DAMAGED, "p", "a")) == wording
    assert str(next_step(Trouble.REPOSITORY_DAMAGED, "p", None)).startswith("ccdr test p --snapshot latest ")
    assert next_step(Trouble.BREACH_RPO, "p", None) == wording
    assert next_step(Trouble.BREACH_RPO, "p", "a") == "ccdr backup p --asset a   takes one now"
    assert next_step(Trouble.MISSED, "p", "a") is None
    for trouble in Trouble:
        told = next_step(trouble, "p", "a")
        assert told is None or "{" not in told
    assert where_it_can_be_done("ccdr test p", backs_up=False) == where_it_can_be_done("ccdr test p", backs_up=True)
    assert where_it_can_be_done("ccdr backup p", backs_up=True) == "ccdr backup p"
    assert where_it_can_be_done("ccdr backup p", backs_up=False) == wording


def test_the_rows_of_troubles_name_codes_that_there_are() -> None:
    for trouble in Trouble:
        row = trouble.row
        assert row.code == trouble.value == trouble.name.lower() and row.heading and row.means
        assert {*row.causes, *row.replaced_by, *filter(None, (row.at_copy,))} <= Trouble.__members__.keys(), trouble
    assert len({trouble.row.heading for trouble in Trouble}) == len(Trouble)


def test_nobody_takes_note_of_what_may_be_tampering_nor_of_tests_that_find_nothing() -> None:
    assert {t.name for t in Trouble if t.tampering} == {
        "LEDGER_BROKEN", "LEDGER_SPOILT", "LEDGER_CONTRADICTED", "SUMMARY_WRONG", "RECORDS_WRONG", "CATALOGUE_WRONG",
    }  # fmt: skip
    assert {t.name for t in Trouble if t.row.no_ack and not t.tampering} == {
        "CONTROL_PASSED", "BREAK_GLASS", "ERASED_RETURNED", "INCIDENT_OVERDUE", "MISSED", "DUTIES", "PLAN_WRONG", "UNTOLD",
        "STATEMENT_REFUSED",
    }  # fmt: skip
    assert all(t.tampering or t.name in ("CONTROL_PASSED", "LEDGER_LOST") for t in Trouble if not t.row.acceptable)
