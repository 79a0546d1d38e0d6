"""A ledger read by two processes says what one would have said, whatever was done to it."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.drawn import examples
from tests.support.ledgers import add, by_several, make, note, segments
from tests.support.records import body_of, record_in

from ccdr.evidence import reading
from ccdr.evidence.ledger.ledger import BEGINNING
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.reading import Take, meanwhile, read_verified
from ccdr.evidence.records import Record
from ccdr.model.errors import CcdrError
from ccdr.telling.report import population_csv
from ccdr.telling.report.runs import RecordedRun

RECORDS = 12


@pytest.fixture(autouse=True)
def however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    by_several(monkeypatch)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("original") / "ledger"
    for number in range(RECORDS):
        made = make(directory, segment_bytes=900)
        if number == 1:
            add(made, run="crashed")
        elif number % 3:
            note(made, f"{number}", run=f"r{number}")
        else:
            record_in(made, "backup.end", plan="p", asset="a", run=f"r{number}", body=body_of("backup.end"))
    assert len(segments(directory)) > 1
    return directory


@pytest.fixture
def ledger(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "ledger")


class Folds:
    """How often a fold was begun, and what the last one took."""

    def __init__(self) -> None:
        self.begun = 0
        self.taken: list[Record] = []

    def anew(self) -> Take:
        self.begun += 1
        self.taken = []
        return self.taken.append


def by_one(directory: Path) -> tuple[Verification, list[Record]]:
    folds = Folds()
    return verify(directory, folds.anew(), crashes=False), folds.taken


def test_a_whole_ledger_is_folded_once(ledger: Path) -> None:
    folds = Folds()
    found = read_verified(ledger, folds.anew)
    assert (found, folds.taken) == by_one(ledger)
    assert (found.ok, found.records, folds.begun) == (True, RECORDS, 1)


@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_says_what_one_process_says(original: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed, lines lost, doubled, cut off, keys given twice: the same problems, and the same records."""
    ledger = tmp_path / "ledger"
    shutil.rmtree(ledger, ignore_errors=True)
    shutil.copytree(original, ledger)
    path = data.draw(st.sampled_from(segments(ledger)))
    held = path.read_bytes()
    lines = held.splitlines(keepends=True)
    place = data.draw(st.integers(0, len(held) - 1))
    line = data.draw(st.integers(0, len(lines) - 1))
    changed = {
        "nothing": held,
        "byte": held[:place] + data.draw(st.binary(min_size=1, max_size=1)) + held[place + 1 :],
        "cut off": held[:place],
        "line lost": b"".join(lines[:line] + lines[line + 1 :]),
        "line doubled": b"".join(lines[: line + 1] + lines[line:]),
        "key twice": b"".join([*lines[:line], twice(lines[line]), *lines[line + 1 :]]),
        "envelope": b"".join([*lines[:line], lines[line].replace(b'"actor":', b'"who":'), *lines[line + 1 :]]),
        "time": b"".join([*lines[:line], lines[line].replace(b'"2026-', b'"soon-'), *lines[line + 1 :]]),
    }
    path.write_bytes(changed[data.draw(st.sampled_from(sorted(changed)))])
    folds = Folds()
    assert (read_verified(ledger, folds.anew), folds.taken) == by_one(ledger)


@pytest.mark.parametrize("changed", [False, True])
def test_a_mark_is_reached_where_one_process_reaches_it(ledger: Path, changed: bool) -> None:
    """Right behind the same record, of whole ledgers and of changed ones; and who wants crashes is told of them."""
    made = make(ledger, segment_bytes=900)
    marks = [mark for mark, _ in made.after(BEGINNING)]
    if changed:
        path = segments(ledger)[0]
        path.write_bytes(path.read_bytes().replace(b'"actor":"', b'"actor":"not ', 1))
    for mark in (*marks, replace(marks[-1], hash="0" * 64)):
        seen: list[list[int]] = []
        for read in (partial(read_verified, crashes=True), lambda *a, at: verify(a[0], a[1](), at=at)):
            folds, reached = Folds(), list[int]()
            found = read(ledger, folds.anew, at=(mark, lambda of=folds, into=reached: into.append(len(of.taken))))
            seen.append([reached, found, folds.taken])
            assert found.crashes
        assert seen[0] == seen[1]
        assert seen[0][0] == ([marks.index(mark) + 1] if mark in marks and (not changed or mark.seq > 1) else [])


def test_a_broken_chain_of_whole_records_is_folded_once(ledger: Path) -> None:
    """What was folded is every record that the verification took for one: nothing would be told otherwise."""
    path = segments(ledger)[0]
    path.write_bytes(path.read_bytes().replace(b'"actor":"', b'"actor":"not ', 1))
    folds = Folds()
    found = read_verified(ledger, folds.anew)
    assert (found, folds.taken) == by_one(ledger)
    assert not found.ok and folds.begun == 1


def twice(line: bytes) -> bytes:
    return line.replace(b'"n":', b'"n":99,"n":').replace(b'"reason":', b'"reason":"another","reason":')


def test_what_is_written_meanwhile_is_left_for_the_next_time(ledger: Path) -> None:
    before, folds = by_one(ledger), Folds()

    def anew() -> Take:
        note(make(ledger), "99")
        return folds.anew()

    assert read_verified(ledger, anew) == before[0]
    assert folds.taken == before[1]


def test_a_verifier_that_is_killed_verified_nothing(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(reading, "_carry_out", killed)
    folds = Folds()
    assert (read_verified(ledger, folds.anew), folds.taken) == by_one(ledger)
    assert folds.begun == 2


def test_work_that_fails_in_the_other_process_is_not_done_and_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def fails() -> int:
        raise OSError("no such disk")

    with meanwhile(fails) as found:
        assert found() is None
    with meanwhile(lambda: 41 + 1) as found:
        assert found() == 42
    assert capfd.readouterr() == ("", "")


def test_a_population_digested_meanwhile_is_the_same_one(monkeypatch: pytest.MonkeyPatch) -> None:
    began = datetime(2026, 3, 1, tzinfo=UTC)
    runs = [RecordedRun(n, n, "backup", "p", "a", f"r{n}", "h", "x", began, began, reason="=1+1") for n in range(50)]
    monkeypatch.setattr(population_csv, "WORTH_IT", 10)
    with population_csv.digesting(runs) as digest:
        assert digest() == population_csv.digest_of(runs)
    monkeypatch.setattr(reading, "_carry_out", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with population_csv.digesting(runs) as digest:
        assert digest() == population_csv.digest_of(runs)


def test_what_a_fold_raises_is_raised(ledger: Path) -> None:
    def take(_: Record) -> None:
        raise CcdrError("not this one")

    with pytest.raises(CcdrError, match="not this one"):
        read_verified(ledger, lambda: take)


def test_a_ledger_that_cannot_be_read_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("no directory")
    with pytest.raises(CcdrError, match="ledger"):
        read_verified(tmp_path / "ledger", Folds().anew)
