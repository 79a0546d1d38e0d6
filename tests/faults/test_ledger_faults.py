"""What crashes, full disks and many writers at once do to the ledger: real processes, real file systems."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.records import record_in
from tests.support.small_disk import no_file_past

from ccdr.evidence.ledger.ledger import Ledger, forwards, parsed
from ccdr.evidence.ledger.verification import verify
from ccdr.evidence.records import decode
from ccdr.host.clock import SystemClock
from ccdr.model.errors import CcdrError
from ccdr.model.values import RecordRef


def make(directory: Path, *, segment_bytes: int = 16 * 1024**2) -> Ledger:
    return Ledger(directory, SystemClock(), host="db1", actor="alice", segment_bytes=segment_bytes)


def add(ledger: Ledger, *, n: object = "", text: str = "") -> RecordRef:
    body = {"removed": [str(n), text]}
    return record_in(ledger, "sandbox.reap", plan="outbound", asset="crm", run="r1", body=body)


def noted(record: Mapping[str, Any]) -> str | None:
    """What `add` was given as `n`."""
    return str(record["removed"][0]) if "removed" in record else None


# Writes until it has written `count` records or is killed; says each one only when `write` has returned.
WRITER = """
import random, sys, time
from datetime import UTC, datetime
from pathlib import Path
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records.upkeep import SandboxReap

class Wall:
    def now(self): return datetime.now(UTC)
    def monotonic(self): return time.monotonic()

directory, name, count, most, segment = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
ledger = Ledger(Path(directory), Wall(), segment_bytes=segment)
sizes = random.Random(name)
print("ready", flush=True)
for number in range(count):
    removed = [str(number), "x" * sizes.randrange(most)]
    ref = ledger.write(SandboxReap(plan="p", run=name, removed=removed))
    print(ref.seq, ref.hash, flush=True)
"""


def start(directory: Path, name: str, *, count: int, most: int, segment: int = 16 * 1024**2) -> subprocess.Popen[str]:
    args = [str(directory), name, str(count), str(most), str(segment)]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))  # however this process finds its modules
    return subprocess.Popen([sys.executable, "-c", WRITER, *args], env=env, stdout=subprocess.PIPE, text=True)


def chain(directory: Path) -> list[dict[str, object]]:
    """The contract's chain, recomputed without the code under test."""
    records, before = [], "0" * 64
    for path in sorted(directory.glob("*.jsonl")):
        for line in path.read_bytes().splitlines(keepends=True):
            records.append(json.loads(line))
            assert records[-1]["prev"] == before
            before = sha256(line).hexdigest()
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    return records


def test_concurrent_processes_share_one_chain(tmp_path: Path) -> None:
    directory = tmp_path / "ledger"
    writers = [start(directory, f"w{n}", count=50, most=2000, segment=64 * 1024) for n in range(8)]
    said = [writer.communicate(timeout=300)[0].splitlines()[1:] for writer in writers]
    assert all(writer.returncode == 0 for writer in writers)
    assert verify(directory).problems == ()
    records = chain(directory)
    assert len(records) == 400
    for number, lines in enumerate(said):
        mine = [record for record in records if record["run"] == f"w{number}"]
        assert [record["removed"][0] for record in mine] == [str(number) for number in range(50)]
        assert [record["seq"] for record in mine] == [int(line.split()[0]) for line in lines]
    assert len(list(directory.glob("*.jsonl"))) > 3, "they rotated while at it"


