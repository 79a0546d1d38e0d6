"""The period that a report is of: how it is given, and that nothing is known of what came after."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.past import DAY, MINUTE, NOW, Past, written

from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339
from ccdr.telling.report import Period, html, period_of


def test_a_date_is_the_whole_day_and_the_default_is_90_days() -> None:
    period = period_of("2026-11-01", "2026-11-02", NOW)
    assert (period.start, period.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 3, tzinfo=UTC))
    assert not period.until_now
    default = period_of(None, None, NOW)
    assert (default.start, default.end, default.until_now) == (NOW - 90 * DAY, NOW, True)
    assert period_of(None, "2026-11-02", NOW).start == datetime(2026, 11, 3, tzinfo=UTC) - 90 * DAY


def test_a_period_may_begin_so_long_before_its_end() -> None:
    assert period_of("7d", None, NOW) == Period(NOW - 7 * DAY, NOW, True)
    assert period_of("12h", "2026-11-02", NOW).start == datetime(2026, 11, 2, 12, tzinfo=UTC)
    for wrong in ("0d", "7", "7w", "999999999d"):
        with pytest.raises(UsageProblem) as caught:
            period_of(wrong, None, NOW)
    with pytest.raises(UsageProblem):
        period_of(None, "7d", NOW)
    for text in re.findall(r"[-\dTZ:]{10,}|\d+d", str(caught.value.hint)):
        assert period_of(text, None, NOW), "what the hint suggests is understood"


def test_an_end_to_come_is_now() -> None:
    assert period_of("2026-11-01", "2030-01-01", NOW) == Period(datetime(2026, 11, 1, tzinfo=UTC), NOW, True)


@pytest.mark.parametrize(
    ("first", "last"),
    [("soon", None), (None, "2026-13-01"), ("2026-11-02T10:00:00", None), ("2026-11-02", "2026-11-01"), ("", None),
     ("2030-01-01", None), ("2026-11-24T12:00:00Z", None), (None, "0001-01-01T00:00:00+14:00"), ("2026-11-1", None)],
)  # fmt: skip
def test_what_is_no_period_is_a_mistake_of_the_command_line(first: str | None, last: str | None) -> None:
    with pytest.raises(UsageProblem) as caught:
        period_of(first, last, NOW)
    assert caught.value.hint


@pytest.mark.parametrize("option", ["--from", "--since"])
@pytest.mark.parametrize(("said", "to"), [("soon", None), ("999999999d", None), ("2026-11-02", "2026-11-01")])
def test_a_mistake_in_a_periods_begin_names_the_option_that_was_given(
    option: str, said: str, to: str | None, past: Past
) -> None:
    done = past.site.run("report", option, said, *(["--to", to] if to else []))
    other = {"--from": "--since", "--since": "--from"}[option]
    told = f"{done.json['error']} {done.json['hint']}"
    assert done.code == 2 and option in told and other not in told, done


def test_a_period_begins_once(past: Past) -> None:
    assert past.site.run("report", "--from", "2026-11-01", "--since", "7d").code == 2
    past.fine()
    (one, other) = (past.site.run("report", option, "2026-11-01").json["period"] for option in ("--from", "--since"))
    assert one["from"] == other["from"] == "2026-11-01T00:00:00Z"


def test_of_the_time_before_the_first_record_nothing_is_said_to_be_known(
    past: Past, wording: SnapshotAssertion
) -> None:
    past.fine()
    early = past.report("2026-11-01")
    told = "the first record is of 2026-11-22 12:00: nothing is known of the time before."
    assert early.over_the_period.endswith(told) and told in written(html(early))
    assert "nothing is known" not in past.report(rfc3339(NOW - DAY)).over_the_period
    before = past.report("2026-11-01", "2026-11-02")
    assert before.over_the_period == wording


def test_a_report_of_a_past_period_does_not_know_what_came_after(past: Past) -> None:
    snapshot = past.fine()
    before = past.report(None, rfc3339(NOW - MINUTE))
    past.test(NOW - 30 * timedelta(seconds=1), snapshot, "FAIL")
    assert past.report().answer.word == "No"
    after = past.report(None, rfc3339(NOW - MINUTE))
    assert after.answer == before.answer and after.population == before.population
