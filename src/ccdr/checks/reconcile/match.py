"""Rows and files matched by path, in an SQLite file: hundreds of thousands of either cost disk, not memory.

Every row ends as exactly one `RowOutcome`, every file that is looked at as exactly one `FileOutcome`.
"""

from __future__ import annotations

import os
import sqlite3
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ccdr.checks.reconcile.instants import Instants
from ccdr.checks.reconcile.paths import follow

BATCH = 4000  # files that are hashed or decoded in one call
NEAR = 1000  # missing files that a like name is looked for


class RowOutcome(StrEnum):
    """What became of a row, as people read it."""

    MATCHED = "matched"
    UNSAID = "says no size or digest"  # though the check compares it; its file is there
    IN_FLIGHT = "in flight"  # newer than its file, or the lack of it, can be
    MISSING = "missing"
    UNUSABLE = "unusable path"  # empty, leads out of the tree, relative to nothing
    WRONG_SIZE = "wrong size"
    WRONG_CONTENTS = "wrong contents"
    UNREADABLE = "unreadable"


class FileOutcome(StrEnum):
    NAMED = "named by a row"
    WITHOUT_ROW = "without a row"
    IN_FLIGHT = "in flight"


@dataclass(frozen=True)
class FileFact:
    """A file of the snapshot: `kind` as the listing says (f, d, l, o; w for one in use that was left out)."""

    path: bytes
    kind: str
    size: int
    mtime: float
    target: bytes | None = None
    looked_at: bool = True  # is it one that should have a row?


@dataclass(frozen=True)
class RowFact:
    """A row: what it says, the path that this means (None: none), what else it says of the file."""

    reference: bytes | None
    path: bytes | None
    size: int | None = None
    sha256: str | None = None
    at: float | None = None


@dataclass(frozen=True)
class StatedColumns:
    """What rows were to say beside the path."""

    size: bool = False
    sha256: bool = False


