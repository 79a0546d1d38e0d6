"""What the record of a restore test says: of its snapshot, of the log, and of the failures before it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs
from tests.support.sparse import sparse_record

from ccdr.evidence.records import BackupEnd, TestEnd
from ccdr.evidence.verdicts import (
    as_strict,
    blames_the_log,
    does_not_open,
    failed_again,
    log_fails,
    misfits,
    of_a_newer,
    of_more_than,
    of_the_newest,
    point_of,
    reached_for,
    still_stands,
)
from ccdr.model.values import rfc3339, utc
from ccdr.plans.facts import CheckFacts

EARLY, LATER = "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"


def record_of(kind: str = "restore_test.end", **body: Any) -> Any:
    if body.get("verdict") == "PASS":
        body = {"snapshot": {}, **body}  # what passed has one
    return sparse_record({"kind": kind, "plan": "p", "asset": "crm", "run": "r", **body})


def tested(
    verdict: str = "PASS", point: str | None = LATER, *, own: str | None = "PASS", id_: str = "a", **more: Any
) -> TestEnd:
    """`point` None: of nothing, whatever is asked."""
    if point is None:
        return BARE if verdict == "FAIL" else NOTHING
    snapshot = {"id": id_, "consistent_point": point, "verdict": own, "selected": "latest"}
    of: TestEnd = record_of(verdict=verdict, **{"snapshot": snapshot, **more})
    return of


def by_log(verdict: str | None, until: str | None = LATER, target: str = "latest", **more: Any) -> TestEnd:
    of: TestEnd = record_of(
        verdict=verdict or "INCONCLUSIVE", recovery={"verdict": verdict, "until": until, "target": target, **more}
    )
    return of


def log_failure(before: TestEnd | None, test: TestEnd, *, stops: bool = False) -> TestEnd | None:
    """Which of them is the failure that stands."""
    fails = log_fails(before and before.recovery, test.recovery, stops=stops)
    return before if fails is None else test if fails else None


NOTHING: TestEnd = record_of(verdict="INCONCLUSIVE", snapshot=None)
BARE: TestEnd = record_of(verdict="FAIL", snapshot=None)


def test_a_repository_that_is_damaged_does_not_open_for_any_asset() -> None:
    damaged: BackupEnd = record_of("backup.end", result="FAILED", repository="damaged")
    assert does_not_open(damaged)
    assert not any(
        map(does_not_open, (record_of("backup.end", result="FAILED", repository=of) for of in ("missing", None)))
    )
    assert not does_not_open(NOTHING)


@pytest.mark.parametrize(
    ("record", "newest"),
    [
        (record_of(snapshot={"selected": "latest"}), True),
        (record_of(snapshot={"selected": "oldest"}), False),
        (record_of(snapshot={"selected": "at"}, recovery={"target": "latest"}), True),
        (record_of(snapshot={"selected": "at"}, recovery={"target": "2026"}), False),
        (record_of(snapshot=None, recovery=None), False),
        (NOTHING, False),
    ],
)
def test_the_newest_is_what_was_chosen_as_that_or_the_log_s_end(record: TestEnd, newest: bool) -> None:
    assert of_the_newest(record) is newest


def test_a_recovery_that_failed_blames_the_log_and_that_alone_does() -> None:
    assert blames_the_log(by_log("FAIL"))
    assert not any(map(blames_the_log, (by_log("PASS"), by_log(None), NOTHING, BARE)))
    assert (recovery := by_log("FAIL").recovery) and reached_for(recovery) == utc(LATER)


# --- the log --------------------------------------------------------------------------------------------------------

FAILED = by_log("FAIL", EARLY)
STOPS = by_log(None, LATER, stops=True)


@pytest.mark.parametrize(
    ("before", "test", "stands"),
    [
        (None, by_log("PASS"), "none"),
        (None, by_log("FAIL", target="2026"), "test"),
        (None, NOTHING, "none"),
        (FAILED, NOTHING, "before"),  # it says nothing of the log
        (FAILED, by_log(None), "before"),
        (FAILED, by_log("PASS"), "none"),
        (FAILED, by_log("PASS", EARLY, "2026"), "none"),  # as far as that one
        (FAILED, by_log("PASS", "2026-11-24T09:59:59Z", "2026"), "before"),
        (FAILED, by_log("PASS", "2026-11-24T09:59:59Z"), "none"),  # to the log's end
        (FAILED, by_log("PASS", None, "2026"), "before"),
        (FAILED, by_log("FAIL"), "test"),
        (FAILED, by_log("FAIL", "2026-11-24T09:00:00Z", "2026"), "before"),
        (FAILED, record_of(verdict="PASS"), "before"),
    ],
)
def test_a_log_that_failed_stands_until_one_that_goes_as_far_has_passed(
    before: TestEnd | None, test: TestEnd, stands: str
) -> None:
    assert log_failure(before, test) is {"none": None, "test": test, "before": before}[stands]


def test_a_restore_that_found_what_cannot_be_applied_is_as_good_as_a_failed_test() -> None:
    assert log_failure(None, STOPS) is None and log_failure(None, STOPS, stops=True) is STOPS
    assert log_failure(FAILED, STOPS) is FAILED and log_failure(FAILED, STOPS, stops=True) is STOPS
    assert log_failure(FAILED, by_log("PASS", stops=False), stops=True) is None


# --- a failure, and what comes after it ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "point", "newer"),
    [
        (None, LATER, False),
        (tested("FAIL", LATER), EARLY, True),
        (tested("FAIL", LATER), LATER, False),
        (tested("FAIL", EARLY), LATER, False),
        (tested("FAIL", LATER), None, True),  # what was tested is not known
        (tested("FAIL", None), EARLY, False),
        (BARE, EARLY, False),
    ],
)
def test_a_failure_is_of_a_newer_snapshot_by_the_consistent_points(
    failure: TestEnd | None, point: str | None, newer: bool
) -> None:
    assert of_a_newer(failure, tested(point=point)) is newer
    assert still_stands(failure, tested(point=point, id_="b")) is newer
    assert of_a_newer(failure, NOTHING) is (failure is not None and point_of(failure) is not None)


def of_snapshot(test: TestEnd, **other: Any) -> TestEnd:
    """The same test, of a snapshot that is otherwise."""
    assert test.snapshot is not None
    return structs.replace(test, snapshot=structs.replace(test.snapshot, **other))


def check(status: str, kind: str = "rows") -> dict[str, str]:
    return {"kind": kind, "status": status}


def test_a_snapshot_that_is_good_by_itself_misfits_by_a_check_that_failed() -> None:
    assert misfits(tested("FAIL", checks=[check("PASS"), check("FAIL")]))
    good = tested("FAIL", checks=[check("PASS")])
    own = tested("FAIL", own="FAIL", checks=[check("FAIL")])
    broke = tested("INCONCLUSIVE", checks=[check("FAIL")])
    assert not any(map(misfits, (good, own, broke, BARE)))


def test_what_failed_beside_a_good_newest_snapshot_is_not_taken_back_by_the_same_one() -> None:
    failure = tested("FAIL")
    assert of_more_than(failure, tested()) and still_stands(failure, tested())
    for other in (
        tested("FAIL", own="FAIL"),
        of_snapshot(failure, selected="oldest"),
        tested("FAIL", id_="b"),
    ):
        assert not of_more_than(other, tested()) and not still_stands(other, tested())
    assert not of_more_than(BARE, tested()) and not of_more_than(failure, NOTHING)
    assert not still_stands(None, tested())


def test_the_same_failure_once_more_is_by_the_same_checks_of_a_snapshot_at_least_as_new() -> None:
    failure = tested("FAIL", own="FAIL", checks=[check("FAIL"), check("PASS", "size")])
    same = tested("FAIL", own="FAIL", checks=[check("FAIL"), check("FAIL", "rows")], id_="b")
    assert failed_again(failure, same)
    for other in (
        tested("FAIL", own="FAIL", checks=[check("FAIL", "size")], id_="b"),
        tested("FAIL", own="FAIL", checks=[], id_="b"),
        of_snapshot(same, verdict="PASS"),
        of_snapshot(same, selected="oldest"),
        of_snapshot(same, consistent_point=utc(EARLY)),
    ):
        assert not failed_again(failure, other)
    assert failed_again(BARE, BARE)


def test_times_are_compared_as_times() -> None:
    """Not as texts: a fraction may be written."""
    precise = rfc3339(utc(LATER)).replace("Z", ".000000Z")
    assert not of_a_newer(tested("FAIL", precise), tested(point=LATER))


# --- by checks that are as strict -----------------------------------------------------------------------------------

ROWS, SIZE = (CheckFacts(kind=kind, fingerprint=kind * 9, subject=kind) for kind in ("rows", "size"))
BROKE = tested("FAIL", own=None)


@pytest.mark.parametrize(
    ("failed", "now", "strict"),
    [
        (tested("FAIL", checks=[check("FAIL")]), [ROWS], True),  # the one that failed is still checked
        (tested("FAIL", checks=[check("FAIL")]), [SIZE], False),
        (tested("FAIL", checks=[check("PASS"), check("FAIL", "size")]), [ROWS], False),
        (BROKE, [ROWS, SIZE], True),  # before any check: all of them are to be shown
        (BROKE, [ROWS], False),
        (BARE, [ROWS], False),
        (tested("FAIL", own="PASS"), [], True),  # nothing of its own had failed
        (tested("FAIL", own="PASS", checks=[check("FAIL")]), [], False),
    ],
)
def test_a_failure_is_taken_back_by_what_checks_as_much(failed: TestEnd, now: list[Any], strict: bool) -> None:
    assert as_strict(failed, [ROWS, SIZE], now) is strict
    assert as_strict(failed, None, now) and as_strict(failed, [ROWS, SIZE], None), "nobody knows what was checked"
