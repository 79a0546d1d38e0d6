"""Independent work done at the same time: in order, no more at once than asked, and ended as one."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccdr.engines.comparison import compare, sum_line
from ccdr.engines.postgres.physical.backup_manifest import NAME
from ccdr.engines.postgres.physical.backup_manifest import listed as listed_in
from ccdr.host import interrupts
from ccdr.host.digests import Digest
from ccdr.host.interrupts import each_to_its_end, side_by_side, threads, tick
from ccdr.host.processes import Host
from ccdr.host.retry import patiently
from ccdr.host.shares import dealt
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.model.values import FileDigest


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
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts what is in its background deaf
    try:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()  # as Ctrl-C: to the process
        with pytest.raises(KeyboardInterrupt):
            each_to_its_end([partial(patient, stopped, "a"), partial(patient, stopped, "b")], 2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert sorted(stopped) == ["a", "b"]
    tick()  # what is done to clean up is not interrupted


def by_itself(begins: Callable[[], str], stopped: list[str]) -> None:
    each_to_its_end([begins, partial(stopped.append, "late")], 1)


def by_its_pool(begins: Callable[[], str], stopped: list[str]) -> None:
    with threads(1) as pool:
        pool.submit(begins).result()


@pytest.mark.parametrize("waits", [by_itself, by_its_pool])
def test_a_thread_that_waits_for_its_work_is_told_once_and_cleans_up_undisturbed(
    waits: Callable[[Callable[[], str], list[str]], None],
) -> None:
    """As a run of several assets, each in a thread of its own, that is interrupted in the main one. It may ask whether
    it is to stop, or wait for what its pool gives, which heard of it first."""
    stopped: list[str] = []
    begun, cleaned = threading.Event(), threading.Event()

    def begins() -> str:
        begun.set()
        return patient(stopped, "first")

    def asset() -> None:
        try:
            waits(begins, stopped)
        except KeyboardInterrupt:
            tick()
            cleaned.set()

    waiting = threading.Thread(target=asset)
    waiting.start()
    assert begun.wait(10)
    interrupts.stop_all()
    try:
        waiting.join(5)
        assert cleaned.is_set() and stopped == ["first"]
        assert interrupts._STOP.is_set()  # others are yet to be told
    finally:
        interrupts.reset()
        waiting.join()


def test_whoever_waits_for_the_next_try_gives_up_when_another_has_failed() -> None:
    tried = threading.Event()

    def in_vain() -> None:
        tried.set()
        raise ConnectionError("nobody answers")

    with pytest.raises(ValueError, match="a mistake"), threads(1, stopped_by=BaseException) as pool:
        waiting = pool.submit(patiently, in_vain, on=(ConnectionError,), seconds=60.0, wait=60.0)
        assert tried.wait(10)
        raise ValueError("a mistake")
    assert isinstance(waiting.exception(), KeyboardInterrupt)


def test_an_interrupt_ends_the_hashing_of_many_files_at_once(tmp_path: Path) -> None:
    """Hours of it may lie ahead, in other threads than the one that is interrupted."""
    pipe = tmp_path / "recording.wav"
    os.mkfifo(pipe)  # a file that is not read to its end before somebody gives up
    digest = Digest(Host())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    writer = os.open(pipe, os.O_RDWR)
    try:
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            digest(tmp_path, ["recording.wav"])
        assert time.monotonic() - began < 20
    finally:
        signal.signal(signal.SIGINT, before)
        os.close(writer)


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
@example(name="-")
@example(name="\\n")
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


def test_files_that_are_as_listed_are_found_so_and_a_list_of_none_is_not(tmp_path: Path) -> None:
    (tmp_path / "ibdata1").write_bytes(b"rows")
    listed = {"ibdata1": FileDigest(4, hashlib.sha256(b"rows").hexdigest())}
    compare(Host(), str(tmp_path), listed)
    with pytest.raises(CommandFailed, match="by their SHA-256 exited"):  # nothing was compared: nothing is proven
        compare(Host(), str(tmp_path), {})


def test_a_damaged_file_is_told_before_whatever_else_went_wrong(tmp_path: Path) -> None:
    """Else an image that lacks a program would make a bad backup one that nothing is known of."""

    def lacks() -> None:
        raise CommandFailed(["pg_verifybackup"], 1, 'program "pg_waldump" not found')

    for number in range(8):
        (tmp_path / str(number)).write_bytes(b"rows")
    listed = {str(number): FileDigest(4, hashlib.sha256(b"rows").hexdigest()) for number in range(8)}
    with pytest.raises(CommandFailed, match="pg_waldump"):
        compare(Host(), str(tmp_path), listed, lacks)
    for number in range(8):
        (tmp_path / str(number)).write_bytes(b"other")
        with pytest.raises(CommandFailed, match="checksum does not match"):
            compare(Host(), str(tmp_path), listed, lacks)
        (tmp_path / str(number)).write_bytes(b"rows")


@pytest.mark.parametrize("files", [["base/1/1259"], [{"Path": 5}], [{"Path": None}], [5], None, [{}]])
def test_a_backup_manifest_of_another_shape_cannot_be_read(tmp_path: Path, files: object) -> None:
    ranges = [{"Timeline": 1, "Start-LSN": "0/1", "End-LSN": "0/2"}]
    one = {"Path": "base/1/1259", "Size": 4, "Checksum-Algorithm": "SHA256", "Checksum": "ab" * 32}
    (tmp_path / NAME).write_text(json.dumps({"WAL-Ranges": ranges, "Files": [one]}))
    assert listed_in(tmp_path) == {"base/1/1259": FileDigest(4, "ab" * 32)}
    (tmp_path / NAME).write_text(json.dumps({"WAL-Ranges": ranges, "Files": files}))
    with pytest.raises(BackupBad, match="cannot be read"):
        listed_in(tmp_path)


@pytest.mark.parametrize("path", ["\ud800", "base/\udce9"])
def test_a_name_that_no_file_can_have_cannot_be_read(tmp_path: Path, path: str) -> None:
    """One that is no UTF-8 stands there in hexadecimal, and no other way."""
    ranges = [{"Timeline": 1, "Start-LSN": "0/1", "End-LSN": "0/2"}]
    one = {"Size": 4, "Checksum-Algorithm": "SHA256", "Checksum": "ab" * 32}
    named = {"Encoded-Path": b"base/caf\xe9".hex(), **one}
    (tmp_path / NAME).write_text(json.dumps({"WAL-Ranges": ranges, "Files": [named]}))
    assert [os.fsencode(name) for name in listed_in(tmp_path)] == [b"base/caf\xe9"]
    (tmp_path / NAME).write_text(json.dumps({"WAL-Ranges": ranges, "Files": [{"Path": path, **one}]}))
    with pytest.raises(BackupBad, match="cannot be read"):
        listed_in(tmp_path)
