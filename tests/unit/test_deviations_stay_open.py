"""What takes no deviation back: a record that asks for less than what was ever seen while it lasted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.judged import END
from tests.support.records import body_of
from tests.support.sparse import sparse_record
from tests.unit.test_deviations import BROKEN_CHECK, FAILED_CHECK, check, control, found, missed, rto, version, well

from ccdr.evidence.deviations.values import Acceptance, Deviation, State
from ccdr.evidence.records.statements import ACCEPT_FINDING, STATEMENT, StatementRecord
from ccdr.model.values import rfc3339

ONE, OTHER = check(fingerprint="c" * 64), check(fingerprint="d" * 64)


@pytest.fixture
def past() -> Chronicle:
    return Chronicle(END, "/srv", records=[])


def ends(past: Chronicle, code: str) -> list[int | None]:
    """By which record each of this code ended."""
    return [one.retest and one.retest.record for one in found(past) if one.code == code]


# --- of an older snapshot --------------------------------------------------------------------------------------------


def test_a_quick_restore_of_an_older_snapshot_takes_no_slow_one_back(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", rto=rto(2000))
    past.tested(2, "old", rto=rto(10), selected="random")
    assert ends(past, "BREACH_RTO") == [None]
    quick = past.tested(3, "new", rto=rto(10), selected="random")
    assert ends(past, "BREACH_RTO") == [quick]


def test_an_older_snapshot_proves_nothing_of_one_that_proved_nothing(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(2, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(3, "old", selected="random")
    assert ends(past, "TEST_INCONCLUSIVE") == [None]
    good = past.tested(4, "new")
    assert ends(past, "TEST_INCONCLUSIVE") == [good]


def test_tests_of_older_snapshots_between_do_not_hide_that_none_of_the_newest_proves_anything(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(2, "old", selected="random")
    past.tested(3, "new", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    assert ends(past, "TEST_INCONCLUSIVE") == [None]


def test_an_older_snapshot_takes_no_failure_back_after_fewer_checks_passed_the_newest(past: Chronicle) -> None:
    version(past, -50)
    past.stored(-5, "old")
    past.stored(-4, "new")
    past.tested(1, "new", "FAIL", checks=[FAILED_CHECK])
    version(past, 2, checks=[])
    past.tested(3, "new")
    version(past, 4)
    past.tested(5, "old", selected="random")
    assert ends(past, "TEST_FAILED") == [None]
    good = past.tested(6, "new", selected="random")
    assert ends(past, "TEST_FAILED") == [good]


def test_a_test_of_a_snapshot_that_somebody_named_makes_up_for_none_that_was_missed(past: Chronicle) -> None:
    well(past)
    missed(past, 2, "test", 1, 1)
    past.tested(3, "old", selected="id")
    assert ends(past, "MISSED") == [None]
    done = past.tested(4, "old", selected="oldest")
    assert ends(past, "MISSED") == [done]


def test_damage_that_is_found_says_nothing_of_damage_of_another_kind(past: Chronicle) -> None:
    """Kinds take turns."""
    well(past)
    control(past, 1, "INCONCLUSIVE", "file_truncated")
    control(past, 2, "CAUGHT", "file_removed")
    second = control(past, 3, "INCONCLUSIVE", "file_truncated")
    control(past, 4, "CAUGHT", "file_removed")
    (one,) = found(past)
    assert (one.code, one.number, one.retest) == ("CONTROL_INCONCLUSIVE", second, None)
    good = control(past, 5, "CAUGHT", "file_truncated")
    assert ends(past, "CONTROL_INCONCLUSIVE") == [good]


def test_two_in_a_row_of_different_kinds_are_one_until_any_is_found(past: Chronicle) -> None:
    well(past)
    control(past, 1, "INCONCLUSIVE", "file_truncated")
    second = control(past, 2, "INCONCLUSIVE", "file_removed")
    third = control(past, 3, "INCONCLUSIVE", "file_removed")
    (one,) = found(past)
    assert (one.number, one.times) == (second, 3) and third
    control(past, 4, "CAUGHT", "file_truncated")
    assert ends(past, "CONTROL_INCONCLUSIVE") == [None]
    good = control(past, 5, "CAUGHT", "file_removed")
    assert ends(past, "CONTROL_INCONCLUSIVE") == [good]


# --- of the easiest that was asked for while it lasted ---------------------------------------------------------------


def test_of_two_objectives_that_were_breached_the_shorter_counts(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", rto=rto(2000))
    past.tested(2, "new", rto=rto(1000, objective=600))
    past.tested(3, "new", rto=rto(1000))
    assert ends(past, "BREACH_RTO") == [None]
    quick = past.tested(4, "new", rto=rto(500))
    assert ends(past, "BREACH_RTO") == [quick]


def test_so_it_is_of_an_rpo_that_a_test_found_breached(past: Chronicle) -> None:
    def rpo(achieved: float, objective: float) -> dict[str, Any]:
        verdict = "MET" if achieved <= objective else "BREACHED"
        return {"objective_s": objective, "achieved_s": achieved, "verdict": verdict}

    well(past)
    past.tested(1, "new", rpo=rpo(8000.0, 7200.0))
    past.tested(2, "new", rpo=rpo(1000.0, 600.0))
    past.tested(3, "new", rpo=rpo(1000.0, 7200.0))
    assert ends(past, "BREACH_RPO") == [None]


def test_what_proved_nothing_by_more_checks_since_is_not_ended_by_those_of_the_first(past: Chronicle) -> None:
    version(past, -50, checks=[ONE])
    past.stored(-5, "old")
    past.tested(-4, "old", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    past.tested(-3, "old", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    version(past, -2, checks=[ONE, OTHER])
    past.tested(-1, "old", "INCONCLUSIVE", checks=[BROKEN_CHECK])
    version(past, 0, checks=[ONE])
    past.tested(1, "old")
    assert ends(past, "TEST_INCONCLUSIVE") == [None]
    version(past, 2, checks=[ONE, OTHER])
    good = past.tested(3, "old")
    assert ends(past, "TEST_INCONCLUSIVE") == [good]


def test_what_was_missed_with_more_checks_since_is_not_made_up_for_by_those_of_the_first(past: Chronicle) -> None:
    version(past, -50, checks=[ONE])
    past.stored(-5, "old")
    missed(past, -4, "test", -4.5, 1)
    version(past, -3, checks=[ONE, OTHER])
    missed(past, -2, "test", -2.5, 1)
    version(past, -1, checks=[ONE])
    past.tested(0, "old")
    assert ends(past, "MISSED") == [None]


def test_a_look_at_the_newest_takes_back_nothing_that_a_later_look_at_all_has_found(past: Chronicle) -> None:
    said = {"snapshots": 1, "elsewhere": 0, "newest": 1}
    past.wrote(1, "ledger.compared", asset=None, result="DIFFERS", whole=False, **said)
    past.wrote(2, "ledger.compared", asset=None, result="DIFFERS", whole=True, **said)
    past.wrote(3, "ledger.compared", asset=None, result="AGREES", whole=False, **said)
    assert ends(past, "LEDGER_CONTRADICTED") == [None]
    good = past.wrote(4, "ledger.compared", asset=None, result="AGREES", whole=True, **said)
    assert ends(past, "LEDGER_CONTRADICTED") == [good]


# --- of a failure that others came after -----------------------------------------------------------------------------


def test_many_failures_by_fewer_checks_do_not_push_out_the_one_by_more(past: Chronicle) -> None:
    version(past, -50)
    past.stored(-5, "old")
    past.tested(1, "old", "FAIL", checks=[FAILED_CHECK])
    version(past, 2, checks=[])
    for night in range(25):
        past.tested(3 + night, "old", "FAIL")
    past.tested(30, "old")
    assert ends(past, "TEST_FAILED") == [None]
    version(past, 31)
    good = past.tested(32, "old")
    assert ends(past, "TEST_FAILED") == [good]


def test_an_asset_that_got_another_name_takes_nothing_of_the_old_one_back(past: Chronicle) -> None:
    well(past)
    past.tested(1, "new", "FAIL", checks=[FAILED_CHECK])
    was = past.records[0]["facts"]["assets"]["crm"]
    version(past, 2, assets={"crm2": was})
    past.asset = "crm2"
    past.stored(3, "x")
    past.tested(4, "x")
    assert ends(past, "TEST_FAILED") == [None]
    assert ends(past, "ASSET_GONE") == [None]
    assert rfc3339(past.at(1)) == rfc3339(found(past)[0].opened_at)


# --- of an acceptance that somebody has written into the ledger -------------------------------------------------------


def accepted(past: Chronicle, seq: int, hours: float, *, made: float, until: float) -> Acceptance:
    said = {
        "kind": STATEMENT,
        "seq": seq,
        "time": rfc3339(past.at(hours)),
        **body_of(ACCEPT_FINDING.kind),
        "made": rfc3339(past.at(made)),
        "until": rfc3339(past.at(until)),
    }
    record = sparse_record(said)
    assert isinstance(record, StatementRecord)
    return Acceptance(record)


def failing(past: Chronicle) -> Deviation:
    well(past)
    past.tested(1, "new", "FAIL", checks=[FAILED_CHECK])
    (one,) = found(past)
    return one


def test_a_risk_is_accepted_for_a_year_at_most_whatever_was_signed(past: Chronicle) -> None:
    one = failing(past)
    one = replace(one, accepted=(accepted(past, 9, 2, made=2, until=24 * 3000),))
    assert one.state(past.at(24 * 300)) is State.ACCEPTED
    assert one.state(past.at(24 * 400)) is State.OPEN


def test_an_acceptance_that_is_recorded_once_more_takes_no_later_ones_place(past: Chronicle) -> None:
    first, second = accepted(past, 9, 2, made=2, until=24 * 300), accepted(past, 10, 4, made=4, until=24 * 10)
    replayed = accepted(past, 11, 6, made=2, until=24 * 300)
    one = replace(failing(past), accepted=(first, second, replayed))
    assert one.state(past.at(24 * 5)) is State.ACCEPTED
    assert one.state(past.at(24 * 20)) is State.OPEN