@dataclass(frozen=True)
class Matches:
    """Counts. `shared` are files that more than one row names, `in_use` missing ones that the capture had left out."""

    rows: Mapping[RowOutcome, int]
    files: Mapping[FileOutcome, int]
    shared: int
    in_use: int
    silent: int = 0
    decoded: int = 0

    def of(self, *kinds: RowOutcome) -> int:
        return sum(self.rows.get(kind, 0) for kind in kinds)

    @property
    def total(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Reference:
    """One row or file that is not as it should be, for the person; never for a record."""

    what: str
    row: str | None
    file: str | None
    why: str | None = None


Hash = Callable[[list[str]], Mapping[str, str]]  # SHA-256 of restored files
Decode = Callable[[list[str]], tuple[Mapping[str, str], int]]  # which do not decode, and why; how many are silent

_SCHEMA = """
create table file (path blob primary key, kind text, size integer, mtime real, target blob, looked_at integer,
                   named integer default 0, sha256 text, bad text) without rowid;
create table said (n integer primary key, said blob, path blob, size integer, sha256 text, at real, what text);
"""


class Matcher:
    """Rows and files of one comparison. First all files, then all rows, then `judge`."""

    def __init__(self, database: sqlite3.Connection, instants: Instants, wanted: StatedColumns) -> None:
        self._db, self._instants, self._wanted = database, instants, wanted
        self._silent = self._decoded = 0

    @classmethod
    @contextmanager
    def opened(cls, path: Path, instants: Instants, wanted: StatedColumns) -> Iterator[Matcher]:
        """`path` is a new file; whoever made its directory removes it."""
        path.touch(mode=0o600)
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            # Nothing of it need survive us, and what is sorted must not lie in /tmp.
            database.executescript("pragma journal_mode=off; pragma synchronous=off; pragma temp_store=memory;")
            database.executescript(f"pragma cache_size=-65536; {_SCHEMA} begin;")
            yield cls(database, instants, wanted)

    def add_files(self, files: Iterable[FileFact]) -> None:
        self._db.executemany(
            "insert into file (path, kind, size, mtime, target, looked_at) values (?, ?, ?, ?, ?, ?)",
            ((f.path, f.kind, f.size, f.mtime, f.target, f.looked_at) for f in files),
        )

    def add_rows(self, rows: Iterable[RowFact]) -> None:
        self._db.executemany(
            "insert into said (said, path, size, sha256, at) values (?, ?, ?, ?, ?)",
            ((r.reference, r.path, r.size, r.sha256, r.at) for r in rows),
        )

    def judge(self, hash_: Hash, decode: Decode | None) -> Matches:
        """The first thing that is wrong with a row is what became of it."""
        now = self._instants
        self._follow_links()
        self._count_names()
        self._db.execute("update said set what = ? where path is null", (RowOutcome.UNUSABLE,))
        self._settle(f"not {_THERE}", RowOutcome.MISSING, now.without_file)
        self._differing("said.size <> file.size", RowOutcome.WRONG_SIZE)
        self._hash(hash_)
        self._differing("said.sha256 is not null and said.sha256 is not file.sha256", RowOutcome.WRONG_CONTENTS)
        if decode is not None:
            self._decode(decode)
            self._differing("file.bad is not null", RowOutcome.UNREADABLE)
        for column in (name for name in ("size", "sha256") if getattr(self._wanted, name)):
            self._db.execute(f"update said set what = ? where what is null and {column} is null", (RowOutcome.UNSAID,))
        self._db.execute("update said set what = ? where what is null", (RowOutcome.MATCHED,))
        return self._found()

    def _differing(self, how: str, what: RowOutcome) -> None:
        """Of rows whose file is there: it may have been written to after it was captured."""
        where = f"exists (select 1 from file where file.path = said.path and {how})"
        self._settle(where, what, self._instants.ahead_of_file)

    def _settle(self, where: str, what: RowOutcome, after: float) -> None:
        self._db.execute(
            f"update said set what = case when at > ? and at <= ? then ? else ? end where what is null and {where}",
            (after, self._instants.last_row, RowOutcome.IN_FLIGHT, what),
        )

    def _follow_links(self) -> None:
        """Rows that name a link, or lead through one, mean the file that it leads to."""
        db = self._db
        if not db.execute("select exists (select 1 from file where kind = 'l')").fetchone()[0]:
            return

        def target_of(path: bytes) -> bytes | None:
            row = db.execute("select target from file where path = ? and kind = 'l'", (path,)).fetchone()
            return None if row is None else bytes(row[0])

        absent = f"select n, path from said where n > ? and path is not null and not {_THERE} order by n limit ?"
        after = 0
        while batch := db.execute(absent, (after, BATCH)).fetchall():
            after = batch[-1][0]
            db.executemany("update said set path = ? where n = ?", [(follow(path, target_of), n) for n, path in batch])

    def _count_names(self) -> None:
        reading = self._db.execute("select path from said where path is not null")
        self._db.executemany("update file set named = named + 1 where path = ?", reading)

    def _undecided(self, more: str) -> Iterator[list[str]]:
        """Restored files that rows not yet judged name, in the order of their paths."""
        asked = f"exists (select 1 from said where said.path = file.path and what is null {more})"
        self._db.execute("create index if not exists said_path on said (path)")
        after = b""
        while batch := self._db.execute(
            f"select path from file where kind = 'f' and named > 0 and path > ? and {asked} order by path limit ?",
            (after, BATCH),
        ).fetchall():
            after = batch[-1][0]
            yield [os.fsdecode(path) for (path,) in batch]

    def _hash(self, hash_: Hash) -> None:
        for names in self._undecided("and said.sha256 is not null"):
            digests = hash_(names)
            self._db.executemany(
                "update file set sha256 = ? where path = ?", [(digests[name], os.fsencode(name)) for name in names]
            )

    def _decode(self, decode: Decode) -> None:
        for names in self._undecided(""):
            bad, silent = decode(names)
            self._decoded, self._silent = self._decoded + len(names), self._silent + silent
            self._db.executemany(
                "update file set bad = ? where path = ?", [(why, os.fsencode(name)) for name, why in bad.items()]
            )

    def _found(self) -> Matches:
        rows = self._db.execute("select what, count(*) from said group by what").fetchall()
        files = self._db.execute(
            f"select {self._file_kind()}, count(*) from file where {_LOOKED_AT} group by 1", self._file_limits()
        ).fetchall()
        (shared,) = self._db.execute("select count(*) from file where kind = 'f' and named > 1").fetchone()
        (in_use,) = self._db.execute(
            "select count(*) from said, file where file.path = said.path and kind = 'w' and what = ?",
            (RowOutcome.MISSING,),
        ).fetchone()
        return Matches(
            {RowOutcome(what): count for what, count in rows},
            {FileOutcome(what): count for what, count in files},
            shared,
            in_use,
            self._silent,
            self._decoded,
        )

    def _file_kind(self) -> str:
        return (
            "case when named > 0 then :named when mtime > :after and mtime <= :last then :in_flight else :without end"
        )

    def _file_limits(self) -> dict[str, object]:
        return {
            "named": FileOutcome.NAMED,
            "in_flight": FileOutcome.IN_FLIGHT,
            "without": FileOutcome.WITHOUT_ROW,
            "after": self._instants.without_row,
            "last": self._instants.last_file,
        }

    # --- for the person -------------------------------------------------------------------------------

    def bad_rows(self) -> Iterator[Reference]:
        """Every row that did not match, in the order of the query."""
        kinds, near = [kind for kind in RowOutcome if kind is not RowOutcome.MATCHED], self._near()
        marks = ", ".join("?" * len(kinds))
        bad = "(select bad from file where file.path = said.path)"
        rows = self._db.execute(f"select what, said, path, {bad} from said where what in ({marks}) order by n", kinds)
        for what, reference, path, why in rows:
            if what == RowOutcome.MISSING and path in near:
                why = f"but for case or spelling it is {near[path]}"
            yield Reference(what, _text(reference), _text(path), why)

    def lone_files(self) -> Iterator[Reference]:
        """Every file that no row names."""
        for what, path in self._db.execute(
            f"select {self._file_kind()}, path from file where {_LOOKED_AT} and named = 0 order by path",
            self._file_limits(),
        ):
            yield Reference(what, None, _text(path))

    def _near(self) -> dict[bytes, str]:
        """Of missing files, those that differ from one that is there only in case, or in how Unicode writes it."""
        missing = self._db.execute(
            "select path from said where what = ? limit ?", (RowOutcome.MISSING, NEAR)
        ).fetchall()
        folded = {_folded(path): path for (path,) in missing}
        near: dict[bytes, str] = {}
        if folded:
            for (path,) in self._db.execute("select path from file where kind = 'f'"):
                if (wanted := folded.get(_folded(path))) is not None:
                    near[wanted] = os.fsdecode(path)
        return near


_LOOKED_AT = "kind = 'f' and looked_at"
_THERE = "exists (select 1 from file where file.path = said.path and kind = 'f')"


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFC", os.fsdecode(path)).casefold()


def _text(path: bytes | None) -> str | None:
    return None if path is None else os.fsdecode(path)
