"""What a SQLite file holds, for whoever writes the first plan: asked in short questions that end by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from pathlib import Path

from ccdr.engines.discovery.survey import (
    CLOCKS,
    HAPPENED,
    PLANNED,
    SMALL,
    WINDOW,
    DatabaseFound,
    NewestFound,
    TableFound,
    best_of_each_table,
    gap,
)
from ccdr.engines.sqlite import programs
from ccdr.engines.sqlite.engine import MAGIC
from ccdr.engines.sqlite.instant import seconds
from ccdr.ports.place import Place

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
