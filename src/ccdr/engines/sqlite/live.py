"""Run on the source's host (`python3 -I -c`), never imported by ccdr for its functions: looks at a live database,
surveys it, or copies it.

SQLite's own backup copies page by page, inside C, while one read transaction is held: in WAL mode its writers go on,
else they wait. Nothing is left behind that was not there, and nothing is written to the source but what every reader
must write. The request is JSON on standard input, the answer one line of JSON. Python 3.11, its standard library only.
"""

import contextlib
import json
import os
import re
import signal
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

STEP = 4096  # pages copied at a time; in between, a wish to end it is noticed
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
# Those of SQLite itself are no data.
OWN_TABLES = "from sqlite_master where type = 'table' and substr(name, 1, 7) <> 'sqlite_'"
# Seconds for one question of a survey, and for all of them: its application may be waiting.
PATIENCE, BUDGET = 0.5, 5.0
TABLES = 60  # so many are looked at closely
TICK = 0.05  # seconds: what is written from then on bears another time
PAUSE = 0.02  # seconds between two attempts to be let in
STILL = 1.0  # seconds in which nobody touches what a crash has left
# A journal of a transaction over several databases ends so: the name of the file that decides whether it was committed,
# the name's length, its sum, and this (SQLite's file format, 3).
JOURNAL_END = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
KINDS = {
    sqlite3.SQLITE_NOTADB: "not a database",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_CANTOPEN: "cannot open",
    sqlite3.SQLITE_PERM: "cannot open",
    sqlite3.SQLITE_READONLY: "cannot write",
    sqlite3.SQLITE_FULL: "full",
    **dict.fromkeys(BUSY, "locked"),
}


class CannotCopy(Exception):
    """Why there is no answer: a word for ccdr."""


def connect(path: str, how: str) -> sqlite3.Connection:
    name = f"file:{quote(os.fsencode(path))}?{how}"
    return sqlite3.connect(name, uri=True, isolation_level=None, timeout=0)


def reading(path: str, how: str, deadline: float) -> tuple[sqlite3.Connection, float]:
    """A connection with a read transaction, and when that began: what it shows is true for that instant."""
    while True:
        source = connect(path, how)
        began = time.monotonic()
        try:
            source.execute("begin")
            source.execute("select count(*) from sqlite_master").fetchone()
            return source, began
        except sqlite3.OperationalError as error:
            source.close()
            if error.sqlite_errorcode & 0xFF not in BUSY or time.monotonic() >= deadline:
                raise
        except BaseException:
            source.close()
            raise
        time.sleep(PAUSE)


def in_wal_mode(path: str) -> bool:
    """By the file's header. Never once it is open: closing a file gives up all locks that the process has on it."""
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read(20)[18:] == b"\2\2"


def state(path: str) -> tuple[object, ...]:
    """What no writer leaves as it was."""
    s = os.stat(path)  # noqa: PTH116
    beside = [os.path.lexists(path + end) for end in ("-wal", "-journal")]
    return (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, *beside)


