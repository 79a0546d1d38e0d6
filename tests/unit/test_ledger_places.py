"""Where a record stands in the ledger: found by number, by hash, by mark, from either end, and only where it is."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.sparse import append_sparse

from ccdr.evidence.ledger import ledger as module
from ccdr.evidence.ledger.ledger import BEGINNING, SEGMENT_BYTES, Ledger, Mark, extent_of, whoami
from ccdr.evidence.ledger.verification import MOST_REPORTED, verify
from ccdr.evidence.records import Record, decode, of_mapping
from ccdr.model.errors import CcdrError, LedgerBroken
from ccdr.model.values import RecordRef


class Standing:
    """A clock that somebody moves."""

    time = datetime(2026, 11, 24, 2, 30, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def make(directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> Ledger:
    return Ledger(directory, Standing(), host="db1", actor="alice", segment_bytes=segment_bytes)


def add(ledger: Ledger, number: int = 0, text: str = "") -> RecordRef:
    return append_sparse(ledger, "sandbox.reap", plan="p", asset=None, run=f"r{number}", body={"removed": [text]})


def segments(ledger: Ledger) -> list[Path]:
    return sorted(ledger.directory.glob("*.jsonl"))


def filled(directory: Path, lengths: list[int], segment_bytes: int = 900) -> tuple[Ledger, list[RecordRef]]:
    ledger = make(directory, segment_bytes=segment_bytes)
    return ledger, [add(ledger, n, "x" * length) for n, length in enumerate(lengths)]


def places(ledger: Ledger) -> list[tuple[Mark, Record]]:
    """By the contract alone: every line, where it stands, and what it says."""
    found, seq = [], 0
    for path in segments(ledger):
        start = 0
        for line in path.read_bytes().splitlines(keepends=True):
            seq += 1
            mark = Mark(path.name, start, start + len(line), seq, sha256(line).hexdigest())
            found.append((mark, decode(line)))
            start += len(line)
    return found


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 64)


@given(st.lists(st.sampled_from([0, 1, 2, 30, 63, 64, 65, 700, 1500]), max_size=14))
def test_every_record_is_found_from_everywhere(tmp_path_factory: pytest.TempPathFactory, lengths: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "_BLOCK", 64)
        ledger, refs = filled(tmp_path_factory.mktemp("l") / "ledger", lengths)
        found = places(ledger)
        records = [record for _, record in found]
        assert [*map(of_mapping, ledger.records())] == records == [*ledger.as_read()]
        assert [*map(of_mapping, ledger.records(reverse=True))] == records[::-1] == [*ledger.as_read(reverse=True)]
        assert list(ledger.after(BEGINNING)) == found
        for n, (mark, record) in enumerate(found):
            assert ledger.at(mark) == record == ledger.numbered(n + 1) and ledger.holds(mark)
            assert ledger.mark_of(refs[n]) == mark
            assert list(ledger.after(mark)) == found[n + 1 :]
        assert ledger.numbered(0) is None and ledger.numbered(len(found) + 1) is None
        assert ledger.mark_of(RecordRef(1, "f" * 64)) is None and ledger.holds(BEGINNING)


@pytest.fixture
def ten(tmp_path: Path) -> Ledger:
    return filled(tmp_path / "ledger", [0, 9, 80, 0, 300, 7, 0, 0, 50, 1])[0]


def test_a_mark_holds_only_for_the_very_line(ten: Ledger) -> None:
    for mark, _ in places(ten):
        for other in (
            replace(mark, start=mark.start + 1),
            replace(mark, start=mark.start - 1),
            replace(mark, end=mark.end + 1),
            replace(mark, start=mark.start + 1, end=mark.end + 1),
            replace(mark, seq=mark.seq + 1),
            replace(mark, hash="0" * 64),
            replace(mark, segment="000000000099.jsonl"),
            replace(mark, segment=f"../ledger/{mark.segment}"),
            replace(mark, start=10**9, end=10**9 + 1),
        ):
            assert ten.at(other) is None and not ten.holds(other)


def test_a_mark_does_not_hold_where_its_line_has_become_the_end_of_another(ten: Ledger) -> None:
    _, (mark, _), *_ = places(ten)
    path = ten.directory / mark.segment
    whole = path.read_bytes()
    path.write_bytes(whole[: mark.start - 1] + b" " + whole[mark.start :])
    assert ten.at(mark) is None
    path.write_bytes(whole)
    assert ten.at(mark) is not None


def test_a_number_is_not_met_in_what_cannot_be_read(ten: Ledger) -> None:
    """It is asked in order to compare: what is damaged compares to nothing, and stops nobody."""
    marks = [mark for mark, _ in places(ten)]
    path = segments(ten)[0]
    ours = [m for m in marks if m.segment == path.name]
    path.write_bytes(b"garbage\n" * 9)
    assert [ten.numbered(m.seq) for m in ours] == [None] * len(ours)
    assert ten.numbered(10) is not None
    for each in segments(ten):
        each.unlink()
    assert ten.numbered(1) is None


@pytest.mark.parametrize("torn", [b"", b'{"seq":11,"kind":"backup.sta', b'{"seq":11,"kind":"ba\n', b"\x00" * 4000])
def test_a_torn_last_line_hides_no_record_before_it(ten: Ledger, torn: bytes) -> None:
    found, last = places(ten), segments(ten)[-1]
    last.write_bytes(last.read_bytes() + torn)
    assert [ten.hash_of(mark.seq) for mark, _ in found] == [mark.hash for mark, _ in found]
    assert [ten.numbered(mark.seq) for mark, _ in found] == [record for _, record in found]
    assert ten.numbered(11) is None
    last.write_bytes(last.read_bytes()[: found[-1][0].end - 5])  # the tenth itself
    assert ten.hash_of(9) == found[8][0].hash and ten.hash_of(10) is None


def test_torn_is_only_the_end_of_the_last_segment(ten: Ledger) -> None:
    """Whether its line feed is there or not; anything behind it is damage."""
    records, last = list(ten.records()), segments(ten)[-1]
    whole = last.read_bytes()
    for torn in (b'{"seq":', b'{"seq":\n', b"\x00" * 20 + b"\n"):
        last.write_bytes(whole + torn)
        assert list(ten.records()) == records and list(ten.records(reverse=True)) == records[::-1]
        assert [record for _, record in ten.after(BEGINNING)] == [*map(of_mapping, records)]
        last.write_bytes(whole + torn.rstrip(b"\n") + b"\n" + whole.splitlines(keepends=True)[-1])
        for read in (lambda: list(ten.records()), lambda: list(ten.after(BEGINNING))):
            with pytest.raises(LedgerBroken):
                read()
    last.write_bytes(whole)
    first = segments(ten)[0]
    first.write_bytes(first.read_bytes() + b'{"seq":')
    for read in (
        lambda: list(ten.records()),
        lambda: list(ten.records(reverse=True)),
        lambda: list(ten.after(BEGINNING)),
    ):
        with pytest.raises(LedgerBroken, match=first.name):
            read()


def test_a_segment_is_full_when_it_has_grown_to_its_size(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger)
    size = segments(ledger)[0].stat().st_size
    add(make(ledger.directory, segment_bytes=size + 1))
    assert len(segments(ledger)) == 1
    add(make(ledger.directory, segment_bytes=2 * size))
    assert [path.name for path in segments(ledger)] == ["000000000001.jsonl", "000000000003.jsonl"]
    assert SEGMENT_BYTES == 16 << 20, "docs and retention of ledgers go by it"


def test_who_writes_is_this_machine_and_this_user_unless_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = Ledger(tmp_path / "ledger", Standing())
    add(ledger)
    (record,) = ledger.records()
    assert (record["host"], record["actor"]) == (socket.gethostname(), whoami())
    monkeypatch.delenv("SUDO_USER", raising=False)

    def unknown(_: int) -> None:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert whoami() == f"uid {os.geteuid()}", "a container's user without an entry"


def test_a_writer_waits_for_the_one_before_it(ten: Ledger) -> None:
    written = threading.Event()
    lock = os.open(ten.directory / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        thread = threading.Thread(target=lambda: (add(ten), written.set()))
        thread.start()
        assert not written.wait(0.2)
    finally:
        os.close(lock)
    thread.join(10)
    assert written.is_set()


@pytest.fixture
def broken(ten: Ledger) -> Iterator[Ledger]:
    """With a torn line behind its last one."""
    with segments(ten)[-1].open("ab") as file:
        file.write(b'{"seq":')
    yield ten


def test_what_is_set_aside_lies_under_a_name_of_its_time_and_bytes(broken: Ledger) -> None:
    digest = sha256(b'{"seq":').hexdigest()
    aside = broken.directory / f"torn-20261124T023000.000000Z-{digest[:8]}.bin"
    aside.write_bytes(b"from a recovery that was interrupted")
    torn = segments(broken)[-1].name
    add(broken)
    assert aside.read_bytes() == b'{"seq":'
    *_, told, _ = broken.records()
    wanted = {"kind": "ledger.recovered", "plan": None, "asset": None, "run": None, "file": aside.name}
    wanted |= {"segment": torn, "bytes": 7, "sha256": digest}
    assert {**told, **wanted} == told
    found = verify(broken.directory)
    assert found.ok and found.torn_bytes == 0 and len(found.notes) == 1
    assert f"set aside in {aside.name}" in found.notes[0]


def test_verification_says_when_it_has_come_to_a_mark(ten: Ledger) -> None:
    """Once, right after exactly that line was given away; never where it stands otherwise."""
    for mark, record in places(ten):
        seen: list[int] = []
        verify(ten.directory, lambda r, seen=seen: seen.append(r.seq), at=(mark, lambda seen=seen: seen.append(-1)))
        expected = list(range(1, 11))
        expected.insert(record.seq, -1)
        assert seen == expected
        for other in (
            replace(mark, start=mark.start - 1),
            replace(mark, hash="0" * 64),
            replace(mark, end=mark.end + 1),
        ):
            assert verify(ten.directory, at=(other, lambda: pytest.fail("it does not stand there"))).ok


def test_verification_goes_no_further_than_it_was_told(ten: Ledger) -> None:
    extent, until = extent_of(ten.directory), places(ten)
    for n in range(3):
        add(ten, n, "y" * 500)
    found = verify(ten.directory, extent=extent)
    assert found.ok and found.records == 10 and found.head == until[-1][0].hash
    assert verify(ten.directory).records == 13


def test_crashes_are_told_unless_nobody_asks(ten: Ledger) -> None:
    for n in range(3):
        append_sparse(ten, "backup.start", plan="p", asset="a", run=f"b{n}", body={})
    assert len(verify(ten.directory).crashes) == 3 and verify(ten.directory, crashes=False).crashes == ()


def test_a_clock_that_stands_still_has_not_gone_back(ten: Ledger) -> None:
    assert verify(ten.directory).notes == ()


@pytest.mark.parametrize("key", ["prev", "time", "host", "actor", "kind", "plan", "asset", "run"])
@pytest.mark.parametrize("value", ["7", "[]", "true"])
def test_an_envelope_is_of_texts(ten: Ledger, key: str, value: str, wording: SnapshotAssertion) -> None:
    path = segments(ten)[-1]
    *rest, line = path.read_bytes().splitlines(keepends=True)
    said = {**json.loads(line), key: json.loads(value)}
    path.write_bytes(b"".join(rest) + json.dumps(said, separators=(",", ":")).encode() + b"\n")
    (problem,) = verify(ten.directory).problems
    assert problem == wording(name="an envelope")


@pytest.mark.parametrize(("more", "said"), [(0, None), (1, "and 1 more"), (7, "and 7 more")])
def test_as_many_problems_as_can_be_read_are_spelt_out(ten: Ledger, more: int, said: str | None) -> None:
    assert MOST_REPORTED == 100
    path = segments(ten)[-1]
    path.write_bytes(path.read_bytes() + b"garbage\n" * (MOST_REPORTED + more))
    problems = verify(ten.directory).problems
    assert len(problems) == MOST_REPORTED + bool(said) and (said is None or problems[-1] == said)


def test_unread_lines_may_have_been_records_and_no_more_than_they_are(ten: Ledger) -> None:
    """Where two lines cannot be read, two records may be missing, and not three."""
    path = segments(ten)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 4
    for first, unread, problems in ((1, 2, 2), (1, 1, 2)):
        path.write_bytes(b"".join([*lines[:first], *[b"garbage\n"] * unread, *lines[first + 2 :]]))
        assert len(verify(ten.directory).problems) == problems, (first, unread)
    path.write_bytes(b"".join([lines[0], b"garbage\n", *lines[3:]]))
    assert any("seq is 4 after 1" in problem for problem in verify(ten.directory).problems)


@pytest.mark.parametrize(("number", "hint"), [(28, "make room"), (27, "make room"), (122, "make room"), (13, "ls -ld")])
def test_a_refusal_says_what_to_do(ten: Ledger, monkeypatch: pytest.MonkeyPatch, number: int, hint: str) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", refuse)
    with pytest.raises(CcdrError, match=f"could not be written: {os.strerror(number)}") as caught:
        add(ten)
    assert caught.value.hint and hint in caught.value.hint
    monkeypatch.undo()
    assert add(ten).seq == 11 and verify(ten.directory).ok


def test_a_first_record_that_was_refused_leaves_no_segment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = make(tmp_path / "ledger")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises((CcdrError, OSError)):
        add(ledger)
    assert segments(ledger) == []
    monkeypatch.undo()
    add(ledger)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    before = segments(ledger)[0].read_bytes()
    with pytest.raises(CcdrError):
        add(ledger)
    assert segments(ledger)[0].read_bytes() == before


def test_no_file_stays_open(ten: Ledger) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for n in range(5):
        add(ten, n)
    assert len(os.listdir("/proc/self/fd")) == before
