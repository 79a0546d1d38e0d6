"""When a period that a law gives has passed: elapsed hours, calendar days and months, over changes of the clocks."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples

from ccdr.model.deadlines import Length, deadline, year_end

BUCHAREST = ZoneInfo("Europe/Bucharest")
ZONES = st.sampled_from(["UTC", "Europe/Bucharest", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))
DAYS = st.integers(1, 400)


def there(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BUCHAREST)


def days(count: int) -> Length:
    return Length(count * 86400.0, days=True)


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        # Clocks go forward on 29 March 2026 at 3:00, and back on 25 October at 4:00.
        ("2026-03-27 12:00", Length(72 * 3600.0), "2026-03-30 13:00"),
        ("2026-10-23 12:00", Length(72 * 3600.0), "2026-10-26 11:00"),
        ("2026-03-27 12:00", days(3), "2026-03-30 12:00"),
        ("2026-10-23 12:00", days(3), "2026-10-26 11:00"),
        ("2026-02-01 23:30", days(60), "2026-04-02 23:30"),
        ("2026-01-31 10:00", Length(months=1), "2026-02-28 10:00"),
        ("2028-01-31 10:00", Length(months=1), "2028-02-29 10:00"),
        ("2026-12-15 10:00", Length(months=1), "2027-01-15 10:00"),
        ("2026-10-15 10:00", Length(months=14), "2027-12-15 10:00"),
        ("2026-02-28 03:30", Length(months=1), "2026-03-28 03:30"),
    ],
)
def test_a_deadline_is_where_a_calendar_on_the_wall_has_it(start: str, length: Length, end: str) -> None:
    assert deadline(there(start), length, BUCHAREST) == there(end).astimezone(UTC)


@pytest.mark.parametrize(
    ("aware", "due"),
    [
        ("2026-06-15 12:00", "2027-03-01 23:59:59"),
        ("2027-06-15 12:00", "2028-02-29 23:59:59"),  # a leap year follows
        ("2028-02-29 12:00", "2029-03-01 23:59:59"),  # it is one
        ("2099-06-15 12:00", "2100-03-01 23:59:59"),  # none by the century's rule
        ("2026-12-31 23:59:59", "2027-03-01 23:59:59"),
        ("2027-01-01 00:00:00", "2028-02-29 23:59:59"),
    ],
)
def test_sixty_days_after_a_years_end_are_the_last_of_february_or_the_first_of_march(aware: str, due: str) -> None:
    end = year_end(there(aware), BUCHAREST)
    assert deadline(end, days(60), BUCHAREST) == there(due).astimezone(UTC)


@pytest.mark.parametrize(
    ("aware", "due"),
    [
        ("2027-12-31 10:00", "2028-02-29 10:00"),
        ("2028-01-01 10:00", "2028-03-01 10:00"),
        ("2026-12-31 10:00", "2027-03-01 10:00"),
        ("2027-01-01 10:00", "2027-03-02 10:00"),
        ("2026-11-15 10:00", "2027-01-14 10:00"),
    ],
)
def test_sixty_days_go_over_a_years_end_and_a_leap_day(aware: str, due: str) -> None:
    assert deadline(there(aware), days(60), BUCHAREST) == there(due).astimezone(UTC)


@given(MOMENTS, ZONES)
@settings(max_examples=examples(100))
def test_a_years_end_is_the_last_second_of_the_year_there(moment: datetime, zone: str) -> None:
    at = ZoneInfo(zone)
    end = year_end(moment, at)
    assert end.astimezone(at).year == moment.astimezone(at).year < (end + timedelta(seconds=1)).astimezone(at).year
    assert end > moment - timedelta(seconds=1)


def test_a_time_of_day_that_comes_twice_is_the_first_and_one_that_never_comes_is_no_later_than_it_would_be() -> None:
    twice = deadline(there("2026-09-25 03:30"), Length(months=1), BUCHAREST)
    assert twice == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    never = deadline(there("2026-02-28 03:30"), days(29), BUCHAREST)
    assert never == datetime(2026, 3, 29, 0, 30, tzinfo=UTC)


@given(MOMENTS, st.integers(1, 2000), ZONES)
@settings(max_examples=examples(100))
def test_hours_are_elapsed_hours_wherever_it_is(start: datetime, hours: int, zone: str) -> None:
    assert deadline(start, Length(hours * 3600.0), ZoneInfo(zone)) == start + timedelta(hours=hours)


@given(MOMENTS, DAYS, ZONES)
@settings(max_examples=examples(100))
def test_days_are_never_later_than_elapsed_ones_nor_than_the_day_that_they_end_on(
    start: datetime, count: int, zone: str
) -> None:
    at = ZoneInfo(zone)
    due = deadline(start, days(count), at)
    assert start + timedelta(days=count, hours=-2) <= due <= start + timedelta(days=count)
    assert due.astimezone(at).date() <= start.astimezone(at).date() + timedelta(days=count)


@given(MOMENTS, st.integers(1, 24), ZONES)
@settings(max_examples=examples(100))
def test_months_end_on_the_same_day_or_on_a_shorter_months_last(start: datetime, count: int, zone: str) -> None:
    at = ZoneInfo(zone)
    begun, due = start.astimezone(at), deadline(start, Length(months=count), at).astimezone(at)
    whole = begun.year * 12 + begun.month - 1 + count
    year, month = whole // 12, whole % 12 + 1
    expected = begun.replace(tzinfo=None, year=year, month=month, day=min(begun.day, monthrange(year, month)[1]))
    # Where no clock shows that time, it is at most an hour before.
    assert timedelta(0) <= expected - due.replace(tzinfo=None) <= timedelta(hours=1)


@given(
    MOMENTS, MOMENTS, st.one_of(st.builds(days, DAYS), st.builds(lambda m: Length(months=m), st.integers(1, 24))), ZONES
)
@settings(max_examples=examples(100))
def test_who_became_aware_later_has_no_earlier_deadline_but_for_an_hour_of_the_clocks(
    one: datetime, other: datetime, length: Length, zone: str
) -> None:
    first, second = sorted((one, other))
    assert deadline(first, length, ZoneInfo(zone)) <= deadline(second, length, ZoneInfo(zone)) + timedelta(hours=1)
