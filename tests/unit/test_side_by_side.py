"""Independent work done at the same time: in order, no more at once than asked, and ended as one."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from ccdr import interrupts
from ccdr.interrupts import side_by_side, tick


def patient(stopped: list[str], name: str) -> str:
    """Works until it is told to stop, for a minute at most."""
    for _ in range(6000):
        try:
            tick()
        except KeyboardInterrupt:
            stopped.append(name)
            raise
        time.sleep(0.01)
    raise AssertionError("nobody stopped it")


def test_what_each_gave_is_in_order_whoever_ends_first() -> None:
    second = threading.Event()

    def first() -> int:
        assert second.wait(10)
        return 1

    def other() -> int:
        second.set()
        return 2

    assert side_by_side([first, other, lambda: 3], 2) == [1, 2, 3]
    assert side_by_side([], 2) == []


def test_the_first_error_stops_the_others_and_those_that_had_not_begun() -> None:
    stopped: list[str] = []

    def fails() -> str:
        raise ValueError("the disk is full")

    with pytest.raises(ValueError, match="disk is full"):
        side_by_side([partial(patient, stopped, "a"), fails, *[partial(patient, stopped, "late")] * 9], 2)
    assert "a" in stopped and len(stopped) <= 2
    tick()  # all of it has ended: nobody else is told to stop
    assert side_by_side([lambda: tick() or "after"], 1) == ["after"]


def test_an_interrupt_stops_all_of_it_and_is_raised_again() -> None:
    stopped: list[str] = []

    def interrupted() -> str:
        raise KeyboardInterrupt("a signal")

    with pytest.raises(KeyboardInterrupt):
        side_by_side([partial(patient, stopped, "a"), partial(patient, stopped, "b"), interrupted], 3)
    assert sorted(stopped) == ["a", "b"]
    tick()


def test_no_more_at_once_than_asked() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1

    side_by_side([work] * 12, 3)
    assert most <= 3 and now == 0
    assert not interrupts._STOP.is_set()
