"""What is due: caught up once, counted once, whatever the clock and the machine do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.model.schedule import LONGEST_WAIT, SET_BACK, Missed, Slot, advance, newest, occurrences, second_due

ZONE = "Europe/Bucharest"
HALF_HOURLY = "*/30 * * * *"
NOON = datetime(2026, 11, 24, 12, 0, 7, tzinfo=UTC)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def seen(cron: str = HALF_HOURLY, now: datetime = NOON, zone: str = "UTC") -> Slot:
    return advance(None, cron, zone, now)[0]


def seconds(**delta: float) -> timedelta:
    return timedelta(**delta)


def test_a_schedule_counts_from_when_it_is_first_seen() -> None:
    slot, missed = advance(None, HALF_HOURLY, "UTC", NOON)
    assert not slot.ready(NOON) and missed is None
    assert slot.wakes(NOON) == at("2026-11-24T12:30:00Z")


def test_due_work_is_pending_until_it_is_done() -> None:
    due = at("2026-11-24T12:30:00Z")
    for now in (due, due + seconds(minutes=4), due + seconds(minutes=29, seconds=59)):
        slot, missed = advance(seen(), HALF_HOURLY, "UTC", now)
        assert (slot.pending, missed) == (due, None) and slot.ready(now)
    slot = slot.begun(now).done()
    assert advance(slot, HALF_HOURLY, "UTC", now) == (slot, None) and not slot.ready(now)
    assert slot.wakes(now) == at("2026-11-24T13:00:00Z")


def test_a_second_before_it_is_not_due() -> None:
    slot, _ = advance(seen(), HALF_HOURLY, "UTC", at("2026-11-24T12:29:59.999Z"))
    assert slot.pending is None


def test_asleep_over_many_due_times_is_caught_up_once_and_the_rest_is_missed() -> None:
    now = at("2026-11-25T08:10:00Z")
    slot, missed = advance(seen(), HALF_HOURLY, "UTC", now)
    assert slot.pending == at("2026-11-25T08:00:00Z")
    assert missed == Missed(at("2026-11-24T12:30:00Z"), at("2026-11-25T07:30:00Z"), 39)
    assert advance(slot, HALF_HOURLY, "UTC", now + seconds(minutes=5))[1] is None, "told once"


def test_a_run_longer_than_its_interval_misses_what_came_meanwhile_but_the_newest() -> None:
    slot, _ = advance(seen(), HALF_HOURLY, "UTC", at("2026-11-24T12:30:00Z"))
    after_it = slot.begun(at("2026-11-24T12:30:00Z")).done()
    slot, missed = advance(after_it, HALF_HOURLY, "UTC", at("2026-11-24T13:40:00Z"))
    assert slot.pending == at("2026-11-24T13:30:00Z")
    assert missed == Missed(at("2026-11-24T13:00:00Z"), at("2026-11-24T13:00:00Z"), 1)


def test_work_that_never_got_its_turn_is_missed_when_the_next_comes_due() -> None:
    slot, _ = advance(seen(), HALF_HOURLY, "UTC", at("2026-11-24T12:30:00Z"))
    slot, missed = advance(slot, HALF_HOURLY, "UTC", at("2026-11-24T13:00:00Z"))
    assert missed == Missed(at("2026-11-24T12:30:00Z"), at("2026-11-24T12:30:00Z"), 1)


def test_work_that_failed_was_not_missed() -> None:
    now = at("2026-11-24T12:30:00Z")
    slot = advance(seen(), HALF_HOURLY, "UTC", now)[0].begun(now).failed(now)
    slot, missed = advance(slot, HALF_HOURLY, "UTC", at("2026-11-24T13:00:01Z"))
    assert missed is None and slot.pending == at("2026-11-24T13:00:00Z")
    assert slot.ready(at("2026-11-24T13:00:01Z")), "the next one is tried in its own time"


def test_what_came_due_after_work_that_failed_and_was_not_tried_is_missed() -> None:
    now = at("2026-11-24T12:30:00Z")
    slot = advance(seen(), HALF_HOURLY, "UTC", now)[0].begun(now).failed(now)
    slot, _ = advance(slot, HALF_HOURLY, "UTC", at("2026-11-24T13:00:01Z"))
    missed = advance(slot, HALF_HOURLY, "UTC", at("2026-11-24T13:30:01Z"))[1]
    assert missed == Missed(at("2026-11-24T13:00:00Z"), at("2026-11-24T13:00:00Z"), 1)


def test_failed_work_waits_longer_each_time() -> None:
    now, waits = at("2026-11-24T12:30:00Z"), []
    slot = advance(seen("30 12 * * *"), "30 12 * * *", "UTC", now)[0]
    for _ in range(9):
        slot = slot.begun(now).failed(now + seconds(minutes=1))
        assert slot.retry_at
        waits.append((slot.retry_at - now).total_seconds() / 60 - 1)
        assert not slot.ready(slot.retry_at - seconds(seconds=1))
        now = slot.retry_at
        assert slot.ready(now)
    assert waits == [5, 10, 20, 40, 80, 160, 320, 360, 360]
    assert slot.begun(now).done().failures == 0


def test_a_crash_is_a_try_that_failed() -> None:
    now = at("2026-11-24T12:30:00Z")
    left = advance(seen(), HALF_HOURLY, "UTC", now)[0].begun(now)  # and nothing more was written
    slot, missed = advance(left, HALF_HOURLY, "UTC", now + seconds(minutes=1))
    assert (slot, missed) == (left, None) and not slot.ready(now + seconds(minutes=1))
    assert slot.ready(now + seconds(minutes=5))


@pytest.mark.parametrize("back", [seconds(days=400), seconds(hours=3), SET_BACK + seconds(minutes=31)])
def test_a_clock_set_back_does_not_stop_the_schedule(back: timedelta) -> None:
    now = NOON - back
    slot, missed = advance(seen().begun(NOON), HALF_HOURLY, "UTC", now)
    assert missed is None and slot.wakes(now) <= now + seconds(minutes=30)
    later, missed = advance(slot, HALF_HOURLY, "UTC", now + seconds(minutes=31))
    assert later.ready(now + seconds(minutes=31)) and missed is None


@pytest.mark.parametrize("back", [seconds(days=400), seconds(hours=3)])
def test_a_clock_set_back_under_failed_work_has_it_tried_again(back: timedelta) -> None:
    due = at("2026-11-24T12:30:00Z")
    failed = advance(seen(), HALF_HOURLY, "UTC", due)[0].begun(due).failed(due)
    now = due - back
    slot, missed = advance(failed, HALF_HOURLY, "UTC", now)
    assert missed is None and slot.wakes(now) <= now + seconds(minutes=30)
    assert any(
        advance(slot, HALF_HOURLY, "UTC", now + seconds(minutes=m))[0].ready(now + seconds(minutes=m)) for m in (0, 31)
    )


def test_a_clock_corrected_by_seconds_runs_nothing_twice() -> None:
    due = at("2026-11-24T12:30:00Z")
    done = advance(seen(), HALF_HOURLY, "UTC", due)[0].begun(due).done()
    for back in (1, 2, 60, 200, 300):
        slot, missed = advance(done, HALF_HOURLY, "UTC", due - seconds(seconds=back))
        assert (slot, missed) == (done, None)
        assert slot.wakes(due - seconds(seconds=back)) == due + seconds(minutes=30), "and nobody comes to look for it"
    assert advance(done, HALF_HOURLY, "UTC", due + seconds(seconds=1)) == (done, None)


def test_work_that_is_pending_stays_so_while_a_clock_is_corrected() -> None:
    """And what failed waits for its time still."""
    due = at("2026-11-24T12:30:00Z")
    pending = advance(seen(), HALF_HOURLY, "UTC", due)[0]
    failed = pending.begun(due).failed(due)
    for back in (1, 200, 300):
        now = due - seconds(seconds=back)
        assert advance(pending, HALF_HOURLY, "UTC", now) == (pending, None) and pending.ready(now)
        assert advance(failed, HALF_HOURLY, "UTC", now) == (failed, None) and not failed.ready(now)
        assert failed.wakes(now) == due + seconds(minutes=5)
    slot, _ = advance(pending, HALF_HOURLY, "UTC", due - seconds(minutes=5, seconds=1))
    assert slot.pending == due - seconds(minutes=5, seconds=1), "that was no correction: a clock was wrong"
    settled = advance(pending.begun(due).done(), HALF_HOURLY, "UTC", due - seconds(minutes=5, seconds=1))[0].settled
    assert settled == due - seconds(minutes=5, seconds=1)


def test_what_failed_by_a_clock_that_was_ahead_is_tried_now() -> None:
    """Once a month: nothing else would come due for weeks."""
    monthly, due = "0 3 1 * *", at("2026-12-01T03:00:00Z")
    failed = advance(seen(monthly), monthly, "UTC", due)[0].begun(due).failed(due)
    now = due - seconds(days=3)
    slot, missed = advance(failed, monthly, "UTC", now)
    assert missed is None and slot.ready(now) and slot.wakes(now) == now


def test_the_longest_wait_is_waited_for() -> None:
    """A wait that has just begun is no stamp of a clock that was ahead."""
    now = at("2026-11-24T12:30:00Z")
    slot = advance(seen("30 12 * * *"), "30 12 * * *", "UTC", now)[0]
    for _ in range(12):
        slot = slot.begun(now).failed(now)
    assert advance(slot, "30 12 * * *", "UTC", now) == (slot, None)
    assert slot.wakes(now) == now + seconds(hours=6)


def test_who_looks_again_comes_at_the_next_due_time_or_when_a_failed_one_may_be_tried() -> None:
    now = at("2026-11-24T12:30:00Z")
    pending = advance(seen(), HALF_HOURLY, "UTC", now)[0]
    assert pending.wakes(now) == now
    slot = pending
    for failures, wake in enumerate(["12:35", "12:40", "12:50", "13:00"], start=1):
        slot = slot.begun(now).failed(now)
        assert slot.tries == slot.failures == failures
        assert slot.wakes(now) == at(f"2026-11-24T{wake}:00Z")


def test_work_that_crashes_again_and_again_waits_as_long_as_work_that_fails() -> None:
    now = at("2026-11-24T12:30:00Z")
    slot = crashed = advance(seen("30 12 * * *"), "30 12 * * *", "UTC", now)[0]
    assert slot.tries == 0
    for _ in range(30):
        slot, crashed = slot.begun(now).failed(now), crashed.begun(now)
        assert slot == crashed


def test_what_came_due_twice_is_overdue_from_the_second_time_on() -> None:
    since, second = at("2026-11-24T12:10:00Z"), at("2026-11-24T13:00:00Z")
    assert second_due(HALF_HOURLY, "UTC", since, second - seconds(seconds=1)) is None
    assert second_due(HALF_HOURLY, "UTC", since, second) is None, "it is only just due"
    assert second_due(HALF_HOURLY, "UTC", since, second + seconds(seconds=1)) == second
    assert second_due(HALF_HOURLY, "UTC", since, second + seconds(days=9)) == second
    assert second_due("0 12 * * *", ZONE, since, at("2026-11-26T09:59:00Z")) is None, "noon in its own zone"
    assert second_due("0 12 * * *", ZONE, since, at("2026-11-26T10:01:00Z")) == at("2026-11-26T10:00:00Z")


def test_a_changed_schedule_counts_from_now_and_up_to_now_it_was_as_before() -> None:
    daily, three = seen("0 3 * * *", at("2026-11-22T12:00:00Z")), at("2026-11-24T03:00:00Z")
    slot, missed = advance(daily, "0 * * * *", "UTC", NOON)
    assert slot.pending == three and missed is not None and (missed.count, missed.last) == (1, three - seconds(days=1))
    done = slot.begun(NOON).done()
    assert (done.pending, done.wakes(NOON)) == (None, at("2026-11-24T13:00:00Z"))
    assert advance(done, "0 * * * *", "UTC", NOON) == (done, None), "nothing of the new one was due before"
    moved, missed = advance(done, "0 * * * *", ZONE, NOON)
    assert missed is None and moved.timezone == ZONE


def test_the_night_that_has_an_hour_less() -> None:
    """03:30 does not exist on 29 March in Bucharest: it runs once, when that hour has passed."""
    slot = seen("30 3 * * *", at("2026-03-28T12:00:00+02:00"), ZONE)
    due = []
    now = at("2026-03-28T12:00:00+02:00")
    while now < at("2026-03-31T00:00:00+03:00"):
        slot, missed = advance(slot, "30 3 * * *", ZONE, now)
        assert missed is None
        if slot.ready(now):
            due.append(slot.pending)
            slot = slot.begun(now).done()
        now += seconds(minutes=5)
    assert due == [at("2026-03-29T04:00:00+03:00"), at("2026-03-30T03:30:00+03:00")]


def test_the_night_that_has_an_hour_more() -> None:
    """03:30 comes twice on 25 October in Bucharest: the daily job runs once, the half-hourly one each time."""
    for cron, expected in (("30 3 * * *", 1), (HALF_HOURLY, 50)):
        start = at("2026-10-25T00:00:00+03:00")
        slot, ran, now = seen(cron, start - seconds(minutes=1), ZONE), 0, start
        while now < at("2026-10-26T00:00:00+02:00"):
            slot, missed = advance(slot, cron, ZONE, now)
            assert missed is None
            if slot.ready(now):
                ran += 1
                slot = slot.begun(now).done()
            now += seconds(minutes=5)
        assert ran == expected


def test_a_schedule_that_came_due_far_back_is_counted_up_to_a_bound() -> None:
    slot, missed = advance(seen("* * * * *"), "* * * * *", "UTC", NOON + seconds(days=400))
    assert missed and missed.count == 10_000 and slot.ready(NOON + seconds(days=400))


crons = st.sampled_from(["*/5 * * * *", "17 * * * *", "30 3 * * *", "0 2 * * 0", "15 4 1 * *", "*/20 9-17 * * 1-5"])
zones = st.sampled_from(["UTC", ZONE, "America/New_York", "Australia/Lord_Howe"])
moments = st.datetimes(datetime(2025, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC))


@given(crons, zones, moments)
def test_the_newest_due_time_is_the_one_before_the_next(cron: str, zone: str, now: datetime) -> None:
    last = newest(cron, zone, now)
    assert last is not None and last <= now
    coming = next(occurrences(cron, zone, now))
    assert coming > now
    # local times that come twice, or never, may lie between them twice
    between = [t for t in islice(occurrences(cron, zone, last), 2) if t <= now]
    assert len(between) == 0


@given(
    crons,
    zones,
    moments,
    st.lists(st.tuples(st.integers(1, 6000), st.sampled_from(["done", "failed", "busy", "crash"])), max_size=30),
)
def test_every_due_time_is_carried_out_or_failed_or_missed_exactly_once(
    cron: str, zone: str, start: datetime, steps: list[tuple[int, str]]
) -> None:
    """Whenever cron calls, whatever comes of the work: the population is whole."""
    slot, now = seen(cron, start, zone), start
    tried: set[datetime] = set()
    missed_count = 0
    for minutes, outcome in steps:
        now += seconds(minutes=minutes)
        slot, missed = advance(slot, cron, zone, now)
        missed_count += missed.count if missed else 0
        if slot.ready(now) and outcome != "busy":
            assert slot.pending
            tried.add(slot.pending)
            slot = slot.begun(now)
            slot = slot.done() if outcome == "done" else slot.failed(now) if outcome == "failed" else slot
        assert slot.retry_at is None or slot.retry_at <= now + LONGEST_WAIT
        assert slot.wakes(now) >= now
    due = []
    for when in occurrences(cron, zone, start):
        if when > now:
            break
        due.append(when)
    waiting = {slot.pending} - tried if slot.pending else set()
    assert len(tried) + missed_count + len(waiting) == len(due)
