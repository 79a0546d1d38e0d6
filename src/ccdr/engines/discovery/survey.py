"""What a database holds that seems worth a check, for whoever writes the first plan: the same of every engine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ccdr.engines.discovery.text import so_many
from ccdr.model.values import human_bytes, human_seconds

SMALL = 200_000  # rows; so many are counted, or read to find the newest, without an index
WINDOW = 28  # days of which is asked whether anything was written on them
CLOCKS = 60.0  # seconds; a row that is newer than now by more was not written now
# A time that is planned, not one at which something happened.
PLANNED = re.compile(
    r"expir|until|due|next|sched|valid|end|deadline|retry|plan|birth|remind|callback|target|appoint|effective|_to$",
    re.IGNORECASE,
)
HAPPENED = re.compile(r"creat|start|insert|_at$|time|log|receiv|sent|updat|modif|stamp", re.IGNORECASE)


@dataclass(frozen=True)
class TableFound:
    """`name` as SQL wants it, schema and quotes included; `rows` are exact, or what the planner believes."""

    name: str
    rows: int
    exact: bool


@dataclass(frozen=True)
class NewestFound:
    """A column (as SQL wants it) of a table whose newest time is `age` seconds ago. `gap` is the longest time in
    days without a row in the last WINDOW days, None where there is too little history to tell."""

    table: str
    column: str
    age: float
    gap: int | None


@dataclass(frozen=True)
class Lack:
    """Something the role may not read, and the SQL (a superuser's) that changes it."""

    what: str
    sql: str


@dataclass(frozen=True)
class DatabaseFound:
    """One database: `largest` and `newest` hold what seems worth a check, the best first."""

    tables: int
    largest: tuple[TableFound, ...]
    newest: tuple[NewestFound, ...]
    extensions: Mapping[str, str]
    lacks: tuple[Lack, ...]


def best_of_each_table(newest_rows: Sequence[NewestFound], rows: Mapping[str, int]) -> Iterator[NewestFound]:
    """At most one column a table: those that are written to regularly first, then the larger tables."""
    seen: set[str] = set()
    for newest in sorted(
        newest_rows, key=lambda f: (f.gap is None, not HAPPENED.search(f.column), -rows[f.table], f.table)
    ):
        if newest.table not in seen:
            seen.add(newest.table)
            yield newest


def gap(days: list[int]) -> int | None:
    """The longest gap of days, the one up to now included; None where fewer than five days had a row."""
    if len(days) < 5:
        return None
    return max(days[0], *(b - a for a, b in itertools.pairwise(days)))


def described(database: DatabaseFound, size: int) -> str:
    """For people: its size, tables, newest row and extensions."""
    text = f"{human_bytes(size)}, {so_many(database.tables, 'table')}{most_rows(database)}"
    if database.newest:
        text += f", newest row {human_seconds(min(n.age for n in database.newest))} old"
    if database.extensions:
        text += f", extensions {', '.join(database.extensions)}"
    return text


def most_rows(database: DatabaseFound, quote: str = "") -> str:
    """Its largest tables, in brackets, without the `quote` around their names."""
    rows = (f"{t.name.strip(quote)} {'' if t.exact else 'about '}{t.rows:,} rows" for t in database.largest[:3])
    return f" ({', '.join(rows)})" if database.largest else ""
