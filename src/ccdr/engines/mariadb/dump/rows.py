"""Takes the rows of a dump: several clients, all of one instant, and each table's rows counted beside them.

Those of the transactional tables have a snapshot of it, those of the others hold locks on their tables, and one more
holds a snapshot to count rows in. Once all have begun the lock goes, and they read on.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines.mariadb.client import OURS, Login, answers, quote_name, quote_text, read_answers, table
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.lock import Instant, ReadLock
from ccdr.engines.mariadb.objects import Objects, Table
from ccdr.engines.mariadb.origin import lag_of
from ccdr.host.interrupts import threads
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.ports.capture import Tools
from ccdr.ports.place import Output, Place, Progress

LOOK = 0.02  # seconds between two looks whether the clients have begun
QUICK = 8 * 2**20  # bytes; locked tables up to this size have a client of their own, and are let go first
# Columns whose values the client may write as others, each with SQL that is true of such a value: bytes that utf8mb4
# has no character for, or that come back as others; a member '' of an ENUM or a SET, which is written as no member is.
# Of an ENUM any member is looked for by its text, as the load does.
_CHANGING = f"""\
SELECT JSON_ARRAY(table_name, column_name, CONCAT_WS(' OR ',
    IF(charset IN {files.TOLD_AS_IT_IS}, NULL,
       CONCAT(REPLACE('BINARY @ <> BINARY CONVERT(CONVERT(@ USING utf8mb4) USING ', '@', name), charset, ')')),
    IF(empty AND data_type = 'enum', CONCAT(REPLACE('@ + 0 <> FIELD(CONCAT(@), ', '@', name), members), NULL),
    IF(empty AND data_type = 'set', CONCAT(
       REPLACE("FIND_IN_SET('', CONCAT(@)) = 0 AND @ + 0 & (1 << FIELD('', ", '@', name), members, ' - 1)'), NULL)))
  FROM (SELECT *, character_set_name AS charset, CONCAT('`', REPLACE(column_name, '`', '``'), '`') AS name,
      SUBSTRING(column_type, LOCATE('(', column_type) + 1) AS members,
      {files.HAS_AN_EMPTY_MEMBER} AS empty
    FROM information_schema.columns WHERE table_schema = {{db}} AND is_generated = 'NEVER') c
  WHERE charset NOT IN {files.TOLD_AS_IT_IS} OR empty;