def written(path: str, before: os.stat_result) -> bool:
    """Was that very file written to since? One that has taken its place meanwhile tells nothing of it."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return False
    same = (status.st_dev, status.st_ino) == (before.st_dev, before.st_ino)
    return same and (status.st_size, status.st_mtime_ns) != (before.st_size, before.st_mtime_ns)


def stands_still(path: str) -> bool:
    """Does nobody touch the database and its journal for a while?"""

    def seen() -> "list[tuple[int, ...]]":
        states = (os.stat(path + end) for end in ("", "-journal"))  # noqa: PTH116
        return [(s.st_ino, s.st_size, s.st_mtime_ns) for s in states]

    try:
        before = seen()
        time.sleep(STILL)
        return seen() == before
    except FileNotFoundError:  # its transaction has ended, or somebody else has rolled it back
        return False


def decided_elsewhere(path: str) -> bool:
    """Does a journal belong to a transaction over several databases, of which the first one is not here under the name
    that its application has for it (a container's, say)? Then nobody here can tell whether it was committed; SQLite
    takes it for committed, and removes the journal."""
    with contextlib.suppress(FileNotFoundError), open(path + "-journal", "rb") as file:  # noqa: PTH123
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 16))
        length, _, end = struct.unpack(">II8s", file.read(16).rjust(16, b"\0"))
        if end == JOURNAL_END and 0 < length <= size - 16:
            file.seek(size - 16 - length)
            decides = os.fsdecode(file.read(length))
            return not os.path.lexists(decides.rpartition("-mj")[0])
    return False


def rolled_back(path: str, how: str, deadline: float, notes: list[str]) -> tuple[sqlite3.Connection, float]:
    """As `reading`, what a crash has left half done rolled back first. A journal that somebody is at work on is none
    that a crash has left, though no lock guards it: rolled back under its writer, the database itself would be torn."""
    while True:
        try:
            return reading(path, how, deadline)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        if decided_elsewhere(path):
            raise CannotCopy("of several")
        if stands_still(path):
            connected = reading(path, "mode=rw", deadline)
            notes.append("what a crashed program had left half done was rolled back, as any reader must")
            return connected
        if time.monotonic() >= deadline:
            raise CannotCopy("unlocked")


@contextlib.contextmanager
def undisturbed(path: str, deadline: float) -> Iterator[tuple[sqlite3.Connection, float]]:
    """Read without any lock, where a lock would need files beside the database that we may not make, or that its
    application could then not write. Nobody has it open; if that changes meanwhile, the copy does not count."""
    time.sleep(TICK)
    before = state(path)
    source, began = reading(path, "mode=ro&immutable=1", deadline)
    with contextlib.closing(source):
        yield source, began
    if state(path) != before:
        raise CannotCopy("written")


@contextlib.contextmanager
def opened(path: str, deadline: float, notes: list[str]) -> Iterator[tuple[sqlite3.Connection, float]]:
    """A read transaction on the source, in whichever way leaves the least behind."""
    wal = in_wal_mode(path)
    ours = os.geteuid() in (0, os.stat(path).st_uid)  # noqa: PTH116 - what root makes is given to the file's owner
    idle = wal and not os.path.lexists(path + "-wal")  # nobody has it open, or nobody has read or written yet
    if idle and not ours:
        with undisturbed(path, deadline) as connected:
            yield connected
        return
    if wal and not idle and not ours and not os.path.lexists(path + "-shm"):
        raise CannotCopy("orphan")
    try:
        # Of readers that made -wal and -shm, only one that may write removes them; one that may not never touches
        # what a crash has left in them.
        source, began = rolled_back(path, "mode=rw" if idle else "mode=ro", deadline, notes)
    except sqlite3.OperationalError as error:
        if not idle or error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN:
            raise
        with undisturbed(path, deadline) as connected:
            yield connected
        return
    with contextlib.closing(source):
        before = os.stat(path)  # noqa: PTH116
        yield source, began
        # In WAL mode others write meanwhile, and we see none of it; in any other our lock keeps out all who see it.
        if not wal and written(path, before):
            raise CannotCopy("unlocked")


# --- a survey, for whoever writes a first plan ------------------------------------------------------------------


def survey(source: sqlite3.Connection, small: int, window: int, times_in: str) -> list[dict[str, Any]]:
    """Of each table its rows, and of its columns named like `times_in` the newest value and on which of the last
    `window` days, counted back from now, there was one. What takes too long is left out: every question has a limit."""
    until, end = 0.0, time.monotonic() + BUDGET

    def asked(sql: str) -> "list[tuple[Any, ...]] | None":
        nonlocal until
        until = min(time.monotonic() + PATIENCE, end)
        try:
            return source.execute(sql).fetchall()
        except sqlite3.Error:
            return None

    source.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    virtual = tuple(f"{name}_" for (name,) in asked(f"select name {OWN_TABLES} and rootpage = 0") or ())
    tables: list[dict[str, Any]] = []
    for (name,) in asked(f"select name {OWN_TABLES} and rootpage > 0") or ():
        if name.startswith(virtual) or len(tables) == TABLES:  # what a virtual table keeps is its own business
            continue
        table = sql_name(name)
        counted = asked(f"select count(*) from (select 1 from {table} limit {small + 1})")
        exact = counted is not None and counted[0][0] <= small
        rows = counted if exact else asked(f"select max(rowid) from {table}") or counted
        times = [
            newest(asked, table, sql_name(column), window)
            for _, column, kind, *_ in asked(f"pragma table_info({table})") or ()
            if re.search(times_in, column, re.IGNORECASE) or re.search("date|time", kind, re.IGNORECASE)
        ]
        tables.append(
            {"table": table, "rows": rows[0][0] if rows else 0, "exact": exact, "times": [t for t in times if t]}
        )
    return tables


def sql_name(name: str) -> str:
    """As SQL wants it; any word may be one of SQL's own."""
    if re.fullmatch("[a-z_][a-z0-9_]*", name, re.ASCII | re.IGNORECASE):
        with contextlib.closing(sqlite3.connect(":memory:")) as con, contextlib.suppress(sqlite3.Error):
            con.execute(f"create table {name} ({name})")
            return name
    return '"' + name.replace('"', '""') + '"'


def newest(asked: Any, table: str, column: str, window: int) -> "dict[str, Any] | None":
    """The column's largest value, and the days before today that have one; by Julian days, whatever its unit."""
    rows = asked(f"select max({column}) from {table}")
    if not rows or rows[0][0] is None or isinstance(rows[0][0], bytes):
        return None
    value = rows[0][0]
    day = f"julianday({column})"
    with contextlib.suppress(ValueError):
        number, of_each = float(value), f"cast({column} as real)"  # a column for text makes text of numbers too
        scale = next((n for n in (1, 1e3, 1e6, 1e9) if abs(number) < 253402300800 * n), 1e9)
        day = of_each if 0 <= number < 5373484.5 else f"({of_each} / {86400 * scale} + 2440587.5)"
    recent = f"{day} between julianday('now') - {window} and julianday('now') + 1"
    days = asked(
        f"select distinct cast(max(0, julianday('now') - {day}) as int) from {table} where {recent} order by 1"
    )
    return {"column": column, "value": str(value), "days": [day for (day,) in days]} if days else None


def work(path: str, target: "str | None", wait: float, wanted: "dict[str, Any] | None") -> dict[str, Any]:
    started, notes = time.monotonic(), list[str]()
    with opened(path, started + wait, notes) as (source, began):
        (tables,) = source.execute(f"select count(*) {OWN_TABLES}").fetchone()
        surveyed = None if wanted is None else survey(source, **wanted)
        if target is not None:
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as made:
                made.execute("pragma journal_mode = off")
                made.execute("pragma synchronous = off")
                source.backup(made, pages=STEP, progress=lambda *_: None)  # in which Python notices a signal
    # `began` is when the copy is true for, in seconds since this program started.
    return {
        "sqlite": sqlite3.sqlite_version, "tables": tables, "began": began - started, "notes": notes, "survey": surveyed
    }  # fmt: skip


def main() -> None:
    # Python's own end runs what closes the database, and so removes what was made beside it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asked = json.load(sys.stdin)
    answer: dict[str, Any]
    try:
        answer = work(asked["source"], asked["target"], asked["wait"], asked.get("survey"))
    except CannotCopy as error:
        answer = {"refused": str(error), "said": ""}
    except sqlite3.Error as error:
        answer = {"refused": KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "failed"), "said": str(error)}
    except OSError as error:
        answer = {"refused": "cannot open", "said": error.strerror}
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    main()
