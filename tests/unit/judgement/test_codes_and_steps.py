"""Codes, levels and steps of troubles."""

from __future__ import annotations

import re

from syrupy.assertion import SnapshotAssertion
from tests.support.judged import END

from ccdr.model.errors import Exit
from ccdr.model.next_steps import where_it_can_be_done
from ccdr.model.trouble import FAILED_TESTS, NOTHING_TO_TEST, Level, Problem, Trouble, next_step

WITHOUT_STEP = {"MISSED"}


def test_troubles_are_as_bad_as_what_they_keep_from_whoever_needs_it() -> None:
    assert [level.name for level in sorted(Level)] == ["FINE", "NOTE", "NEAR", "LATE", "UNPROVEN", "LOST"]
    by_level = {level: {t.name for t in Trouble if Problem(t, "").level is level} for level in Level}
    assert by_level[Level.LOST] == {"NEVER_SUCCEEDED", "TEST_FAILED", "LOG_FAILED", "REPOSITORY_AWAY"}
    assert by_level[Level.UNPROVEN] == {
        "NEVER_TESTED", "NOT_KNOWN_HERE", "TEST_LATE", "REPOSITORY_DAMAGED", "NO_LONGER_CHECKED", "RECORDS_UNKNOWN",
        "RECORDS_WRONG", "CATALOGUE_WRONG", "CONTROL_PASSED", "OTHER_CLUSTER", "PLAN_GONE",
    }  # fmt: skip
    assert by_level[Level.LATE] == {
        "NEWER_FAILED", "BREACH_RPO", "BREACH_RTO", "RTO_UNMEASURED", "SNAPSHOT_VANISHED",
        "SNAPSHOT_SUSPECT",
    }  # fmt: skip
    assert by_level[Level.NEAR] == {"REPOSITORY_NEAR"}
    assert by_level[Level.FINE] == set() and len(by_level[Level.NOTE]) == len(Trouble) - 22


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


def test_what_ends_a_command_well_though_it_is_told_is_listed() -> None:
    by_exit = {t.name: t.row.exit for t in Trouble if t.row.exit is not Exit.FINDING}
    soon = dict.fromkeys(
        ("ACCESS_REVIEW_ENDS", "NOT_KNOWN_HERE", "PAUSED", "ATTESTATION_ENDS", "INCIDENT_DUE"), Exit.OK
    )
    assert by_exit == soon | {"RECORDS_UNKNOWN": Exit.NOT_CARRIED_OUT}


def test_a_run_goes_well_beside_what_is_no_matter_of_what_was_due() -> None:
    assert {t.name for t in Trouble if not t.row.run_fails} == {
        "ANCHOR_OVERDUE", "PLAN_GONE", "PLAN_NOT_STORED", "PLAN_UNAPPROVED", "PLAN_REVIEW", "ACCESS_BROKEN", "ACCESS_REVIEW",
        "ACCESS_REVIEW_ENDS", "REPOSITORY_NEAR", "RTO_UNMEASURED", "FINDING", "GROUP_INCOMPLETE", "TEST_INCONCLUSIVE",
        "NEVER_TESTED", "CONTROL_INCONCLUSIVE", "NOT_KNOWN_HERE", "RESTORE_CRASHED", "RECOVERY_UNFINISHED",
        "CHECK_INCONCLUSIVE", "COPY_UNTESTED", "COPY_UPKEEP", "FETCH_LIMIT", "PAUSED", "DUTIES", "STATEMENT_REFUSED",
        "ATTESTATION_STALE", "ATTESTATION_ENDS", "INCIDENT_DUE", "DEVIATION_OVERDUE", "MISSED", "UNTOLD", "PACKAGE_LATE",
    }  # fmt: skip


def test_what_is_a_deviation_is_as_severe_as_what_it_puts_in_doubt() -> None:
    by = {
        severity: {t.name for t in Trouble if t.row.severity == severity} for severity in ("critical", "major", "minor")
    }
    assert by == {
        "critical": {
            "LEDGER_BROKEN", "LEDGER_LOST", "LEDGER_SPOILT", "LEDGER_CONTRADICTED", "SUMMARY_WRONG", "CONTROL_PASSED",
            "TEST_FAILED", "LOG_FAILED", "REPOSITORY_DAMAGED",
        },
        "major": {
            "NEWER_FAILED", "BACKUP_FAILED", "BREACH_RPO", "BREACH_RTO", "TEST_INCONCLUSIVE", "CONTROL_INCONCLUSIVE",
            "COPY_FAILED", "COPY_DAMAGED", "COPY_TEST_FAILED", "MISSED",
        },
        "minor": {"PRUNE_FAILED", "CHECK_INCONCLUSIVE"},
    }  # fmt: skip


