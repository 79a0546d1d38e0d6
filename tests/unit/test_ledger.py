"""The ledger's format, reading and verification. What crashes and full disks do to it is in tests/faults."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.drawn import examples
from tests.support.ledgers import START, add, make, note, segments
from tests.support.records import record_in
from tests.support.sparse import append_sparse

from ccdr.evidence.ledger.ledger import whoami
from ccdr.evidence.ledger.verification import MOST_REPORTED, Verification, verify
from ccdr.evidence.records.upkeep import SandboxReap
from ccdr.model.errors import CcdrError, Exit, LedgerBroken
from ccdr.model.values import RecordRef


def lines(directory: Path) -> list[bytes]:
    return b"".join(path.read_bytes() for path in segments(directory)).splitlines(keepends=True)


def rewrite(directory: Path, change: Callable[[list[bytes]], None]) -> Verification:
    """Change the lines of the first segment, and verify."""
    path = segments(directory)[0]
    held = path.read_bytes().splitlines(keepends=True)
    change(held)
    path.write_bytes(b"".join(held))
    return verify(directory)


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    """Ten records in one segment."""
    ledger = make(tmp_path / "ledger")
    for number in range(10):
        note(ledger, f"{number}", run=f"r{number}")
    return ledger.directory


@pytest.fixture
def three_segments(tmp_path: Path) -> Path:
    """Nine records in three segments of three."""
    directory = tmp_path / "ledger"
    note(make(directory), "0")
    size = segments(directory)[0].stat().st_size
    ledger = make(directory, segment_bytes=2 * size + 1)
    for number in range(1, 9):
        note(ledger, f"{number}")
    assert [path.name for path in segments(directory)] == [f"{seq:012}.jsonl" for seq in (1, 4, 7)]
    return directory


def test_a_line_is_what_the_contract_says(tmp_path: Path) -> None:
    ledger = make(tmp_path / "state" / "ledger")
    first = record_in(ledger, "sandbox.reap", plan=None, asset=None, run="r1", body={"removed": ["Zoë"]})
    second = record_in(ledger, "sandbox.reap", plan=None, asset=None, run=None, body={"removed": []})
    one, two = lines(ledger.directory)
    assert one.decode().startswith(
        '{"seq":1,"prev":"' + "0" * 64 + '","time":"2026-11-24T02:30:02.000000Z","host":"db1",'
        '"actor":"alice as root","kind":"sandbox.reap","plan":null,"asset":null,"run":"r1",'
        '"version":4,"removed":["Zoë"]'
    )
    assert json.loads(two)["prev"] == sha256(one).hexdigest() == first.hash
    assert second == RecordRef(2, sha256(two).hexdigest())
    assert json.loads(two)["asset"] is None


def test_files_are_for_their_owner_only(ten: Path) -> None:
    assert ten.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in ten.iterdir()} == {0o600}
    assert [path.name for path in ten.iterdir() if path.suffix == ".jsonl"] == ["000000000001.jsonl"]


def test_who_writes_cannot_say_what_the_ledger_gives(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    forged = SandboxReap(seq=7, prev="f" * 64, time=START, host="another", actor="another", removed=[])
    ledger.write(forged)
    (record,) = ledger.records()
    assert (record["seq"], record["prev"], record["host"], record["actor"]) == (1, "0" * 64, ledger.host, ledger.actor)
    assert record["time"] != START.isoformat()


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1: "a", "1": "b"}, {"deep": [float("-inf")]}, b"bytes", START, {1, 2}]
)
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(tmp_path: Path, value: object) -> None:
    ledger = make(tmp_path / "ledger")
    with pytest.raises((ValueError, TypeError)):
        ledger._append({"kind": "x", "value": value})
    assert not ledger.directory.exists()


def test_a_file_name_that_is_not_utf8_is_recorded_without_loss(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    name = os.fsdecode(b"call-\xff\xfe.wav")
    note(ledger, name)
    note(ledger, "line\u2028separator\x85 and \r\n newline")
    assert next(ledger.records())["removed"] == [name]
    assert verify(ledger.directory).ok


def test_records_come_in_order_and_backwards(three_segments: Path) -> None:
    ledger = make(three_segments)
    assert [int(record["removed"][0]) for record in ledger.records()] == list(range(9))
    assert [int(record["removed"][0]) for record in ledger.records(reverse=True)] == list(range(8, -1, -1))


def test_lines_longer_than_a_block_are_read_from_the_end(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    sizes = [0, 65536, 200_000, 65535, 3, 131072]
    for size in sizes:
        note(ledger, "x" * size)
    assert [len(record["removed"][0]) for record in ledger.records(reverse=True)] == sizes[::-1]
    assert verify(ledger.directory).ok


def test_an_absent_and_an_empty_ledger_hold_and_are_noted(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    absent = verify(ledger.directory)
    assert absent == Verification(0, None, None, "0" * 64, 0, (), (f"{ledger.directory}: no records",), ())
    assert list(ledger.records()) == list(ledger.records(reverse=True)) == []
    assert not ledger.directory.exists(), "reading must not create it"
    ledger.directory.mkdir()
    (ledger.directory / "000000000001.jsonl").touch()
    assert verify(ledger.directory).ok
    assert add(ledger).seq == 1
    assert verify(ledger.directory).notes == ()


def test_verification_tells_count_times_and_head(three_segments: Path) -> None:
    found = verify(three_segments)
    held = lines(three_segments)
    assert (found.ok, found.records, found.torn_bytes) == (True, 9, 0)
    assert found.head == sha256(held[-1]).hexdigest()
    assert found.first_time is not None and found.last_time is not None
    assert found.first_time.isoformat() in json.loads(held[0])["time"].replace(".000000Z", "+00:00")
    assert found.last_time > found.first_time


def test_a_start_without_an_end_is_a_crash(tmp_path: Path) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger, "restore_test.start", run="r1")
    add(ledger, "restore_test.start", run="r2")
    add(ledger, "backup.start", run="r1")
    add(ledger, "restore_test.end", run="r1")
    append_sparse(ledger, "restore_test.end", plan="outbound", asset="recordings", run="r9", body={})
    note(ledger, "-", run="r3")
    found = verify(ledger.directory)
    assert [(u.kind, u.asset, u.run, u.seq) for u in found.crashes] == [
        ("restore_test", "crm", "r2", 2),
        ("backup", "crm", "r1", 3),
    ]
    assert found.ok, "a crash is reported, and is no tampering"


def test_an_edited_line_is_one_problem_that_names_the_next_line(ten: Path, wording: SnapshotAssertion) -> None:
    found = rewrite(ten, lambda held: held.__setitem__(3, held[3].replace(b'["3"]', b'["9"]')))
    assert found.problems == wording
    assert found.records == 10


def test_an_edited_first_line_of_a_segment_and_last_of_the_one_before(
    three_segments: Path, wording: SnapshotAssertion
) -> None:
    path = segments(three_segments)[1]
    path.write_bytes(path.read_bytes().replace(b'["5"]', b'["6"]'))
    (problem,) = verify(three_segments).problems
    assert problem == wording


@pytest.mark.parametrize(
    ("change", "most", "says"),
    [
        (lambda held: held.pop(4), 1, ":5: seq is 6 after 4"),
        (lambda held: held.__delitem__(slice(2, 7)), 1, ":3: seq is 8 after 2"),
        (lambda held: held.insert(4, held[4]), 1, ":6: seq is 5 after 5"),
        (lambda held: held.insert(8, held[1]), 2, ":9: seq is 2 after 8"),
        (lambda held: held.__setitem__(slice(4, 6), [held[5], held[4]]), 3, ":5: seq is 6 after 4"),
        (lambda held: held.__setitem__(4, b"\n"), 1, ":5: not JSON"),
        (lambda held: held.insert(4, b"\n"), 1, ":5: not JSON"),
        (lambda held: held.__setitem__(4, b"\xff" + held[4]), 1, ":5: not JSON"),
        (lambda held: held.__setitem__(4, held[4][:-1]), 2, ":5: not JSON"),
        (lambda held: held.__setitem__(4, held[4][:9] + b"\n" + held[4][9:]), 2, ":6: not JSON"),
        (lambda held: held.__setitem__(4, b"[" * 100_000 + b"\n"), 1, ":5: not JSON"),
        (lambda held: held.__setitem__(4, b"[1]\n"), 1, ":5: not a record: its envelope"),
        (lambda held: held.__setitem__(4, held[4].replace(b'["4"]', b"[NaN]")), 1, ":5: not JSON: NaN"),
        (
            lambda held: held.__setitem__(4, held[4].replace(b'"removed":["4"]', b'"removed":["4"],"removed":["4"]')),
            1,
            ":5: a key is given twice",
        ),
        (lambda held: held.__setitem__(4, held[4].replace(b'"seq":5', b'"seq":"5"')), 1, ":5: not a record"),
        (lambda held: held.__setitem__(4, held[4].replace(b'"seq":5', b'"seq":true')), 1, ":5: not a record"),
        (lambda held: held.__setitem__(4, held[4].replace(b'"seq":5', b'"seq":50')), 2, ":5: seq is 50 after 4"),
        (lambda held: held.__setitem__(4, held[4].replace(b'"run":"r4"', b'"run":["r4"]')), 1, ":5: not a record"),
        (lambda held: held.__setitem__(4, held[4].replace(b'"2026-', b'"soon-')), 1, ":5: not a record: its time"),
        (lambda held: held.__setitem__(4, held[4].replace(b"Z", b"")), 1, ":5: not a record: its time"),
    ],
)
def test_each_way_to_tamper_is_named_and_does_not_drown_the_rest(
    ten: Path, change: Callable[[list[bytes]], None], most: int, says: str
) -> None:
    found = rewrite(ten, change)
    assert not found.ok
    assert len(found.problems) <= most, found.problems
    assert says in "\n".join(found.problems)


def test_every_problem_is_found_not_just_the_first(ten: Path) -> None:
    def change(held: list[bytes]) -> None:
        held[1] = held[1].replace(b'["1"]', b'["7"]')
        held[5] = b"garbage\n"
        held[8] = held[8].replace(b'["8"]', b'["0"]')

    places = [problem.split(": ")[0] for problem in rewrite(ten, change).problems]
    assert places == [f"000000000001.jsonl:{number}" for number in (3, 6, 10)]


def test_problems_are_bounded(ten: Path) -> None:
    found = rewrite(ten, lambda held: held.extend([b"garbage\n"] * (MOST_REPORTED + 50)))
    assert len(found.problems) == MOST_REPORTED + 1
    assert found.problems[-1] == "and 50 more"


def test_missing_segments_are_one_problem_each(three_segments: Path, wording: SnapshotAssertion) -> None:
    kept = three_segments.parent / "kept"
    shutil.copytree(three_segments, kept)
    segments(three_segments)[0].unlink()
    (problem,) = verify(three_segments).problems
    assert problem == wording
    segments(kept)[1].unlink()
    (problem,) = verify(kept).problems
    assert problem == wording
    assert "end with 3" in problem


def test_a_segment_cut_short_renamed_or_copied_is_a_problem(three_segments: Path) -> None:
    first, second, _ = segments(three_segments)
    whole = first.read_bytes()
    first.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert not verify(three_segments).ok
    first.write_bytes(whole[:-1])
    assert any("cut off" in problem for problem in verify(three_segments).problems)
    first.write_bytes(whole)
    assert verify(three_segments).ok
    copied = three_segments / "000000000005.jsonl"
    shutil.copy(second, copied)
    assert not verify(three_segments).ok
    copied.unlink()
    second.rename(three_segments / "000000000006.jsonl")
    assert not verify(three_segments).ok


def test_a_stray_jsonl_file_is_a_problem_and_is_never_read(ten: Path, wording: SnapshotAssertion) -> None:
    (ten / "000000000001 (copy).jsonl").write_bytes(b"garbage\n")
    (ten / "head.key").write_text("not our business")
    (problem,) = verify(ten).problems
    assert problem == wording
    assert len(list(make(ten).records())) == 10
    assert add(make(ten)).seq == 11


def test_a_clock_set_back_is_noted_and_is_no_problem(tmp_path: Path, wording: SnapshotAssertion) -> None:
    ledger = make(tmp_path / "ledger")
    add(ledger)
    ledger.clock.at -= timedelta(hours=1)  # type: ignore[attr-defined]
    add(ledger)
    found = verify(ledger.directory)
    assert found.ok
    assert found.notes == wording


def test_a_broken_line_in_the_middle_stops_reading_with_its_place(ten: Path) -> None:
    rewrite(ten, lambda held: held.__setitem__(4, b"garbage\n"))
    for reverse in (False, True):
        with pytest.raises(LedgerBroken, match=r"000000000001\.jsonl:5: not JSON") as caught:
            list(make(ten).records(reverse=reverse))
        assert caught.value.hint and caught.value.exit_code is Exit.FINDING
    assert add(make(ten)).seq == 11, "damage in the middle must not stop new evidence"


def test_a_ruined_end_is_refused_with_its_place(ten: Path) -> None:
    rewrite(ten, lambda held: held.extend([b"garbage\n", b"more\n"]))
    with pytest.raises(LedgerBroken, match=r"000000000001\.jsonl:11: not JSON") as caught:
        add(make(ten))
    assert caught.value.hint


def test_a_ledger_that_is_no_directory_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    ledger = make(tmp_path / "state" / "ledger")
    for act in (lambda: add(ledger), lambda: verify(ledger.directory), lambda: list(ledger.records())):
        with pytest.raises(CcdrError, match="state/ledger") as caught:
            act()
        assert caught.value.hint and caught.value.exit_code is Exit.NOT_CARRIED_OUT


def test_the_actor_is_who_called_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    login = pwd.getpwuid(os.geteuid()).pw_name
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert whoami() == login
    monkeypatch.setenv("SUDO_USER", "alice")
    assert whoami() == f"alice as {login}"
    monkeypatch.setenv("SUDO_USER", login)
    assert whoami() == login


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, ...]:
    """The segments of a small whole ledger: two full ones and a last line."""
    directory = tmp_path_factory.mktemp("original") / "ledger"
    ledger = make(directory, segment_bytes=700)
    for number in range(7):
        note(ledger, "Zoë", run=f"r{number}")
    held = tuple(path.read_bytes() for path in segments(directory))
    assert [part.count(b"\n") for part in held] == [3, 3, 1]
    return held


@settings(max_examples=examples(100), deadline=None)
@given(data=st.data())
def test_no_byte_before_the_last_line_changes_unseen(
    original: tuple[bytes, ...], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    which = data.draw(st.integers(0, 1), label="segment")
    part = original[which]
    how = data.draw(st.sampled_from(["change", "insert", "delete"]), label="how")
    at = data.draw(st.integers(0, len(part) - 1), label="at")
    byte = data.draw(st.sampled_from(sorted(set(part))) | st.integers(0, 255), label="byte").to_bytes()
    changed = part[:at] + (b"" if how == "delete" else byte) + part[at + (how != "insert") :]
    assume(changed != part)
    directory = tmp_path_factory.mktemp("changed")
    for name, held in zip((1, 4, 7), original, strict=True):
        (directory / f"{name:012}.jsonl").write_bytes(held)
    assert verify(directory).ok
    (directory / f"{(1, 4)[which]:012}.jsonl").write_bytes(changed)
    found = verify(directory)
    shutil.rmtree(directory)
    assert 1 <= len(found.problems) <= 3, found.problems
