"""Run on the source's host (`python3 -I -c`), never imported by ccdr for its functions: looks at a live database, or
copies it.

SQLite's own backup copies page by page, inside C, while one read transaction is held: in WAL mode its writers go on,
else they wait. Nothing is left behind that was not there, and nothing is written to the source but what every reader
must write. The request is JSON on standard input, the answer one line of JSON. Python 3.11, its standard library only.
"""

import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

STEP = 4096  # pages copied at a time; in between, a wish to end it is noticed
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}
# Those of SQLite itself are no data.
OWN_TABLES = "select count(*) from sqlite_master where type = 'table' and substr(name, 1, 7) <> 'sqlite_'"
TICK = 0.05  # seconds: what is written from then on bears another time
PAUSE = 0.02  # seconds between two attempts to be let in
KINDS = {
    sqlite3.SQLITE_NOTADB: "not a database",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_CANTOPEN: "cannot open",
    sqlite3.SQLITE_PERM: "cannot open",
    sqlite3.SQLITE_READONLY: "cannot write",
    sqlite3.SQLITE_FULL: "full",
    **dict.fromkeys(BUSY, "locked"),
}


class Refused(Exception):
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
        raise Refused("written")


@contextlib.contextmanager
def opened(path: str, deadline: float, notes: list[str]) -> Iterator[tuple[sqlite3.Connection, float]]:
    """A read transaction on the source, in whichever way leaves the least behind."""
    wal = in_wal_mode(path)
    ours = os.geteuid() in (0, os.stat(path).st_uid)  # noqa: PTH116 - what root makes is given to the file's owner
    idle = wal and not os.path.lexists(path + "-wal")  # nobody has it open, or nobody has read or written yet
    if idle and not ours:
        with undisturbed(path, deadline) as found:
            yield found
        return
    if wal and not idle and not ours and not os.path.lexists(path + "-shm"):
        raise Refused("orphan")
    try:
        # Of readers that made -wal and -shm, only one that may write removes them; one that may not never touches
        # what a crash has left in them.
        source, began = reading(path, "mode=rw" if idle else "mode=ro", deadline)
    except sqlite3.OperationalError as error:
        if idle and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_CANTOPEN:
            with undisturbed(path, deadline) as found:
                yield found
            return
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        source, began = reading(path, "mode=rw", deadline)
        notes.append("what a crashed program had left half done was rolled back, as any reader must")
    with contextlib.closing(source):
        yield source, began


def work(path: str, target: "str | None", wait: float) -> dict[str, Any]:
    started, notes = time.monotonic(), list[str]()
    with opened(path, started + wait, notes) as (source, began):
        (tables,) = source.execute(OWN_TABLES).fetchone()
        if target is not None:
            with contextlib.closing(sqlite3.connect(target, isolation_level=None)) as made:
                made.execute("pragma journal_mode = off")
                made.execute("pragma synchronous = off")
                source.backup(made, pages=STEP, progress=lambda *_: None)  # in which Python notices a signal
    # `began` is when the copy is true for, in seconds since this program started.
    return {"sqlite": sqlite3.sqlite_version, "tables": tables, "began": began - started, "notes": notes}


def main() -> None:
    # Python's own end runs what closes the database, and so removes what was made beside it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    asked = json.load(sys.stdin)
    told: dict[str, Any]
    try:
        told = work(asked["source"], asked["target"], asked["wait"])
    except Refused as error:
        told = {"refused": str(error), "said": ""}
    except sqlite3.Error as error:
        told = {"refused": KINDS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "failed"), "said": str(error)}
    except OSError as error:
        told = {"refused": "cannot open", "said": error.strerror}
    print(json.dumps(told))  # noqa: T201


if __name__ == "__main__":
    main()