def test_what_only_follows_from_something_else_names_all_that_it_may_follow_from() -> None:
    no_backup = ["NOT_BEGUN", "BACKUP_FAILED"]
    away = ["SOURCE_AWAY", "REPOSITORY_AWAY"]
    assert {t.name: list(dict.fromkeys(t.row.causes)) for t in Trouble if t.row.causes} == {
        "NEWER_FAILED": [*away, *no_backup, "SNAPSHOT_VANISHED"],
        "BACKUP_FAILED": ["REPOSITORY_AWAY"],
        "BREACH_RPO": [
            *away, "REPOSITORY_DAMAGED", *no_backup, "TEST_FAILED", "LOG_FAILED", "LOG_LATE", "LOG_GAP",
            "SNAPSHOT_SUSPECT", "SNAPSHOT_VANISHED", "BACKUP_LATE",
        ],
        "NEVER_SUCCEEDED": [*away, *no_backup],
        "BACKUP_LATE": [*away, *no_backup],
        "TEST_LATE": ["REPOSITORY_AWAY", "NOT_BEGUN", "TEST_INCONCLUSIVE"],
        "TEST_INCONCLUSIVE": ["REPOSITORY_AWAY"],
        "NEVER_TESTED": ["REPOSITORY_AWAY", "NOT_BEGUN", "TEST_INCONCLUSIVE", "NEVER_SUCCEEDED"],
    }  # fmt: skip
    assert [t.name for t in NOTHING_TO_TEST] == [*away, *no_backup, "NEVER_SUCCEEDED", "SNAPSHOT_VANISHED"]


def test_what_stands_in_its_place_is_no_mend() -> None:
    tests = ["TEST_FAILED", "LOG_FAILED", "NEWER_FAILED"]
    assert {t.name for t in FAILED_TESTS} == {*tests}
    assert {t.name: [*t.row.replaced_by] for t in Trouble if t.row.replaced_by} == {
        "NEWER_FAILED": ["TEST_FAILED"],
        "BACKUP_LATE": ["BACKUP_FAILED"],
        "TEST_LATE": [*tests, "TEST_INCONCLUSIVE"],
        "LOG_LATE": ["LOG_LATE"],
        "GROUP_INCOMPLETE": ["BACKUP_FAILED"],
        "TEST_INCONCLUSIVE": [*tests, "TEST_INCONCLUSIVE"],
        "NEVER_TESTED": [*tests, "TEST_INCONCLUSIVE"],
        "CONTROL_INCONCLUSIVE": ["CONTROL_INCONCLUSIVE", "CONTROL_PASSED"],
        "CONTROL_LATE": ["CONTROL_INCONCLUSIVE", "CONTROL_PASSED"],
        "PRUNE_FAILED": ["PRUNE_FAILED"],
        "PRUNE_LATE": ["PRUNE_FAILED"],
        "CHECK_INCONCLUSIVE": ["CHECK_INCONCLUSIVE", "REPOSITORY_DAMAGED"],
        "CHECK_LATE": ["CHECK_INCONCLUSIVE", "REPOSITORY_DAMAGED"],
        "COPY_FAILED": ["COPY_FAILED"],
        "COPY_LATE": ["COPY_FAILED"],
        "COPY_UNTESTED": ["COPY_TEST_FAILED"],
    }


def test_what_is_wrong_with_a_repository_has_a_name_at_a_copy() -> None:
    upkeep = ("NOT_BEGUN", "PRUNE_FAILED", "PRUNE_LATE", "CHECK_INCONCLUSIVE", "CHECK_LATE")
    assert {t.name: t.row.at_copy for t in Trouble if t.row.at_copy} == {
        "REPOSITORY_DAMAGED": "COPY_DAMAGED", **dict.fromkeys(upkeep, "COPY_UPKEEP"),
    }  # fmt: skip
    assert {t.name: t.row.jitter for t in Trouble if t.row.jitter != 1} == {"BREACH_RTO": 1.1}


def test_only_what_its_own_sentence_answers_has_no_next_step() -> None:
    assert {t.name for t in Trouble if next_step(t, "p", "a") is None} == WITHOUT_STEP


def test_what_a_step_has_to_type_leaves_nothing_to_be_found_elsewhere() -> None:
    """An id, an asset's name: what only another command would tell is no part of a line that somebody pastes."""
    for trouble in Trouble:
        commands = re.findall(r"ccdr [^;,]*?(?=   |[;,`]|$)", next_step(trouble, "p", "a") or "")
        assert not {word for one in commands for word in one.split()} & {"ID", "ASSET", "PLAN"}, trouble


def test_a_failed_test_is_over_once_a_new_backup_has_passed_its_own() -> None:
    step = str(next_step(Trouble.TEST_FAILED, "p", "a"))
    assert step.startswith("ccdr backup p --asset a && ccdr test p --asset a   ")
