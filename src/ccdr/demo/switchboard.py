"""The switchboard: its call detail records in SQLite, which it has open, and its configuration in files."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CALLS, NEW_CALLS = 20_000, 300
CALLER = "+999610000042"  # somebody who called once, and asks to be erased
NOBODY = "+999600000000"  # a canary: nobody has this number, and nobody dials it
AGE_S = 300.0  # seconds: nobody is writing these files
_SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA foreign_keys = ON;
CREATE TABLE trunk (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, channels INTEGER NOT NULL CHECK (channels > 0));
CREATE TABLE cdr (
    id INTEGER PRIMARY KEY AUTOINCREMENT, started_at TEXT NOT NULL, src TEXT NOT NULL, dst TEXT NOT NULL, channel TEXT,
    trunk_id INTEGER NOT NULL REFERENCES trunk (id), duration INTEGER NOT NULL, billsec INTEGER NOT NULL,
    disposition TEXT NOT NULL, uniqueid TEXT NOT NULL UNIQUE, CHECK (billsec <= duration));
CREATE INDEX cdr_by_time ON cdr (started_at);
CREATE VIEW answered AS SELECT * FROM cdr WHERE disposition = 'ANSWERED';
CREATE TABLE last_change (id INTEGER PRIMARY KEY CHECK (id = 1), at TEXT);
CREATE TRIGGER cdr_told AFTER INSERT ON cdr BEGIN INSERT OR REPLACE INTO last_change VALUES (1, NEW.started_at); END;
INSERT INTO trunk (name, channels) VALUES ('sip-north', 120), ('sip-south', 60), ('isdn', 30);
"""
_CANARY = """
INSERT INTO cdr (started_at, src, dst, trunk_id, duration, billsec, disposition, uniqueid)
VALUES ('2026-01-01T00:00:00.000Z', ?, '100', 1, 1, 1, 'ANSWERED', 'canary')
"""
# One a minute up to now, after those that there are.
_RECORDS = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count),
     so_far (calls) AS (SELECT count(*) FROM cdr)
INSERT INTO cdr (started_at, src, dst, channel, trunk_id, duration, billsec, disposition, uniqueid)
SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (i - :count) || ' minutes'), '+9996' || (10000000 + calls + i),
       100 + i % 60, 'SIP/north-' || printf('%08x', calls + i), 1 + i % 3, 5 + i % 600, i % 600 * (i % 4 > 0),
       CASE WHEN i % 4 > 0 THEN 'ANSWERED' ELSE 'NO ANSWER' END, 'pbx-' || (calls + i)
FROM n, so_far ORDER BY i
"""


@dataclass
class Switchboard:
    """`cdr` (a database file) and `configuration` (a directory) are what a plan backs up."""

    directory: Path
    _database: sqlite3.Connection = field(init=False)

    @property
    def cdr(self) -> Path:
        return self.directory / "cdr.sqlite3"

    @property
    def configuration(self) -> Path:
        return self.directory / "configuration"

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """It has recorded `CALLS` calls and is configured; its database stays open."""
        _configure(self.configuration)
        with contextlib.closing(sqlite3.connect(self.cdr, check_same_thread=False)) as self._database:
            self._database.executescript(_SCHEMA)
            with self._database:
                self._database.execute(_CANARY, (NOBODY,))
            self._write(CALLS)
            yield

    def carry_on(self) -> None:
        """More calls; one more queue, and one trunk's settings changed."""
        self._write(NEW_CALLS)
        _written(self.configuration / "queues.d" / "retention.conf", "[retention]\nstrategy = rrmemory\nmaxlen = 40\n")
        _written(self.configuration / "trunks.d" / "sip-north.conf", "[sip-north]\nchannels = 150\n", 0o640)

    def erase(self, caller: str) -> None:
        """Somebody asked for it, and the switchboard's owner does so."""
        with self._database:
            self._database.execute("DELETE FROM cdr WHERE src = ?", (caller,))

    def _write(self, calls: int) -> None:
        with self._database:
            self._database.execute(_RECORDS, {"count": calls})


def _configure(root: Path) -> None:
    """A tree as `/etc/asterisk` has it: dozens of small files, some that hold secrets, a program, a link."""
    for name in ("sip-north", "sip-south", "isdn"):
        text = f"[{name}]\nchannels = 120\nsecret = sample-{name}\n"
        _written(root / "trunks.d" / f"{name}.conf", text, 0o640)
    for name in ("sales", "support", "complaints", "collections"):
        _written(root / "queues.d" / f"{name}.conf", f"[{name}]\nstrategy = leastrecent\nmaxlen = 40\n")
    for seat in range(100, 160):
        _written(root / "seats.d" / f"{seat}.conf", f"[{seat}]\ncontext = agents\nmailbox = {seat}@default\n", 0o640)
    _written(root / "extensions.conf", "[inbound]\nexten => _X.,1,AGI(route.sh)\n same => n,Queue(${QUEUE})\n")
    _written(root / "route.sh", '#!/bin/sh\necho "SET VARIABLE QUEUE sales"\n', 0o750)
    _written(root / "0000-do-not-touch.conf", "; a canary: whatever changes this file has no business here\n")
    (root / "default-queue.conf").symlink_to("queues.d/sales.conf")


def _written(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(mode)
    then = time.time() - AGE_S
    os.utime(path, (then, then))
