"""SQLite databases for a first plan, and beside what plans name: found, and asked what they hold in short questions
that end by themselves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path
from typing import ClassVar

from ccdr.engines.discovery import (
    CLOCKS,
    DATABASES,
    HAPPENED,
    PLANNED,
    SMALL,
    WINDOW,
    DatabaseFound,
    Discovery,
    Looking,
    NewestFound,
    SourceKind,
    TableFound,
    best_of_each_table,
    database_checks,
    database_name,
    described,
    gap,
    path_of,
    remark,
    scalar,
    so_many,
    sqlite_files,
)
from ccdr.engines.sqlite import programs
from ccdr.engines.sqlite.engine import MAGIC, Sqlite
from ccdr.engines.sqlite.instant import seconds
from ccdr.model.errors import BackupFailed, CcdrError, UsageProblem
from ccdr.model.values import human_bytes
from ccdr.ports.place import Place, Source

# What a SQLite file holds, for whoever writes the first plan: asked in short questions that end by themselves.

LOCK_WAIT = 5.0  # seconds


@dataclass(frozen=True)
class FileFound:
    """A database file. `bytes` of the file alone; `local` where its times are told in this machine's zone, not UTC."""

    path: Path
    bytes: int
    version: str  # of the SQLite that read it
    local: bool
    database: DatabaseFound


def is_database(path: Path) -> bool:
    """By its first bytes; an empty file may become one, and is none yet."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def survey_file(place: Place, path: Path, now: float, zone: tzinfo) -> FileFound:
    """A close look at a live database; `zone` is this machine's. BackupFailed where it does not let us."""
    wanted: dict[str, object] = {"small": SMALL, "window": WINDOW, "times_in": HAPPENED.pattern}
    seen = programs.source(place, path, None, LOCK_WAIT, wanted, named=str(path))
    tables = [t for t in seen.survey or () if t["table"].isprintable()]
    rows = {t["table"]: int(t["rows"]) for t in tables}
    utc, there = (list(_times(tables, now, z)) for z in (UTC, zone))
    # What would be of the future by UTC was written by this machine's clock on the wall.
    local = len(there) > len(utc)
    large = [TableFound(t["table"], rows[t["table"]], t["exact"]) for t in tables if rows[t["table"]]]
    database = DatabaseFound(
        tables=seen.tables,
        largest=tuple(sorted(large, key=lambda one: (-one.rows, one.name))),
        newest=tuple(best_of_each_table(there if local else utc, rows)),
        extensions={},
        lacks=(),
    )
    return FileFound(path, path.stat().st_size, seen.sqlite, local, database)


def _times(tables: Sequence[dict[str, object]], now: float, zone: tzinfo) -> Iterator[NewestFound]:
    """Columns whose newest value is a time that has come, and not long ago."""
    for table in tables:
        times = table["times"]
        assert isinstance(times, list)
        for time in times:
            column, days = time["column"], time["days"]
            if PLANNED.search(column) or not column.isprintable() or int(str(table["rows"])) < 10:
                continue
            try:
                age = now - seconds(time["value"], zone)
            except (ValueError, OverflowError):
                continue
            if age >= -CLOCKS and days and days[0] < WINDOW // 4:
                yield NewestFound(str(table["table"]), column, max(age, 0.0), gap(days))


EXAMPLE = "name the file itself, as in sqlite:/path/cdr.db"


@dataclass(frozen=True)
class DatabaseFile:
    """What `ccdr init` was given: a database, which its application may have open."""

    kind: ClassVar[SourceKind] = SourceKind.FILE

    path: Path

    @property
    def where(self) -> object:
        return self.path

    def plan_name(self, hostname: str) -> tuple[str, str]:
        return self.path.stem, "database"

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[FileItem]:
        path, place = self.path, looking.place
        looking.progress.step(f"looking at {path}")
        try:
            Sqlite.model_validate({"engine": "sqlite", "path": path}).probe(Source(place, path))
            facts = survey_file(place, path, looking.now, looking.zone)
        except BackupFailed as error:
            raise CcdrError(str(error), hint=error.hint) from None
        if not facts.database.tables:
            raise UsageProblem(f"{path} holds no table", hint="is it the right file?")
        looking.report.files.add(path)
        looking.report.contents.append(f"{path}: SQLite, {described(facts.database, facts.bytes)}")
        return [FileItem(facts)]


@dataclass(frozen=True)
class FileItem:
    """A database file that becomes an asset."""

    facts: FileFound
    local: bool = False  # no server
    tree: None = None

    @property
    def bytes(self) -> int:
        return self.facts.bytes

    @property
    def title(self) -> str:
        return str(self.facts.path)

    def name(self, taken: Collection[str]) -> str:
        return database_name(self.facts.path.stem, taken)

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        yield f"# SQLite, {human_bytes(self.bytes)}, {so_many(self.facts.database.tables, 'table')}"
        yield "engine: sqlite"
        yield "method: copy"
        yield f"path: {scalar(self.facts.path)}"
        if self.facts.local:
            yield remark(f"timezone: {scalar(timezone)}", "of its times that name none: they are this machine's")

    def check_lines(self, now: float) -> Iterator[str]:
        return database_checks(self.facts.database)

    def as_json(self) -> dict[str, object]:
        return {"engine": "sqlite", "path": self.title, "tables": self.facts.database.tables, "bytes": self.bytes}


def _refuse_empty(path: Path) -> None:
    """UsageProblem for a file without a byte, which is a database once its application has made a table: copied as any
    other file until then, it would be torn from then on."""
    if path.is_file() and not path.stat().st_size:
        raise UsageProblem(f"{path} is empty: it holds no table", hint="is it the right file? else name it once it has")


class SqliteDiscovery(Discovery):
    schemes = ("sqlite",)
    example = EXAMPLE

    def parse(self, text: str) -> DatabaseFile:
        """`sqlite:/var/lib/pbx/cdr.db`, or as a URL with three slashes."""
        path = path_of(text.partition(":")[2].removeprefix("//"))
        _refuse_empty(path)
        if not path.is_file() or not is_database(path):
            raise UsageProblem(f"{path} is no SQLite database, or an encrypted one", hint=EXAMPLE)
        return DatabaseFile(path)

    def at(self, path: Path) -> DatabaseFile | None:
        if path.suffix.removeprefix(".").lower() in DATABASES:
            _refuse_empty(path)
        return DatabaseFile(path) if path.is_file() and is_database(path) else None

    def files_in(self, directory: Path) -> Sequence[Path]:
        return sqlite_files(directory)
