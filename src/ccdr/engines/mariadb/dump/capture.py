"""Takes the dump, where all of it can be dumped truly, and what goes beside it: rows by several clients, all true for
one instant that a lock gives.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb import accounts, variables
from ccdr.engines.mariadb.binlog import lag_of, prepared_notes
from ccdr.engines.mariadb.client import (
    OURS,
    Login,
    answers,
    ask,
    client_version,
    foreign_characters,
    quote_name,
    quote_text,
    read_answers,
    table,
    text_of,
)
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.inventory import Objects, Table, as_recorded, broken_views, facts_of, objects_of
from ccdr.host.interrupts import threads
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.model.values import so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Output, Place, Progress, Session

# Whether there is something to dump, and all of it can be dumped truly: asked before each attempt, and by `ccdr
# doctor`.


def require_characters(place: Place, login: Login) -> None:
    """BackupFailed where the server has mariadb-dump write other characters than there are."""
    if foreign := foreign_characters(place, login):
        raise BackupFailed(
            f"the server makes a session of this user {foreign}, in place of utf8mb4: a dump would hold `?` for "
            "characters that this lacks",
            hint="init_connect does it: SET NAMES utf8mb4 there, or GRANT CONNECTION ADMIN ON *.* TO this user, for "
            "whom it does not run; or skip-character-set-client-handshake does: start the server without that",
        )


def require_leavable(objects: Objects, leave_out: Collection[str]) -> None:
    """BackupFailed where the plan would leave out rows: of a view there is nothing but its definition."""
    if tables := sorted({t.name for t in objects.tables} & set(leave_out)):
        raise BackupFailed(
            f"leave_out names what is no view: {', '.join(tables[:5])}",
            hint="leave a table in: its rows would be in no backup",
        )


def require_working(place: Place, login: Login, database: str, objects: Objects) -> None:
    """BackupFailed where a view does not work: mariadb-dump stops at it."""
    if not objects.views:
        return
    if broken := [name for name in broken_views(place, login, database) if name in objects.views]:
        many = "a view does" if len(broken) == 1 else f"{len(broken)} views do"
        raise BackupFailed(
            f"{many} not work: {', '.join(broken[:5])}; what it reads is gone, or its definer or this"
            " user may not read it",
            hint="mend or drop it at the source (or GRANT what this user lacks of another database); or name it in the "
            "asset's `leave_out:`, and it is in no backup",
        )


def require_capturable(objects: Objects, database: str, *, lock: bool) -> None:
    """BackupFailed where there is nothing to capture, or something that cannot be captured truly. `lock`: may tables
    be locked while they are dumped?"""
    if objects.nothing:
        raise BackupFailed(
            f"{database} holds nothing, and an empty dump is no backup",
            hint="is it the right database, and may the user see what is in it?",
        )
    if objects.unreadable:
        raise BackupFailed(
            f"not every table can be captured: {'; '.join(objects.unreadable[:5])}",
            hint="mend or drop what cannot be opened; a table of another engine holds its rows elsewhere",
        )
    if objects.locked and not lock:
        named = ", ".join(f"{t.name} ({t.engine})" for t in objects.locked[:5])
        count = so_many(len(objects.locked), "table is", "tables are")
        raise BackupFailed(
            f"{count} not transactional, and would be torn without a lock: {named}",
            hint="`non_transactional: lock` locks them while they are dumped; or ALTER TABLE … ENGINE=InnoDB",
        )


# The instant of a dump. A session holds FLUSH TABLES WITH READ LOCK for as long as it takes until every client has
# begun: while it does, nothing commits and nothing is written, so all of them see one state.

PATIENCE = 30.0  # seconds that the session may take to answer, beside what it waits for
_NO_LOCK = re.compile(
    r"ERROR (?:1205|1969)\b|Lock wait timeout exceeded|max_statement_time exceeded|maximum statement execution time"
)


@dataclass(frozen=True)
class Instant:
    """What was true, and seen, while the lock was held. `lag` is what a replica was behind, in seconds."""

    point: datetime
    skew: float
    binlog: dict[str, Any] | None
    lag: float | None
    counts: dict[str, int]  # rows of the tables that are dumped under a lock


@dataclass(frozen=True)
class ReadLock:
    """Of one server."""

    place: Place
    login: Login
    tools: Tools

    @contextlib.contextmanager
    def session(self) -> Iterator[Session]:
        """The one that is to hold it."""
        with self.place.session(self.login.asking()) as session:
            wait = max(1, ceil(self.tools.lock_wait))
            # Whatever becomes of us: the server ends a session that says nothing, and so its lock.
            gone = int(2 * wait + PATIENCE)
            _ask(session, f"{OURS} SET SESSION lock_wait_timeout={wait}, wait_timeout={gone};")
            yield session

    def taken(self, session: Session, counts: str, lag: float | None) -> Instant:
        """Have the lock, and look at what is true while it is held; `counts` is SQL that counts rows."""
        wait, clock = self.tools.lock_wait, self.tools.clock
        try:
            ask(session, "FLUSH TABLES WITH READ LOCK;", patience=wait + PATIENCE)
        except CommandFailed as error:
            if error.stalled or error.stderr.search(_NO_LOCK):
                raise BackupFailed(
                    f"ccdr got no read lock within {wait:g} s{self._in_the_way()}",
                    hint="back up at another time, end what is in the way, or use a longer `limits: lock_wait`",
                ) from None
            raise
        before = clock.now()
        source_clock = float(_ask(session, "SELECT UNIX_TIMESTAMP(NOW(6));"))
        after = clock.now()
        point = before if lag is None else before - timedelta(seconds=lag)
        counted = read_answers(_ask(session, counts))
        return Instant(
            point, skew(before, after, source_clock), _binlog(session), lag, {name: int(n) for name, n in counted}
        )

    def release(self, session: Session) -> None:
        """Leaving the session releases it too; this way it is known to be."""
        _ask(session, "UNLOCK TABLES;")

    def _in_the_way(self) -> str:
        """Statements that have run for about as long as we have waited: who, never what."""
        sql = f"""SELECT JSON_ARRAY(id, user, time) FROM information_schema.processlist
          WHERE command NOT IN ('Sleep', 'Daemon', 'Binlog Dump') AND time >= {int(self.tools.lock_wait)}
            AND user NOT IN ('system user', 'event_scheduler') AND id <> CONNECTION_ID() ORDER BY time DESC LIMIT 3;"""
        with contextlib.suppress(CommandFailed):
            connections = answers(self.place, self.login, sql, "looking for what is in the way")
            if connections:
                return ": in its way may be " + ", ".join(
                    f"connection {i} of {u}, for {t} s" for i, u, t in connections
                )
        return ""


def _ask(session: Session, sql: str) -> str:
    return ask(session, sql, patience=PATIENCE)


def _binlog(session: Session) -> dict[str, Any] | None:
    """Where the binary log stands: what is in it from here on is not in the dump. None where nothing is logged."""
    status = _ask(session, "SHOW MASTER STATUS;").strip()
    if not status:
        return None
    file, position = status.split("\t")[:2]
    return {"file": file, "position": int(position), "gtid": _ask(session, "SELECT @@global.gtid_binlog_pos;").strip()}


# Takes the rows of a dump: several clients, all of one instant, and each table's rows counted beside them.
#
# Those of the transactional tables have a snapshot of it, those of the others hold locks on their tables, and one
# more holds a snapshot to count rows in. Once all have begun the lock goes, and they read on.

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


# Rows are of one instant: the consistent point, which is this host's time once the lock was
# had.
#
# Definitions are no part of a snapshot. What there is is listed before and after: where the two differ, somebody has
# altered, emptied or dropped something meanwhile, and the capture is made again. mariadb-dump notices only some of
# it: a table that was dropped is left out with exit 0, and one that took the name of another is dumped in its place.

ATTEMPTS = 3
_BY_TRANSACTION = re.compile(r"Cannot use --dump-history for table `(.+)` with transaction-precise history")
# Something was altered under the dump: a table that was renamed away is not found, a view of it does not work.
_UNDERFOOT = re.compile(
    r"Table definition has changed|doesn't exist|Couldn't read status information|unknown table|"
    r"Couldn't find table|\((?:1051|1146|1356|1412)\)|ERROR (?:1146|1412)\b|\bError (?:1146|1412):",
    re.I,
)
_VIEW_BROKEN = "(1356)"
_XA = "what they did is not in the dump, and is lost with the server"


@dataclass(frozen=True)
class Dumper:
    """One database, through one place."""

    place: Place
    login: Login
    database: str
    jobs: int
    lock_tables: bool  # may tables that are not transactional be locked while they are dumped?
    leave_out: tuple[str, ...]  # views
    tools: Tools

    def capture(self, into: Path) -> Capture:
        """Everything into the empty directory `into`; BackupFailed where no attempt gave a true copy."""
        for attempt in range(1, ATTEMPTS + 1):
            require_characters(self.place, self.login)
            before = self._objects()
            require_working(self.place, self.login, self.database, before)
            try:
                instant, rows = RowDump(self.place, self.login, self.database, self.jobs, self.tools).take(into, before)
                self._definitions(into, before)
                changed = self._objects().state ^ before.state
            except CommandFailed as error:
                if table := error.stderr.search(_BY_TRANSACTION):
                    raise BackupFailed(
                        f"the history of table {table[1]} is by transaction, which a dump cannot hold",
                        hint="back up with `method: physical`, or have that table keep its history by time",
                    ) from None
                last = attempt == ATTEMPTS
                words = error.stderr
                if error.stalled or not words.search(_UNDERFOOT) or (last and _VIEW_BROKEN in words):
                    raise
                if last:
                    raise _restless(self._objects().state ^ before.state) from None
            else:
                if not changed:
                    _require_code(into, before)
                    return self._described(into, before, instant, rows)
                if attempt == ATTEMPTS:
                    raise _restless(changed)
            for path in into.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        raise AssertionError("the last attempt returns or raises")

    def _objects(self) -> Objects:
        objects = objects_of(self.place, self.login, self.database)
        require_leavable(objects, self.leave_out)
        objects = objects.without(self.leave_out)
        require_capturable(objects, self.database, lock=self.lock_tables)
        return objects

    def _definitions(self, into: Path, objects: Objects) -> None:
        place, login, db = self.place, self.login, self.database
        todo = [(files.TABLES, files.dump_tables), (files.CODE, files.dump_code)]
        views = (*objects.views, *self.leave_out)
        calls = [(name, make(login, db, views, place.path(into / name))) for name, make in todo]
        if objects.views:
            calls.append((files.VIEWS, files.dump_views(login, db, objects.views, place.path(into / files.VIEWS))))
        for name, argv in calls:
            self._dumped(name, argv, into)
        users, grants = accounts.on_objects(accounts.statements(place, login))
        for name, statements in ((accounts.USERS, users), (accounts.GRANTS, grants)):
            (into / name).write_text(accounts.script(statements), "utf-8", "surrogateescape")

    def _dumped(self, name: str, argv: list[str], into: Path) -> None:
        out = self.place.run(argv, watch=into, what=f"mariadb-dump of {name}")
        if troubles := files.troubles(out.stderr):
            raise CommandFailed(["mariadb-dump"], 0, troubles)
        files.check_whole(into / name, f"mariadb-dump of {name}")

    def _described(self, into: Path, objects: Objects, instant: Instant, rows: DumpedRows) -> Capture:
        facts = facts_of(self.place, self.login, self.database)
        (into / files.DATABASE).write_text(files.create_database(facts), "utf-8", "surrogateescape")
        named = files.file_names(t.name for t in objects.with_rows)
        variables.keep(facts["variables"], into)
        if facts["named_zones"]:
            self._dumped(files.ZONES, files.dump_zones(self.login, self.place.path(into / files.ZONES)), into)
        named_files = [str(p.relative_to(into)) for p in sorted(into.rglob("*.sql"))]
        digests = self.tools.digest(into, [*named_files, variables.FILE])
        contents = {
            **as_recorded(facts),
            "source": self.database,
            "tables": {
                t.name: {
                    "engine": t.engine,
                    "rows": rows.by_table[t.name],
                    "bytes": digests[named[t.name]].bytes,
                    "sha256": digests[named[t.name]].sha256,
                    "file": named[t.name],
                }
                for t in objects.with_rows
            },
            "without_rows": [t.name for t in objects.tables if t not in objects.with_rows],
            "left_out": list(objects.left_out),
            "objects": dict(objects.named),
            "definers": dict(objects.definers),
            "orphans": accounts.orphans(objects.definers, accounts.names(self.place, self.login)),
            "changed": rows.changed,
            "histories": objects.histories,
            "binlog": instant.binlog,
            "replica": instant.lag is not None,
            "locked": [t.name for t in objects.locked],
        }
        return Capture(
            consistent_point=instant.point,
            clock_skew_s=round(instant.skew, 6),
            contents=contents,
            files=digests,
            bytes=sum(d.bytes for d in digests.values()),
            tools={"mariadb-dump": client_version(self.place) or "?"},
            notes=[*_notes(facts, objects, instant, rows.changed), *prepared_notes(self.place, self.login, _XA)],
            left_out=list(objects.left_out),
        )


def _require_code(into: Path, objects: Objects) -> None:
    """Every trigger, routine and event is in the dump: asked once it is known that nobody has dropped one meanwhile."""
    missing = files.missing_code(text_of(into / files.CODE), objects.definers)
    if missing:
        raise BackupFailed(
            f"the dump lacks {', '.join(missing[:5])}", hint="may the user see it? `ccdr doctor` tells its rights"
        )


def _restless(changed: Collection[tuple[object, ...]]) -> BackupFailed:
    """The last attempt failed too. What was renamed away and back again is not in what has `changed`."""
    named = sorted({str(part[1]) for part in changed})
    what = f": {', '.join(named[:5])}" if named else ""
    return BackupFailed(
        f"something was altered, emptied, renamed or dropped while the dump ran{what}",
        hint="back up at a time at which no program makes, renames or truncates tables",
    )


def _notes(facts: dict[str, Any], objects: Objects, instant: Instant, changed: Collection[str]) -> list[str]:
    notes = [f"left out, as the plan says: {', '.join(objects.left_out)}"] if objects.left_out else []
    if objects.locked:
        notes.append(f"not transactional, and locked while dumped: {so_many(len(objects.locked), 'table')}")
    if instant.lag is not None:
        notes.append(f"taken from a replica, {instant.lag:g} s behind its primary")
    if facts["rounded"]:
        named = ", ".join(facts["rounded"][:3])
        notes.append(f"a dump writes FLOAT to six digits: {len(facts['rounded'])} columns ({named}) come back so")
    if changed:
        notes.append(f"values that no dump holds as they are: {', '.join(sorted(changed)[:3])}; the restore test fails")
    if facts["elsewhere"]:
        notes.append(f"not part of a database, and so not in its dump: {', '.join(facts['elsewhere'])}")
    return notes
