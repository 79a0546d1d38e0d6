"""SQLite: a live database is copied as of one instant, and whoever writes is not hindered."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.harness import ask_sqlite, eventually, in_background
from tests.support.sqlite_source import captured, child, refused

from ccdr.engines.sqlite import live
from ccdr.model.errors import BackupFailed

WRITER = """
import sqlite3, sys, time
con = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
con.execute("pragma synchronous = off")
print("ready", flush=True)
n = 0
with open(sys.argv[2], "a") as acknowledged:
    while True:
        n += 1
        con.execute("begin immediate")
        con.execute("update account set balance = balance - 1 where id = 1 + ? % 50", (n,))
        con.execute("insert into done values (?, ?)", (n, "x" * (n % 3000)))
        con.execute("update account set balance = balance + 1 where id = 51 + ? % 50", (n,))
        con.execute("commit")
        acknowledged.write(f"{n} {time.time()}\\n")
        acknowledged.flush()
"""


@pytest.mark.parametrize("mode", ["wal", "delete", "truncate"])
def test_a_busy_writer_neither_tears_the_copy_nor_is_hindered(tmp_path: Path, mode: str) -> None:
    """Every copy is one instant's: the balances' sum never changes, and all that was acknowledged before the
    consistent point is in it."""
    path, log = tmp_path / "busy.db", tmp_path / "acknowledged"
    ask_sqlite(path, f"pragma journal_mode = {mode}; create table account (id integer primary key, balance int);"
               "create table done (n integer primary key, filler text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 100)"
               " select g, 1000 from n")  # fmt: skip
    writer = child(WRITER, path, log)
    try:
        assert eventually(lambda: log.exists() and log.stat().st_size > 5000)
        for n in range(4):
            done = captured(path, tmp_path / f"copy{n}", lock_wait=30)
            found = ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "select sum(balance) from account")[0][0]
            assert found == 100_000
            newest = ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "select max(n) from done")[0][0]
            before = [line.split() for line in log.read_text().splitlines()[:-1]]
            point = done.consistent_point.timestamp()
            assert newest >= max(int(number) for number, at in before if float(at) < point)
            assert ask_sqlite(tmp_path / f"copy{n}" / "busy.db", "pragma integrity_check") == [("ok",)]
        count = log.stat().st_size
        assert eventually(lambda: log.stat().st_size > count), "it goes on writing"
    finally:
        writer.kill()
        writer.wait()
    assert ask_sqlite(path, "pragma integrity_check") == [("ok",)]


UNHEARD = """
import sqlite3, sys
con = sqlite3.connect(f"file:{sys.argv[1]}?{sys.argv[2]}", uri=True, isolation_level=None, timeout=30)
con.execute(f"pragma journal_mode = {sys.argv[3]}")
con.execute("pragma cache_size = 20")
n = 0
while True:
    con.execute("begin immediate")
    for _ in range(int(sys.argv[4])):
        n += 1
        con.execute("update account set balance = balance - 1 where id = 1 + ? % 5000", (n * 7919,))
        con.execute("update account set balance = balance + 1 where id = 5001 + ? % 5000", (n * 7907,))
    con.execute("commit")
    if n == int(sys.argv[4]):  # the first time: from now on it writes, whenever it has a processor
        print("ready", flush=True)
