"""Takes the dump and what goes beside it, all true for one instant.

A session holds FLUSH TABLES WITH READ LOCK for as long as it takes until every client has begun: those of the
transactional tables have a snapshot then, those of the others hold locks on their tables, and one more holds a snapshot
to count rows in. While the lock is held nothing commits and nothing is written, so all of them see one state: that of
the consistent point, which is this host's time once the lock was had. Then it is released, and the clients read on.

Definitions are no part of a snapshot. What there is is listed before and after: where the two differ, somebody has
altered, emptied or dropped something meanwhile, and the capture is made again. mariadb-dump notices only some of it: a
table that was dropped is left out with exit 0, and one that took the name of another is dumped in its place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb import accounts
from ccdr.engines.mariadb.client import OURS, Login, answers, ask, quote_name, quote_text, read_answers, table, text_of
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.capturable import require_capturable, require_leavable, require_working
from ccdr.engines.mariadb.inventory import as_recorded, facts_of
from ccdr.engines.mariadb.objects import Objects, Table, objects_of
from ccdr.engines.mariadb.origin import lag_of, prepared_notes
from ccdr.host.interrupts import threads
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.model.values import so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Output, Place, Progress, Session

ATTEMPTS = 3
LOOK = 0.02  # seconds between two looks whether the clients have begun
PATIENCE = 30.0  # seconds that the session may take to answer, beside what it waits for
QUICK = 8 * 2**20  # bytes; locked tables up to this size have a client of their own, and are let go first
_BY_TRANSACTION = re.compile(r"Cannot use --dump-history for table `(.+)` with transaction-precise history")
# Something was altered under the dump: a table that was renamed away is not found, a view of it does not work.
_UNDERFOOT = re.compile(
    r"Table definition has changed|doesn't exist|Couldn't read status information|unknown table|"
    r"Couldn't find table|\((?:1051|1146|1356|1412)\)|ERROR (?:1146|1412)\b|\bError (?:1146|1412):",
    re.I,
)
_VIEW_BROKEN = "(1356)"
_NO_LOCK = re.compile(
    r"ERROR (?:1205|1969)\b|Lock wait timeout exceeded|max_statement_time exceeded|maximum statement execution time"
)
_XA = "what they did is not in the dump, and is lost with the server"
_VERSION = re.compile(r"(\d+\.\d+\.\d+)-MariaDB")


@dataclass(frozen=True)
class Instant:
    """What was true, and seen, while the lock was held. `lag` is what a replica was behind, in seconds."""

    point: datetime
    skew: float
    binlog: dict[str, Any] | None
    lag: float | None
    counts: dict[str, int]  # rows of the tables that are dumped under a lock


@dataclass(frozen=True)
class Rows:
    """What the clients left: rows by table, and every log position that they have named."""

    by_table: dict[str, int]
    positions: frozenset[str]


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
            before = self._objects()
            require_working(self.place, self.login, self.database, before)
            try:
                instant, rows = self._rows(into, before)
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
        found = objects_of(self.place, self.login, self.database)
        require_leavable(found, self.leave_out)
        found = found.without(self.leave_out)
        require_capturable(found, self.database, lock=self.lock_tables)
        return found

    # --- rows -----------------------------------------------------------------------------------------

    def _rows(self, into: Path, objects: Objects) -> tuple[Instant, Rows]:
        (into / files.ROWS).mkdir()
        work = into / "work"  # of this attempt alone
        work.mkdir()
        named = files.file_names(t.name for t in objects.with_rows)
        counting, growth = work / "counts", _Growth(into / files.ROWS, self.tools.progress)
        lag = lag_of(table(self.place, self.login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))
        with threads(2 * self.jobs + 2) as pool:
            try:
                with self._locker() as locker:
                    instant = self._locked(locker, objects, lag)
                    clients = [
                        _Client(
                            work / f"{n}.log",
                            pool.submit(self._dump_share, share, lock, objects.histories, named, work, n, growth),
                        )
                        for n, (share, lock) in enumerate(self._shares(objects))
                    ]
                    clients.append(_Client(counting, pool.submit(self._count, objects, counting, growth), b"begun"))
                    self._await_begun(clients)
                    # Leaving the session releases the lock too; this way it is known to be.
                    _ask(locker, "UNLOCK TABLES;")
                for ended in as_completed([client.future for client in clients]):
                    ended.result()
            finally:
                growth.stop.set()  # whoever still runs when another has failed
        rows = self._read_lists(work, named)
        self._compare(rows, instant.counts | _read_counts(counting), into, named)
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

    @contextlib.contextmanager
    def _locker(self) -> Iterator[Session]:
        with self.place.session(self.login.asking()) as session:
            wait = max(1, ceil(self.tools.lock_wait))
            # Whatever becomes of us: the server ends a session that says nothing, and so its lock.
            gone = int(2 * wait + PATIENCE)
            _ask(session, f"{OURS} SET SESSION lock_wait_timeout={wait}, wait_timeout={gone};")
            yield session

    def _locked(self, session: Session, objects: Objects, lag: float | None) -> Instant:
        """Have the lock, and look at what is true while it is held."""
        wait, clock = self.tools.lock_wait, self.tools.clock
        try:
            ask(session, "FLUSH TABLES WITH READ LOCK;", patience=wait + PATIENCE)
        except CommandFailed as error:
            if error.stalled or error.stderr.search(_NO_LOCK):
                raise BackupFailed(
                    f"the read lock could not be had within {wait:g} s{self._in_the_way()}",
                    hint="back up at another time, end what is in the way, or use a longer `limits: lock_wait`",
                ) from None
            raise
        before = clock.now()
        source_clock = float(_ask(session, "SELECT UNIX_TIMESTAMP(NOW(6));"))
        after = clock.now()
        point = before if lag is None else before - timedelta(seconds=lag)
        counted = read_answers(_ask(session, self._counts(objects.locked)))
        return Instant(
            point, skew(before, after, source_clock), _binlog(session), lag, {name: int(n) for name, n in counted}
        )

    def _in_the_way(self) -> str:
        """Statements that have run for about as long as we have waited: who, never what."""
        sql = f"""SELECT JSON_ARRAY(id, user, time) FROM information_schema.processlist
          WHERE command NOT IN ('Sleep', 'Daemon', 'Binlog Dump') AND time >= {int(self.tools.lock_wait)}
            AND user NOT IN ('system user', 'event_scheduler') AND id <> CONNECTION_ID() ORDER BY time DESC LIMIT 3;"""
        with contextlib.suppress(CommandFailed):
            found = answers(self.place, self.login, sql, "looking for what is in the way")
            if found:
                return ": in its way may be " + ", ".join(f"connection {i} of {u}, for {t} s" for i, u, t in found)
        return ""

    def _dump_share(
        self,
        share: list[str],
        lock: bool,
        histories: bool,
        named: dict[str, str],
        work: Path,
        number: int,
        growth: _Growth,
    ) -> Output:
        """One client, parted into files. What it says goes to `NUMBER.log`, what it wrote to `NUMBER.list`."""
        place, wanted = self.place, work / f"{number}.map"
        lines = (files.map_entry(place.path(work.parent / named[t]), t) for t in share)
        wanted.write_text("".join(lines), "utf-8", "surrogateescape")
        argv = files.dump_rows(self.login, self.database, share, lock=lock, histories=histories)
        return place.run(
            ["bash", "-c", files.PIPE, "dump", place.path(work / f"{number}.log"), files.SPLIT, *argv],
            env={"MAP": place.path(wanted), "LIST": place.path(work / f"{number}.list")},
            pulse=growth,
            what="mariadb-dump",
        )

    def _counts(self, tables: Sequence[Table]) -> str:
        return "".join(
            f"SELECT JSON_ARRAY({quote_text(t.name)}, COUNT(*)) FROM "
            f"{quote_name(self.database)}.{quote_name(t.name)}{_history(t)};\n"
            for t in tables
        )

    def _count(self, objects: Objects, to: Path, growth: _Growth) -> Output:
        """The rows of every transactional table, in a snapshot of its own: what the dump is compared with. A table is
        let go as soon as it is counted, so that nobody who alters it has to wait."""
        plain = [t for t in objects.with_rows if t not in objects.locked]
        counts = "".join(f"SAVEPOINT one;\n{self._counts([t])}ROLLBACK TO SAVEPOINT one;\n" for t in plain)
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

    def _read_lists(self, work: Path, named: dict[str, str]) -> Rows:
        prefix = f"{self.place.path(work.parent)}/"
        tables = {file: table for table, file in named.items()}
        by_table: dict[str, int] = {}
        positions = set()
        for listed in work.glob("*.list"):
            rows, position = files.read_list(listed.read_text("utf-8", "surrogateescape"))
            by_table |= {tables[name.removeprefix(prefix)]: count for name, count in rows.items()}
            positions |= {position} if position else set()
        for log in work.glob("*.log"):
            if said := files.troubles(FreeText(log.read_bytes().decode("utf-8", "replace")), named):
                raise CommandFailed(["mariadb-dump"], 0, said)
        return Rows(by_table, frozenset(positions))

    def _compare(self, rows: Rows, counts: dict[str, int], into: Path, named: dict[str, str]) -> None:
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

    # --- the rest -------------------------------------------------------------------------------------

    def _definitions(self, into: Path, objects: Objects) -> None:
        place, login, db = self.place, self.login, self.database
        todo = [(files.TABLES, files.dump_tables), (files.CODE, files.dump_code)]
        views = (*objects.views, *self.leave_out)
        calls = [(name, make(login, db, views, place.path(into / name))) for name, make in todo]
        if objects.views:
            calls.append((files.VIEWS, files.dump_views(login, db, objects.views, place.path(into / files.VIEWS))))
        for name, argv in calls:
            out = place.run(argv, watch=into, what=f"mariadb-dump of {name}")
            if said := files.troubles(out.stderr):
                raise CommandFailed(["mariadb-dump"], 0, said)
            files.check_whole(into / name, f"mariadb-dump of {name}")
        users, grants = accounts.on_objects(accounts.statements(place, login))
        for name, statements in ((accounts.USERS, users), (accounts.GRANTS, grants)):
            (into / name).write_text(accounts.script(statements), "utf-8", "surrogateescape")

    def _described(self, into: Path, objects: Objects, instant: Instant, rows: Rows) -> Capture:
        facts = facts_of(self.place, self.login, self.database)
        (into / files.DATABASE).write_text(files.create_database(facts), "utf-8", "surrogateescape")
        named = files.file_names(t.name for t in objects.with_rows)
        digests = self.tools.digest(into, [str(p.relative_to(into)) for p in sorted(into.rglob("*.sql"))])
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
            notes=[*_notes(facts, objects, instant), *prepared_notes(self.place, self.login, _XA)],
            left_out=list(objects.left_out),
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


def client_version(place: Place) -> str | None:
    """Of mariadb-dump in this place; None where there is none."""
    try:
        out = place.run(["mariadb-dump", "--version"], ok=(0, 126, 127))  # a container's word for one that is not there
    except CommandFailed:
        return None
    found = _VERSION.search(out.stdout) if out.code == 0 else None
    return found[1] if found else None


def _ask(session: Session, sql: str) -> str:
    return ask(session, sql, patience=PATIENCE)


def _history(table: Table) -> str:
    return " FOR SYSTEM_TIME ALL" if table.type == "SYSTEM VERSIONED" else ""


def _read_counts(path: Path) -> dict[str, int]:
    found = read_answers(path.read_text("utf-8", "surrogateescape"))
    if found[-1:] != ["done"]:
        raise CommandFailed(["mariadb"], 0, "it ended before every table was counted", what="counting rows")
    return {name: int(count) for name, count in found[1:-1]}


def _binlog(session: Session) -> dict[str, Any] | None:
    """Where the binary log stands: what is in it from here on is not in the dump. None where nothing is logged."""
    said = _ask(session, "SHOW MASTER STATUS;").strip()
    if not said:
        return None
    file, position = said.split("\t")[:2]
    return {"file": file, "position": int(position), "gtid": _ask(session, "SELECT @@global.gtid_binlog_pos;").strip()}


def _notes(facts: dict[str, Any], objects: Objects, instant: Instant) -> list[str]:
    notes = [f"left out, as the plan says: {', '.join(objects.left_out)}"] if objects.left_out else []
    if objects.locked:
        notes.append(f"not transactional, and locked while dumped: {so_many(len(objects.locked), 'table')}")
    if instant.lag is not None:
        notes.append(f"taken from a replica, {instant.lag:g} s behind its primary")
    if facts["rounded"]:
        named = ", ".join(facts["rounded"][:3])
        notes.append(f"a dump writes FLOAT to six digits: {len(facts['rounded'])} columns ({named}) come back so")
    if facts["elsewhere"]:
        notes.append(f"not part of a database, and so not in its dump: {', '.join(facts['elsewhere'])}")
    return notes
