"""Takes the dump and what goes beside it, all true for one instant.

Rows are of one instant (`rows.py`, `lock.py`): the consistent point, which is this host's time once the lock was had.

Definitions are no part of a snapshot. What there is is listed before and after: where the two differ, somebody has
altered, emptied or dropped something meanwhile, and the capture is made again. mariadb-dump notices only some of it: a
table that was dropped is left out with exit 0, and one that took the name of another is dumped in its place.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb import accounts, variables
from ccdr.engines.mariadb.client import (
    Login,
    client_version,
    text_of,
)
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.capturable import (
    require_capturable,
    require_characters,
    require_leavable,
    require_working,
)
from ccdr.engines.mariadb.dump.lock import Instant
from ccdr.engines.mariadb.dump.rows import DumpedRows, RowDump
from ccdr.engines.mariadb.inventory import as_recorded, facts_of
from ccdr.engines.mariadb.objects import Objects, objects_of
from ccdr.engines.mariadb.origin import prepared_notes
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.values import so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Place

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
