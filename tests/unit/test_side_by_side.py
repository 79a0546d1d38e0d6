"""Independent work done at the same time: in order, no more at once than asked, and ended as one."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr import interrupts
from ccdr.engines.sums import sum_line
from ccdr.interrupts import each_to_its_end, side_by_side, tick
from ccdr.shares import dealt


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


def test_of_work_each_to_its_end_an_error_stops_nothing_and_is_raised_when_all_have_ended() -> None:
    failed, ended = threading.Event(), threading.Event()

    def fails() -> str:
        failed.set()
        raise ValueError("the disk is full")

    def goes_on() -> str:
        assert failed.wait(10)
        tick()
        ended.set()
        return "done"

    with pytest.raises(ValueError, match="disk is full"):
        each_to_its_end([fails, goes_on], 2)
    assert ended.is_set()
    assert each_to_its_end([lambda: 1, lambda: 2], 2) == [1, 2]


def test_an_interrupt_of_the_main_thread_stops_work_that_would_go_to_its_end() -> None:
    stopped: list[str] = []
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()  # as Ctrl-C: to the process
    with pytest.raises(KeyboardInterrupt):
        each_to_its_end([partial(patient, stopped, "a"), partial(patient, stopped, "b")], 2)
    assert sorted(stopped) == ["a", "b"]
    tick()  # what is done to clean up is not interrupted


@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10**6), max_size=30), count=st.integers(1, 5)
)
def test_work_is_dealt_out_whole_and_evenly(sizes: dict[str, int], count: int) -> None:
    shares = dealt(sizes, count)
    assert sorted(name for share in shares for name in share) == sorted(sizes)
    assert len(shares) == min(count, len(sizes)) and all(shares)
    loads = [sum(max(sizes[name], 1) for name in share) for share in shares]
    if shares:  # nobody has more than the least laden by more than one piece
        assert max(loads) - (min(loads) if len(shares) == count else 0) <= max(max(v, 1) for v in sizes.values())


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name.strip(".") and len(name.encode()) < 200
)


@given(name=NAMES)
def test_a_line_for_sha256sum_names_the_file_whatever_it_is_called(name: str) -> None:
    with tempfile.TemporaryDirectory() as at:
        (Path(at) / name).write_bytes(b"rows")
        good, bad = hashlib.sha256(b"rows").hexdigest(), hashlib.sha256(b"others").hexdigest()
        check = ["sha256sum", "--check", "--quiet", "--strict", "-"]
        for digest, code in ((good, 0), (bad, 1)):
            done = subprocess.run(
                check, cwd=at, input=sum_line(name, digest).encode(), capture_output=True, check=False
            )
            assert done.returncode == code, done.stderr