"""


@pytest.mark.parametrize("how", ["nolock=1", "vfs=unix-dotfile", "mode=rw"])
def test_a_writer_whose_locks_nobody_sees_is_a_failed_backup(tmp_path: Path, how: str) -> None:
    """As one on another machine is, or in a virtual one: its pages are of several instants, and each is sound. The
    last one's are seen, and it waits. On a busy machine a writer may come to nothing while it is copied: such a copy is
    a good one, and the next is taken."""
    path = tmp_path / "busy.db"
    ask_sqlite(path, "pragma synchronous = off; create table account (id integer primary key, balance int, name text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 10000)"
               " select g, 1000, hex(randomblob(1500)) from n")  # fmt: skip
    writer = child(UNHEARD, path, how, "memory", 1)
    try:
        for n in range(20) if how != "mode=rw" else ():
            try:
                captured(path, tmp_path / f"into{n}")
            except BackupFailed as error:
                assert "that no lock of this host keeps out" in str(error) and "nolock" in str(error.hint)
                return
            assert writer.poll() is None, "it writes on"
            assert ask_sqlite(tmp_path / f"into{n}" / "busy.db", "select sum(balance) from account") == [(10_000_000,)]
        assert how == "mode=rw", "it was copied twenty times, and nobody has written meanwhile"
        captured(path, tmp_path / "into", lock_wait=30)
    finally:
        writer.kill()
        writer.wait()
    assert ask_sqlite(tmp_path / "into" / "busy.db", "select sum(balance) from account") == [(10_000_000,)]


def test_a_journal_that_is_written_is_no_crashs_whatever_lock_is_missing(tmp_path: Path) -> None:
    """Rolled back under its writer, the database itself would be torn, and the copy with it."""
    path = tmp_path / "busy.db"
    ask_sqlite(path, "create table account (id integer primary key, balance int, name text);"
               "insert into account with recursive n(g) as (select 1 union all select g + 1 from n where g < 10000)"
               " select g, 1000, hex(randomblob(100)) from n")  # fmt: skip
    writer, notes = child(UNHEARD, path, "nolock=1", "delete", 300), []
    try:
        for n in range(6):
            with contextlib.suppress(BackupFailed):
                notes += captured(path, tmp_path / f"into{n}", lock_wait=0.5).notes
        assert writer.poll() is None, "it writes on"
    finally:
        writer.kill()
        writer.wait()
    assert notes == [], "nothing was rolled back"
    assert ask_sqlite(path, "pragma integrity_check") == [("ok",)]
    assert ask_sqlite(path, "select sum(balance) from account") == [(10_000_000,)]


def test_a_database_that_is_replaced_while_it_is_copied_is_copied_as_it_was(database: Path) -> None:
    ask_sqlite(database, "pragma journal_mode = delete")
    with live.opened(str(database), time.monotonic() + 1, []) as (source, _):
        shutil.copyfile(database, database.with_name("new"))
        database.with_name("new").replace(database)
        ask_sqlite(database, "delete from call")
        assert source.execute("select count(*) from call").fetchone() == (3000,)


HOLDER = """
import sqlite3, sys
con = sqlite3.connect(sys.argv[1], isolation_level=None)
con.execute(sys.argv[2]); con.execute(sys.argv[3])
con.execute("update call set seconds = 1 where id = 1")
print("ready", flush=True)
sys.stdin.readline()
con.execute("commit")
"""
LOCKS = {
    "a transaction that never ends": ("pragma journal_mode = delete", "begin exclusive"),
    "an application that lets nobody in": ("pragma locking_mode = exclusive", "begin"),
}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_that_is_never_released_is_a_failed_backup(database: Path, tmp_path: Path, name: str) -> None:
    holder = child(HOLDER, database, *LOCKS[name])
    try:
        error = refused(database, tmp_path / "into")
        assert "is locked, and no reader was let in " in str(error) and "lock_wait" in str(error.hint)
    finally:
        holder.kill()
        holder.wait()


def test_a_lock_that_is_released_in_time_is_waited_for(database: Path, tmp_path: Path) -> None:
    """The twin: what was committed meanwhile is in the copy."""
    holder = child(HOLDER, database, *LOCKS["a transaction that never ends"])
    released = in_background(lambda: (time.sleep(0.5), holder.communicate("\n")))  # type: ignore[arg-type, return-value]
    captured(database, tmp_path / "into", lock_wait=60)
    assert ask_sqlite(tmp_path / "into" / "cdr.sqlite3", "select seconds from call where id = 1") == [(1,)]
    released.join(30)


def test_the_time_of_waiting_is_not_the_age_of_the_data(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock is released once the reader has begun to wait: what it reads is true for an instant after that."""
    holder = child(HOLDER, database, *LOCKS["a transaction that never ends"])
    released: list[float] = []

    def sleep(_: float) -> None:
        holder.communicate("\n")
        released.append(time.monotonic())

    monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    source, began = live.reading(str(database), "mode=ro", time.monotonic() + 60)
    with contextlib.closing(source):
        assert len(released) == 1 and began >= released[0]
        assert source.execute("select seconds from call where id = 1").fetchone() == (1,)
