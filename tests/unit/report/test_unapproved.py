"""For how many seconds each version of a plan was in force though nobody had approved it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import NOUGHT, approved, version
from tests.support.sparse import sparse_record

from ccdr.telling.report.evidence import Evidence
from ccdr.telling.report.period import Period
from ccdr.telling.report.promises import promises

END = datetime(2026, 11, 24, 12, tzinfo=UTC)
PERIOD = Period(END - timedelta(days=10), END, until_now=True)
SECOND = 1 / 3600
ASKS = {"signers": NOUGHT, "review": 86400.0, "second_factor": False, "recover": False}
ASSET = {
    "engine": "files", "method": "scan", "source": NOUGHT, "rpo": 3600.0, "rto": 1800.0, "settings": "throwaway",
}  # fmt: skip
ONE, TWO = "1" * 64, "2" * 64


def in_force(past: Chronicle, hours: float, digest: str, asks: dict[str, Any] | None = ASKS) -> None:
    version(past, hours, format=2, approval=asks, assets={"crm": ASSET})
    past.records[-1]["digest"] = digest


@pytest.fixture
def past() -> Chronicle:
    return Chronicle(END, "/srv", records=[])


def told(past: Chronicle) -> list[tuple[str, float | None]]:
    """Of each version in the table of changes: which one, and its seconds."""
    evidence = Evidence(PERIOD)
    for record in past.records:
        evidence.take(sparse_record(record))
    evidence.close(())
    return [(one.after.digest[0], one.unapproved_s) for plan in promises(evidence) for one in plan.changes]


def test_ninety_seconds_show(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    approved(past, -299, ONE)
    in_force(past, -5, TWO)
    approved(past, -5 + 90 * SECOND, TWO)
    assert told(past) == [("2", 90.0)]


def test_a_version_that_was_approved_before_it_came_into_force_was_never_without(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    approved(past, -299, ONE)
    approved(past, -5, TWO)
    in_force(past, -5, TWO)
    assert told(past) == [("2", 0.0)]


def test_the_first_version_shows_too_where_it_was_in_force_unapproved(past: Chronicle) -> None:
    in_force(past, -5, ONE)
    approved(past, -4, ONE)
    assert told(past) == [("1", 3600.0)]


def test_what_nobody_approved_counts_up_to_the_period_s_end(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    approved(past, -300 + SECOND, ONE)
    in_force(past, -5, TWO)
    assert told(past) == [("2", 5 * 3600.0)]
    in_force(past, -1, ONE)
    assert told(past) == [("2", 4 * 3600.0), ("1", 0.0)], "the newest approval is of that one"


def test_a_version_of_before_the_period_shows_by_what_it_was_unapproved_within_it(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    assert told(past) == [("1", 240 * 3600.0)]
    approved(past, -239, ONE)
    assert told(past) == [("1", 3600.0)]


def test_who_takes_the_block_out_needs_an_approval_all_the_same(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    approved(past, -300 + SECOND, ONE)
    in_force(past, -5, TWO, None)
    assert told(past) == [("2", 5 * 3600.0)]


def test_where_nobody_is_to_approve_there_are_no_seconds(past: Chronicle) -> None:
    in_force(past, -300, ONE, None)
    in_force(past, -5, TWO, None)
    assert told(past) == [("2", None)]


def test_an_approval_without_the_second_factor_that_the_plan_asks_for_is_none(past: Chronicle) -> None:
    in_force(past, -300, ONE)
    approved(past, -300 + SECOND, ONE)
    in_force(past, -5, TWO, ASKS | {"second_factor": True})
    approved(past, -4, TWO, verified=None)
    approved(past, -3, TWO, verified=True)
    assert told(past) == [("2", 2 * 3600.0)]
