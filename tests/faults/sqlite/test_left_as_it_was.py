"""SQLite: the source is left as it was, whatever a crash has left beside it."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.harness import ask_sqlite, eventually
from tests.support.sqlite_source import LIVE, beside, captured, crashed, refused


def as_left(mode: str) -> Callable[[Path], object]:
    return lambda path: ask_sqlite(path, f"pragma journal_mode = {mode}; update call set seconds = 7 where id = 7")


LEFT: dict[str, Callable[[Path], object]] = {
    "a log, closed well": as_left("wal"),
    "a log, after a crash": lambda p: crashed(p, "update call set seconds = 7 where id = 7", "wal"),
    "no journal": as_left("delete"),
    "a journal that is kept": as_left("persist"),
    "a journal cut to nothing": as_left("truncate"),
}


@pytest.mark.parametrize("name", LEFT)
def test_the_source_is_left_as_it_was(database: Path, tmp_path: Path, name: str) -> None:
    """Its bytes, its time of change, and what stands beside it; and what was committed last is in the copy."""
    LEFT[name](database)
    before = beside(database)
    assert captured(database, tmp_path / "into").notes == []
    after = beside(database)
    # Who reads a log marks in its -shm how far; that is what it is there for.
    assert {n: v for n, v in before.items() if "-shm" not in n} == {n: v for n, v in after.items() if "-shm" not in n}
    assert before.keys() == after.keys()
    copy = tmp_path / "into" / "cdr.sqlite3"
    assert [p.name for p in copy.parent.iterdir()] == ["cdr.sqlite3"]
    assert ask_sqlite(copy, "select seconds from call where id = 7") == [(7,)]


def test_an_application_that_has_it_open_is_not_disturbed(database: Path, tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(database, isolation_level=None)) as application:
        application.execute("update call set seconds = 7 where id = 7")
        before = beside(database)
        assert set(before) == {"cdr.sqlite3", "cdr.sqlite3-wal", "cdr.sqlite3-shm"}
        captured(database, tmp_path / "into")
        assert {n: v for n, v in beside(database).items() if "-shm" not in n} == {
            n: v for n, v in before.items() if "-shm" not in n
        }
        application.execute("update call set seconds = 8 where id = 7")
    copy = tmp_path / "into" / "cdr.sqlite3"
    assert ask_sqlite(copy, "select seconds from call where id = 7") == [(7,)]


def test_what_a_crash_left_half_done_is_rolled_back_as_by_any_reader(database: Path, tmp_path: Path) -> None:
    good = ask_sqlite(database, "pragma journal_mode = delete; select sum(length(voice)), count(*) from call")
    crashed(database, "begin; update call set voice = zeroblob(5000)", "delete")
    assert beside(database).keys() == {"cdr.sqlite3", "cdr.sqlite3-journal"}
    done = captured(database, tmp_path / "into")
    assert "rolled back" in done.notes[0]
    for path in (database, tmp_path / "into" / "cdr.sqlite3"):
        assert ask_sqlite(path, "select sum(length(voice)), count(*) from call") == good
    assert beside(database).keys() == {"cdr.sqlite3"}


def of_several(journal: Path, decides: Path | str) -> None:
    """Make a journal that of a transaction over several databases: its end names the file that decides (SQLite's file
    format, 3)."""
    name = str(decides).encode()
    with journal.open("ab") as file:
        file.write(struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)))
        file.write(bytes.fromhex("d9d505f920a163d7"))


@pytest.mark.parametrize("decided", ["not yet", "yes", "elsewhere"])
def test_a_crash_amid_several_databases_is_for_who_can_tell_what_was_committed(
    database: Path, tmp_path: Path, decided: str
) -> None:
    """Where the first of them goes by another name here (a container's directory), SQLite would take what is half
    written for committed, and remove the journal for good."""
    question = "select sum(length(voice)), count(*) from call"
    good = ask_sqlite(database, f"pragma journal_mode = delete; {question}")
    first = database.with_name("first.sqlite3")
    ask_sqlite(first, "create table t (a)")
    whole, journal = shutil.copyfile(database, tmp_path / "whole"), Path(f"{database}-journal")
    crashed(database, "begin; update call set voice = zeroblob(5000)", "delete")
    decides = Path(f"{'/data/first' if decided == 'elsewhere' else first}-mj1A2B3C901")
    of_several(journal, decides)
    before = beside(database)
    if decided == "elsewhere":
        error = refused(database, tmp_path / "into")
        assert "in a transaction over several databases" in str(error) and "start its application" in str(error.hint)
        assert beside(database) == before, "its application can still roll it back"
        return
    if decided == "yes":
        ask_sqlite(whole, "update call set voice = zeroblob(5000)")
        whole.replace(database)
        good = [(15_000_000, 3000)]
    else:
        decides.write_bytes(f"{journal}\0".encode())
    captured(database, tmp_path / "into")
    assert ask_sqlite(tmp_path / "into" / "cdr.sqlite3", question) == good


def test_a_copy_that_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    """ccdr is killed, and the kernel tells the program that copies: it still closes the database."""
    path, target = tmp_path / "big.db", tmp_path / "target"
    ask_sqlite(path, "pragma journal_mode = wal; create table t (a); insert into t with recursive n(g) as"
               " (select 1 union all select g + 1 from n where g < 300) select zeroblob(100000) from n")  # fmt: skip
    before = beside(path).keys()
    slowly = (
        LIVE.read_text().replace("STEP = 4096", "STEP = 1").replace("lambda *_: None", "lambda *_: time.sleep(0.1)")
    )
    argv = [sys.executable, "-I", "-c", slowly]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps({"source": str(path), "target": str(target), "wait": 60}))
    process.stdin.close()
    assert eventually(target.exists, 60)
    assert beside(path).keys() == {"big.db", "big.db-wal", "big.db-shm"}, "while it reads"
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) != 0 and target.stat().st_size < path.stat().st_size
    assert before == beside(path).keys() == {"big.db"}
