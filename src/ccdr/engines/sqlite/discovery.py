"""SQLite databases for a first plan, and beside what plans name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.discovery.checks import database_checks
from ccdr.engines.discovery.contract import Discovery, Looking, SourceKind
from ccdr.engines.discovery.filetree import DATABASES, sqlite_files
from ccdr.engines.discovery.paths import path_of
from ccdr.engines.discovery.servers import database_name
from ccdr.engines.discovery.survey import described
from ccdr.engines.discovery.text import remark, scalar, so_many
from ccdr.engines.sqlite.engine import Sqlite
from ccdr.engines.sqlite.survey import FileFound, is_database, survey_file
from ccdr.model.errors import BackupFailed, CcdrError, UsageProblem
from ccdr.model.values import human_bytes
from ccdr.ports.place import Source

EXAMPLE = "name the file itself, as in sqlite:/path/cdr.db"


@dataclass(frozen=True)
class DatabaseFile:
    """What `ccdr init` was given: a database, which its application may have open."""

    path: Path

    @property
    def kind(self) -> SourceKind:
        return SourceKind.FILE

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