def test_concurrent_threads_share_one_ledger(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger", segment_bytes=4096)
    with ThreadPoolExecutor(8) as pool:
        refs = list(pool.map(lambda n: add(ledger, n=n), range(200)))
    assert sorted(ref.seq for ref in refs) == list(range(1, 201))
    assert verify(ledger.directory).ok
    assert len(chain(ledger.directory)) == 200


def test_readers_never_stumble_over_writers(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger)
    writers = [start(ledger.directory, f"w{n}", count=60, most=300_000, segment=1024**2) for n in range(2)]
    while any(writer.poll() is None for writer in writers):
        assert verify(ledger.directory).problems == ()
        forward = [record["seq"] for record in ledger.records()]
        assert forward == list(range(1, len(forward) + 1))
        assert next(ledger.records(reverse=True))["seq"] >= forward[-1]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    assert len(chain(ledger.directory)) == 121


def test_a_line_that_is_completed_while_it_is_read_counts_as_torn(tmp_path: Path) -> None:
    """The one instant that the test above cannot hit at will, between two reads of one file."""
    ledger = make(tmp_path / "ledger")
    add(ledger, n=0)
    add(ledger, n=1)
    path = ledger.directory / "000000000001.jsonl"
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    lines = forwards(path)
    next(lines)
    half = next(lines)
    path.write_bytes(data)
    assert list(lines) == []
    assert list(parsed(path, [half], last=True, read=decode)) == []


def test_what_append_has_acknowledged_was_fsynced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def spy(file: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{file}")).name)
        fsync(file)

    monkeypatch.setattr(os, "fsync", spy)
    ledger = make(tmp_path / "ledger")
    segment = "000000000001.jsonl"
    add(ledger)
    assert synced == [tmp_path.name, segment, "ledger"], "new names too, or a power cut takes them"
    add(ledger)
    assert synced[3:] == [segment]
    with (ledger.directory / segment).open("ab") as file:
        file.write(b"{")
    add(ledger)
    (aside,) = ledger.directory.glob("torn-*.bin")
    assert synced[4:] == [aside.name, "ledger", segment, segment, segment], "set aside before it is cut off"


def test_killed_writers_leave_a_ledger_that_verifies_and_holds_what_they_acknowledged(tmp_path: Path) -> None:
    directory, delays, acknowledged = tmp_path / "ledger", random.Random(7), {}
    for attempt in range(10):
        # Lines of megabytes: a kill then often falls within a write, and leaves it short.
        writer = start(directory, f"w{attempt}", count=10**6, most=8 * 1024**2, segment=16 * 1024**2)
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        said = writer.stdout.readline() if attempt % 2 else ""  # on a slow host too, some must get that far
        time.sleep(delays.uniform(0.0, 0.4))
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read()
        writer.communicate()
        for line in said.splitlines():
            seq, hash_ = line.split()
            acknowledged[int(seq)] = hash_
        found = verify(directory)
        assert found.problems == (), f"attempt {attempt}"
        assert found.records >= max(acknowledged, default=0)
    add(make(directory))
    assert (verify(directory).problems, verify(directory).torn_bytes) == ((), 0)
    hashes = dict(enumerate((record["prev"] for record in chain(directory)[1:]), start=1))
    assert all(hashes[seq] == hash_ for seq, hash_ in acknowledged.items())
    assert acknowledged, "nothing was ever written: the test proves nothing"


def test_torn_last_ledger_line(tmp_path: Path) -> None:
    """Torn at every byte: reading skips it, verification notes it, the next append sets it aside and says so; or ends
    it, where only its newline is missing."""
    whole = make(tmp_path / "whole")
    for number in range(3):
        add(whole, n=number)
    data = (whole.directory / "000000000001.jsonl").read_bytes()
    begin = data.rindex(b"\n", 0, -1) + 1
    for cut in range(begin, len(data)):
        ledger = make(tmp_path / f"cut{cut}")
        ledger.directory.mkdir()
        (ledger.directory / "000000000001.jsonl").write_bytes(data[:cut])
        torn = data[begin:cut]
        assert [noted(record) for record in ledger.records()] == ["0", "1"]
        assert [noted(record) for record in ledger.records(reverse=True)] == ["1", "0"]
        found = verify(ledger.directory)
        assert (found.ok, found.records, found.torn_bytes) == (True, 2, len(torn))
        assert bool(found.notes) == bool(torn)
        assert add(ledger, n="wanted").seq == (4 if torn else 3)
        assert verify(ledger.directory).ok
        records = chain(ledger.directory)
        assert noted(records[-1]) == "wanted"
        if cut == len(data) - 1:
            assert [noted(record) for record in records] == ["0", "1", "2", "wanted"]
            assert (ledger.directory / "000000000001.jsonl").read_bytes().startswith(data)
        elif torn:
            recovered = records[2]
            assert recovered["kind"] == "ledger.recovered"
            assert (recovered["bytes"], recovered["sha256"]) == (len(torn), sha256(torn).hexdigest())
            (aside,) = ledger.directory.glob("torn-*.bin")
            assert (aside.name, aside.read_bytes()) == (recovered["file"], torn)
            assert aside.stat().st_mode & 0o777 == 0o600
        shutil.rmtree(ledger.directory)


def test_torn_first_line_of_a_new_segment(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger", segment_bytes=1)
    add(ledger)
    (ledger.directory / "000000000002.jsonl").write_bytes(b'{"seq":2,"prev"')
    assert add(ledger).seq == 3
    assert verify(ledger.directory).ok
    assert [record["kind"] for record in chain(ledger.directory)] == [
        "sandbox.reap",
        "ledger.recovered",
        "sandbox.reap",
    ]


def test_a_page_lost_in_a_power_cut_is_recovered_though_the_newline_is_there(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger, n=0)
    with (ledger.directory / "000000000001.jsonl").open("ab") as file:
        file.write(b"\0" * (4096 - file.tell()) + b'rest of it"}\n')  # up to where the page ends
    assert not verify(ledger.directory).ok, "a whole line that is no record is a finding until it is set aside"
    assert [noted(record) for record in ledger.records()] == ["0"]
    assert [noted(record) for record in ledger.records(reverse=True)] == ["0"]
    assert add(ledger).seq == 3
    assert verify(ledger.directory).ok


def test_an_empty_last_segment_is_a_crash_that_harms_nothing(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger", segment_bytes=1)
    add(ledger)
    (ledger.directory / "000000000002.jsonl").touch()
    assert verify(ledger.directory).ok
    assert len(list(ledger.records())) == len(list(ledger.records(reverse=True))) == 1
    assert add(ledger).seq == 2
    assert verify(ledger.directory).ok
    assert sorted(path.name for path in ledger.directory.glob("*.jsonl")) == [
        "000000000001.jsonl",
        "000000000002.jsonl",
    ]


def test_a_recovery_that_was_interrupted_is_noted(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger)
    (ledger.directory / "torn-20261124T023000.000000Z-00000000.bin").write_bytes(b"{")
    found = verify(ledger.directory)
    assert found.ok
    assert "no record tells of it" in found.notes[0]


@pytest.fixture
def size_limit() -> Iterator[int]:
    with no_file_past(20_000):
        yield 20_000


def test_a_write_cut_short_leaves_no_torn_line(tmp_path: Path, size_limit: int) -> None:
    ledger = make(tmp_path / "ledger")
    with pytest.raises(CcdrError, match="could not be written: File too large") as caught:
        for number in range(100):
            add(ledger, n=number, text="x" * 980)
    assert caught.value.hint and "make room" in caught.value.hint
    found = verify(ledger.directory)
    assert (found.ok, found.torn_bytes) == (True, 0)
    size = (ledger.directory / "000000000001.jsonl").stat().st_size
    assert size < size_limit - 200, "room for a part of a line was left, so the write was really cut short"
    assert add(ledger, text="short").seq == found.records + 1, "a record that fits is still taken"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "disk"
    mount.mkdir()
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", mount]).returncode:
        pytest.skip("this host does not let us mount")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_full_disk_leaves_no_torn_line(small_disk: Path) -> None:
    ledger = make(small_disk / "ledger")
    add(ledger)
    with pytest.raises(CcdrError, match="No space left on device") as caught:
        while True:
            add(ledger, text="x" * 3000)
    assert caught.value.hint and str(ledger.directory) in str(caught.value)
    found = verify(ledger.directory)
    assert (found.ok, found.torn_bytes) == (True, 0)


def test_a_full_disk_does_not_lose_torn_bytes(small_disk: Path) -> None:
    ledger = make(small_disk / "ledger")
    add(ledger)
    with (ledger.directory / "000000000001.jsonl").open("ab") as file:
        file.write(b"{" * 5000)
    (small_disk / "filler").write_bytes(b"x" * 53_000)  # a page is left: the copy is cut short
    with pytest.raises(CcdrError, match="No space left on device"):
        add(ledger)
    assert verify(ledger.directory).torn_bytes == 5000
    assert not list(ledger.directory.glob("torn-*.bin")), "a copy that is not whole must not stay"
    (small_disk / "filler").unlink()
    assert add(ledger).seq == 3
    assert verify(ledger.directory).ok
    (aside,) = ledger.directory.glob("torn-*.bin")
    assert aside.read_bytes() == b"{" * 5000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write where it is forbidden")
def test_a_directory_that_may_only_be_read_verifies_and_refuses_records(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger)
    (ledger.directory / "lock").unlink()
    ledger.directory.chmod(0o500)
    try:
        assert verify(ledger.directory).ok
        with pytest.raises(CcdrError, match="Permission denied") as caught:
            add(ledger)
    finally:
        ledger.directory.chmod(0o700)
    assert caught.value.hint and str(ledger.directory) in str(caught.value)


def test_a_read_only_file_system_verifies_and_refuses_records(small_disk: Path) -> None:
    ledger = make(small_disk / "ledger")
    add(ledger)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert verify(ledger.directory).ok
    with pytest.raises(CcdrError, match="Read-only file system") as caught:
        add(ledger)
    assert caught.value.hint and str(ledger.directory) in str(caught.value)
