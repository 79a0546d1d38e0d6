"""Which run of a runbook is the newest: also of two that were begun in one second."""

from __future__ import annotations

from ccdr.jobs.runbook.opening import after


def test_a_run_begun_in_the_same_second_as_the_last_is_the_newer() -> None:
    drawn = iter(["20261128T062056-0a0a0a", "20261128T062056-999999", "20261128T062056-aaaaaa"])
    assert after("20261128T062056-999999", lambda: next(drawn)) == "20261128T062056-aaaaaa"


def test_of_another_second_and_as_the_first_it_is_taken_as_it_is() -> None:
    for newest in (None, "20261128T062055-999999", "20261128T070000-000000"):  # the last: a clock was set back
        assert after(newest, lambda: "20261128T062056-0a0a0a") == "20261128T062056-0a0a0a"
