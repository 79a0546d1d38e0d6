"""Erase people from a restored database: which statements that takes, whichever server it is.

Every value goes into a temporary table, so that a hundred entries cost as many looks at a table as one. Rows that refer
to what is erased go first, by the foreign keys that the database has; where a key is set to NULL when its row goes, the
server does that itself. A chain of references that comes back to a table is cut there: the reference is set to NULL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from ccdr.model.erasure import Erased, Replayed, Rows, Wanted
from ccdr.model.errors import TestBroken

ENTRY, VALUE = "ccdr_entry", "ccdr_value"  # columns of the temporary tables
DEEPEST = 12  # references in a row that are followed


@dataclass(frozen=True)
class Table:
    """`sql` is its name as a statement has it, `columns` the type of each. `counted`: where rows are looked for, if
    that is more than the table (with its history); `atomic`: its changes are part of a transaction."""

    sql: str
    columns: Mapping[str, str]
    counted: str | None = None
    atomic: bool = True


@dataclass(frozen=True)
class Reference:
    """A foreign key. `goes`: whatever refers to an erased row must go with it; else the server sets it to NULL, or to
    its default."""

    child: str
    columns: tuple[str, ...]
    parent: str
    to: tuple[str, ...]
    goes: bool


@dataclass(frozen=True)
class Schema:
    """Tables by `schema.table` (or `table` alone), and what refers to what."""

    tables: Mapping[str, Table]
    references: Sequence[Reference]
    first: str = ""  # the schema that a table's name stands in where it names none

    def named(self, name: str) -> str | None:
        """None where there is none such, or several."""
        if name in self.tables:
            return name
        if f"{self.first}.{name}" in self.tables:
            return f"{self.first}.{name}"
        same = [known for known in self.tables if known.partition(".")[2] == name]
        return same[0] if len(same) == 1 else None

    def of(self, parent: str) -> Iterator[Reference]:
        return (one for one in self.references if one.parent == parent)


class Dialect(Protocol):
    """What two servers write differently."""

    def name(self, name: str) -> str:
        """An identifier, quoted."""

    def keys(self, table: str, columns: Sequence[tuple[str, str]], source: str) -> str:
        """Make a temporary table with the column ENTRY and those of these names and types, empty; `source` is the
        table that they are of."""

    def value(self, kind: str, text: str) -> str | None:
        """A value of this type, as an expression that shows it to nobody who reads along; None where no column of the
        type can hold it."""


@dataclass(frozen=True)
class _Node:
    """Rows that are to go: of `table`, whose `columns` have the values of a line of the temporary table `keys`."""

    number: int
    table: str
    keys: str
    columns: tuple[str, ...]  # quoted
    own: bool
    counted: str
    cut: bool = False  # these columns are set to NULL instead

    def on(self, alias: str) -> str:
        return " and ".join(f"k.{VALUE}{i} = {alias}{column}" for i, column in enumerate(self.columns))

    @property
    def rows(self) -> str:
        """The temporary tables have no column of a name that any other table has: a bare name is the outer one's."""
        return f"exists (select 1 from {self.keys} k where {self.on('')})"


@dataclass
class Script:
    """The statements, in order; `answers` reads the lines that they print, columns apart by `|`."""

    prepare: list[str] = field(default_factory=list)
    erase: list[str] = field(default_factory=list)
    nodes: dict[int, _Node] = field(default_factory=dict)
    touched: dict[str, str] = field(default_factory=dict)  # tables that rows go from
    lacking: int = 0
    atomic: bool = True

    @property
    def tables(self) -> list[str]:
        """That are written to, where only a reference is set to NULL among them."""
        return list(dict.fromkeys(node.table for node in self.nodes.values()))

    def counts(self, letter: str) -> list[str]:
        """How many rows of each entry are there, node by node."""
        return [
            f"select '{letter}', {n.number}, k.{ENTRY}, count(*) from {n.keys} k join {n.counted} t on {n.on('t.')} "
            f"group by k.{ENTRY};"
            for n in self.nodes.values()
        ]

    def answers(self, lines: Sequence[Sequence[str]], wanted: Sequence[Wanted]) -> Replayed:
        found = [Erased(one.id) for one in wanted]
        for letter, number, entry, rows in lines:
            one, node = found[int(entry)], self.nodes[int(number)]
            if letter == "a":
                one.after += int(rows)
            elif node.own:
                one.before += int(rows)
            else:
                one.beside += int(rows)
        return Replayed(found, self.atomic, self.lacking)