"""


@dataclass(frozen=True)
class DumpedRows:
    """What the clients left: rows by table, and every log position that they have named."""

    by_table: dict[str, int]
    positions: frozenset[str]
    changed: dict[str, int]  # by column (`call.note`): how many of its values are in the dump as others


@dataclass(frozen=True)
class RowDump:
    """Of one database, through one place."""

    place: Place
    login: Login
    database: str
    jobs: int
    tools: Tools

    def take(self, into: Path, objects: Objects) -> tuple[Instant, DumpedRows]:
        """Rows of all these tables into the new directory `ROWS`."""
        (into / files.ROWS).mkdir()
        lock = ReadLock(self.place, self.login, self.tools)
        work = into / "work"  # of this attempt alone
        work.mkdir()
        named = files.file_names(t.name for t in objects.with_rows)
        counting, growth = work / "counts", _Growth(into / files.ROWS, self.tools.progress)
        changing = self._changing()  # before the lock: it takes as long as there are columns
        lag = lag_of(table(self.place, self.login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))
        dates = files.dates(
            *answers(self.place, self.login, "SELECT JSON_QUOTE(@@global.sql_mode);", "asking for the SQL mode")
        )
        with threads(2 * self.jobs + 2) as pool:
            try:
                with lock.session() as locker:
                    instant = lock.taken(locker, self._counts(objects.locked), lag)
                    clients = [
                        _Client(
                            work / f"{n}.log",
                            pool.submit(
                                self._dump_share, share, lock, objects.histories, named, work, n, growth, dates
                            ),
                        )
                        for n, (share, lock) in enumerate(self._shares(objects))
                    ]
                    clients.append(
                        _Client(counting, pool.submit(self._count, objects, counting, growth, changing), b"begun")
                    )
                    self._await_begun(clients)
                    lock.release(locker)
                for ended in as_completed([client.future for client in clients]):
                    ended.result()
            finally:
                growth.stop.set()  # whoever still runs when another has failed
        counts, changed = _read_counts(counting)
        rows = self._read_lists(work, named, changed)
        self._compare(rows, instant.counts | counts, into, named)
        shutil.rmtree(work)
        return instant, rows

    def _shares(self, objects: Objects) -> Iterator[tuple[list[str], bool]]:
        """What each client dumps, and whether it locks it. Small locked tables first: a centre's live state is in them,
        and must not wait for its call log."""
        locked = objects.locked
        plain = [t for t in objects.with_rows if t not in locked]
        quick = [t for t in locked if t.bytes <= QUICK]
        large = [t for t in locked if t.bytes > QUICK]
        for share in (*files.shares(quick, 1), *files.shares(large, self.jobs)):
            yield share, True
        for share in files.shares(plain, self.jobs):
            yield share, False

    def _dump_share(
        self,
        share: list[str],
        lock: bool,
        histories: bool,
        named: dict[str, str],
        work: Path,
        number: int,
        growth: _Growth,
        dates: str,
    ) -> Output:
        """One client, parted into files. What it says goes to `NUMBER.log`, what it wrote to `NUMBER.list`."""
        place, wanted = self.place, work / f"{number}.map"
        lines = (files.map_entry(place.path(work.parent / named[t]), t) for t in share)
        wanted.write_text("".join(lines), "utf-8", "surrogateescape")
        argv = files.dump_rows(self.login, self.database, share, lock=lock, histories=histories)
        return place.run(
            ["bash", "-c", files.PIPE, "dump", place.path(work / f"{number}.log"), files.SPLIT, *argv],
            env={"MAP": place.path(wanted), "LIST": place.path(work / f"{number}.list"), "DATES": dates},
            pulse=growth,
            what="mariadb-dump",
        )

    def _counts(self, tables: Sequence[Table]) -> str:
        return "".join(
            f"SELECT JSON_ARRAY({quote_text(t.name)}, COUNT(*)) FROM "
            f"{quote_name(self.database)}.{quote_name(t.name)}{_history(t)};\n"
            for t in tables
        )

    def _changing(self) -> Callable[[Table], str]:
        """SQL that counts the values of a table that the dump holds as others; empty of most tables. Of a table that
        is locked it is true of a moment a little later: nobody waits for this while all are locked."""
        listed = answers(
            self.place, self.login, _CHANGING.format(db=quote_text(self.database)), "looking for values that change"
        )

        def counting(table: Table) -> str:
            sums = [f"{quote_text(c)}, COALESCE(SUM({sql}), 0)" for t, c, sql in listed if t == table.name]
            where = f"{quote_name(self.database)}.{quote_name(table.name)}{_history(table)}"
            asked = f"SELECT JSON_ARRAY({quote_text(table.name)}, JSON_OBJECT({', '.join(sums)})) FROM {where};\n"
            return asked if sums else ""

        return counting

    def _count(self, objects: Objects, to: Path, growth: _Growth, changing: Callable[[Table], str]) -> Output:
        """The rows of every transactional table, in a snapshot of its own: what the dump is compared with. A table is
        let go as soon as it is counted, so that nobody who alters it has to wait."""
        plain = [t for t in objects.with_rows if t not in objects.locked]
        counts = "".join(
            f"SAVEPOINT one;\n{self._counts([t] if t in plain else [])}{changing(t)}ROLLBACK TO SAVEPOINT one;\n"
            for t in objects.with_rows
        )
        sql = (
            f"{OURS}SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;\n"
            f"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY;\nSELECT '\"begun\"';\n{counts}SELECT '\"done\"';\n"
        )
        argv = ["bash", "-c", 'exec "$@" > "$0"', self.place.path(to), *self.login.asking()]
        return self.place.run(argv, stdin=sql, pulse=growth, what="counting rows")

    def _await_begun(self, clients: Sequence[_Client]) -> None:
        """Until each has its snapshot or its locks; the lock is not held for longer than one may wait for it."""
        until = time.monotonic() + max(self.tools.lock_wait, 5.0)
        while waiting := [c for c in clients if not c.begun()]:
            if time.monotonic() > until:
                raise BackupFailed(
                    f"{len(waiting)} of {len(clients)} clients did not begin within {self.tools.lock_wait:g} s,"
                    " and the source is not kept waiting for longer",
                    hint="back up at a quieter time, or use a longer `limits: lock_wait`",
                )
            time.sleep(LOOK)

    def _read_lists(self, work: Path, named: dict[str, str], changed: dict[str, int]) -> DumpedRows:
        prefix = f"{self.place.path(work.parent)}/"
        tables = {file: table for table, file in named.items()}
        by_table: dict[str, int] = {}
        positions = set()
        for listed in work.glob("*.list"):
            rows, position = files.read_list(listed.read_text("utf-8", "surrogateescape"))
            by_table |= {tables[name.removeprefix(prefix)]: count for name, count in rows.items()}
            positions |= {position} if position else set()
        for log in work.glob("*.log"):
            if troubles := files.troubles(FreeText(log.read_bytes().decode("utf-8", "replace")), named):
                raise CommandFailed(["mariadb-dump"], 0, troubles)
        return DumpedRows(by_table, frozenset(positions), changed)

    def _compare(self, rows: DumpedRows, counts: dict[str, int], into: Path, named: dict[str, str]) -> None:
        """Every table is there, to its end, with as many rows as the server counts in it."""
        for name, file in named.items():
            if name not in rows.by_table:
                raise CommandFailed(["mariadb-dump"], 0, f"table {name} doesn't exist in what it wrote")
            files.check_whole(into / file, "mariadb-dump")
            if rows.by_table[name] != counts[name]:
                raise BackupFailed(
                    f"the dump holds {rows.by_table[name]} rows of {name}, where the server counts {counts[name]}",
                    hint="mariadb-dump obeys a limit that is set for everybody (SELECT @@global.sql_select_limit); "
                    "where none is, CHECK TABLE … EXTENDED at the source tells whether its indexes agree",
                )


@dataclass(frozen=True)
class _Growth:
    """The sign of progress of every client: what all of them have written. Whoever asks after `stop` is stopped."""

    directory: Path
    progress: Progress
    stop: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> int:
        if self.stop.is_set():
            raise CommandFailed(["mariadb-dump"], -15, "it was stopped, since another has failed")
        size = sum(entry.stat().st_size for entry in os.scandir(self.directory))
        self.progress.amount(size, None)
        return size


@dataclass(frozen=True)
class _Client:
    """A program that was started under the lock. `sign` is what `says` holds once it has begun."""

    says: Path
    future: Future[Output]
    sign: bytes = files.BEGUN

    def begun(self) -> bool:
        """Raises what the program failed with, if it has."""
        with contextlib.suppress(FileNotFoundError):
            if self.sign in self.says.read_bytes():
                return True
        if self.future.done():
            self.future.result()
            return self.sign in self.says.read_bytes()
        return False


def _history(table: Table) -> str:
    return " FOR SYSTEM_TIME ALL" if table.type == "SYSTEM VERSIONED" else ""


def _read_counts(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Rows by table; values that the dump changes by column, where there are such."""
    told = read_answers(path.read_text("utf-8", "surrogateescape"))
    if told[-1:] != ["done"]:
        raise CommandFailed(["mariadb"], 0, "it ended before every table was counted", what="counting rows")
    changed = {f"{t}.{c}": int(n) for t, of in told[1:-1] if isinstance(of, dict) for c, n in of.items() if n}
    return {name: int(count) for name, count in told[1:-1] if not isinstance(count, dict)}, changed
