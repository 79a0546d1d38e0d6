"""The records as tables that a person can query: one for each kind, and one for each list of structs in it. They are
made from the records' own definitions, so that a record and its row are one fact.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from ccdr.evidence.records.registry import KINDS
from ccdr.evidence.records.values import BESIDE, Record, Unread
from ccdr.host.built import fields_of
from ccdr.host.files import replaced
from ccdr.model.errors import CcdrError, UsageProblem

AT_ONCE = 2000  # lines that are held before they are written
_SQL = {inspect.IntType: "integer", inspect.BoolType: "integer", inspect.FloatType: "real"}
_KEY = ("of_ledger", "text", "which ledger it stands in", ())
_ITEM = ("item", "integer", "its place in the list, from 0", ())

Column = tuple[str, str, str | None, tuple[str, ...]]  # name, SQL's type, what it means, where in the struct it stands


@dataclass(frozen=True)
class Table:
    """`of` is the list of the record whose items are its rows; None: a row is a record."""

    name: str
    columns: tuple[Column, ...]
    about: str
    of: str | None = None

    @property
    def made_by(self) -> str:
        """SQL that says what each column means: `.schema` shows it."""
        keys = [_KEY, *([("seq", "integer", "its record's number", ()), _ITEM] if self.of else [])]
        lines = [(f"  {_quoted(name)} {of}", about) for name, of, about, _ in (*keys, *self.columns)]
        key = "of_ledger, seq" + (", item" if self.of else "")
        texts = [f"{line}, -- {about.replace(chr(10), ' ')}" if about else f"{line}," for line, about in lines]
        body = "\n".join([*texts, f"  primary key ({key})"])
        return f"create table {_quoted(self.name)} ( -- {self.about}\n{body}\n) strict, without rowid"

    def rows(self, ledger: str, record: Record) -> Iterator[tuple[object, ...]]:
        if self.of is None:
            yield ledger, *(_value(record, path) for _, _, _, path in self.columns)
            return
        for number, item in enumerate(getattr(record, self.of) or ()):
            yield ledger, record.seq, number, *(_value(item, path) for _, _, _, path in self.columns)

    @property
    def width(self) -> int:
        return len(self.columns) + (3 if self.of else 1)


@cache
def tables_of(kind: str) -> tuple[Table, ...]:
    """Of a kind of record: its own, then those of its lists."""
    definition = KINDS[kind]
    name, own, lists = kind.replace(".", "_"), list[Column](), list[Table]()
    for one in fields_of(definition).fields:
        of, about = _bare(one.type)
        item = _bare(of.item_type)[0] if isinstance(of, inspect.ListType) else None
        if isinstance(item, inspect.StructType):
            what = f"{about or one.name}, of {kind}"
            lists.append(Table(f"{name}_{one.name}", tuple(_columns(item)), what, one.name))
        elif one.name not in ("kind", *BESIDE):
            own += _columns_of(one.name, (one.name,), one.type)
    about_it = (definition.__doc__ or kind).partition("\n")[0]
    return Table(name, tuple(own), about_it), *lists


UNREAD = Table(
    "unread",
    tuple((name, "integer" if name in ("seq", "version") else "text", None, (name,))
          for name in ("seq", "time", "kind", "plan", "asset", "run", "version")),
    "Records that this ccdr does not read, or that are not as their kind is defined: nothing may be concluded from "
    "what the others say as if they were not there.",
)  # fmt: skip


def _columns(of: inspect.StructType, name: str = "", path: tuple[str, ...] = ()) -> Iterator[Column]:
    for one in of.fields:
        yield from _columns_of(f"{name}{one.name}", (*path, one.name), one.type)


def _columns_of(name: str, path: tuple[str, ...], type_: inspect.Type) -> Iterator[Column]:
    """A struct's values have a column each; what is of any length is text: JSON, as the record has it."""
    of, about = _bare(type_)
    if isinstance(of, inspect.StructType):
        yield from _columns(of, f"{name}_", path)
    else:
        whole = isinstance(of, inspect.LiteralType) and all(isinstance(one, int) for one in of.values)
        yield name, "integer" if whole else _SQL.get(type(of), "text"), about, path


def _bare(of: inspect.Type) -> tuple[inspect.Type, str | None]:
    """The type without what is said of it, and without null and absence; and what it means."""
    about = None
    while True:
        if isinstance(of, inspect.Metadata):
            about, of = about or (of.extra_json_schema or {}).get("description"), of.type
        elif isinstance(of, inspect.UnionType):
            given = [one for one in of.types if not isinstance(one, inspect.NoneType)]
            if len(given) > 1:
                return of, about
            (of,) = given
        else:
            return of, about


def _value(of: Any, path: Sequence[str]) -> object:
    for name in path:
        of = getattr(of, name, None)
    if of is None or of is msgspec.UNSET:
        return None
    if isinstance(of, datetime):
        return f"{of.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"  # all alike: their order is that of time
    return of if isinstance(of, str | int | float) else msgspec.json.encode(of).decode()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Tables:
    """A database that is being filled: how many records each ledger has, by its id; how many of all of them this ccdr
    does not read."""

    database: sqlite3.Connection
    records: dict[str, int] = field(default_factory=dict)
    unread: int = 0
    _held: dict[Table, list[tuple[object, ...]]] = field(default_factory=dict)

    def take(self, ledger: str, record: Record) -> None:
        unread = isinstance(record, Unread)
        for table in (UNREAD,) if unread else tables_of(record.kind):
            self._held.setdefault(table, []).extend(table.rows(ledger, record))
        self.records[ledger] = count = self.records.get(ledger, 0) + 1
        self.unread += unread
        if count % AT_ONCE == 0:
            self.insert()

    def insert(self) -> None:
        for table, rows in self._held.items():
            marks = ", ".join("?" * table.width)
            self.database.executemany(f"insert into {_quoted(table.name)} values ({marks})", rows)
            rows.clear()


@contextmanager
def written(path: Path) -> Iterator[Tables]:
    """A SQLite database of all records that it is given within the block: whole or not at all. UsageProblem where
    something is there already, CcdrError where the disk refuses, or a value is none of SQLite's."""
    if path.exists() or path.is_symlink():
        raise UsageProblem(f"{path} is there already", hint="name a file that is not there yet")
    try:
        with replaced(path) as temporary, closing(sqlite3.connect(temporary)) as database:
            database.execute("pragma journal_mode = off")
            for table in (UNREAD, *(table for kind in KINDS for table in tables_of(kind))):
                database.execute(table.made_by)
            yield (tables := Tables(database))
            tables.insert()
            database.commit()
    except (OverflowError, sqlite3.Error) as error:
        hint = "free space there, or name another file"
        raise CcdrError(f"{path} cannot be written: {error}", hint=hint) from None