def script(schema: Schema, wanted: Sequence[Wanted], dialect: Dialect, *, in_part: bool = False) -> Script:
    """TestBroken where a table or column is not there that an entry names; `in_part`: where a column is not."""
    made, numbers = Script(), count()
    groups: dict[tuple[str, tuple[str, ...]], list[tuple[int, Rows]]] = {}
    for number, one in enumerate(wanted):
        for rows in one.selector.rows:
            table = schema.named(rows.table)
            if table is None and (rows.may_lack or in_part):
                made.lacking += 1
                continue
            _require(schema, table, rows, one.id)
            groups.setdefault((str(table), tuple(c for c, _ in rows.key)), []).append((number, rows))
    for (table, columns), entries in groups.items():
        _follow(made, schema, dialect, numbers, table, columns, entries)
    return made


def _require(schema: Schema, table: str | None, rows: Rows, entry: str) -> None:
    lacks = None
    if table is None:
        lacks = f"the table {rows.table}"
    elif missing := [c for c, _ in rows.key if c not in schema.tables[table].columns]:
        lacks = f"the column {missing[0]} of {table}"
    if lacks:
        raise TestBroken(
            f"entry {entry} of the register of erasures names {lacks}, which is not there: nobody can tell whether "
            "what it names is",
            hint="add an entry that names it as this snapshot does, and `may_lack: true` for what older or newer ones "
            "are without: docs/how-to/erase.md",
        )


def _follow(
    made: Script,
    schema: Schema,
    dialect: Dialect,
    numbers: Iterator[int],
    table: str,
    columns: Sequence[str],
    entries: Sequence[tuple[int, Rows]],
) -> None:
    """What the entries name by these columns of one table, and all that refers to it."""
    of, number = schema.tables[table], next(numbers)
    keys = f"ccdr_erase_{number}"
    typed = [(f"{VALUE}{i}", of.columns[c]) for i, c in enumerate(columns)]
    made.prepare.append(dialect.keys(keys, typed, of.sql))
    for entry, rows in entries:
        values = [dialect.value(of.columns[c], text) for c, text in rows.key]
        if all(value is not None for value in values):
            made.prepare.append(f"insert into {keys} values ({entry}, {', '.join(map(str, values))});")
    node = _Node(number, of.sql, keys, tuple(map(dialect.name, columns)), True, of.counted or of.sql)
    _node(made, schema, dialect, numbers, node, table, (table,))


def _node(
    made: Script,
    schema: Schema,
    dialect: Dialect,
    numbers: Iterator[int],
    node: _Node,
    table: str,
    path: tuple[str, ...],
) -> None:
    made.nodes[node.number] = node
    made.touched[table] = node.table
    made.atomic = made.atomic and schema.tables[table].atomic
    for reference in schema.of(table):
        number = next(numbers)
        keys = f"ccdr_erase_{number}"
        to = ", ".join(f"t.{dialect.name(c)} as {VALUE}{i}" for i, c in enumerate(reference.to))
        made.prepare.append(
            f"create temporary table {keys} as select distinct k.{ENTRY}, {to} from {node.keys} k "
            f"join {node.table} t on {node.on('t.')};"
        )
        again = reference.child in path or len(path) >= DEEPEST
        child = schema.tables[reference.child]
        columns = tuple(map(dialect.name, reference.columns))
        below = _Node(number, child.sql, keys, columns, False, child.counted or child.sql, again and reference.goes)
        if again or not reference.goes:
            made.nodes[number] = below
            if below.cut:
                nulls = ", ".join(f"{column} = null" for column in columns)
                made.erase.append(f"update {child.sql} set {nulls} where {below.rows};")
        else:
            _node(made, schema, dialect, numbers, below, reference.child, (*path, reference.child))
    made.erase.append(f"delete from {node.table} where {node.rows};")
