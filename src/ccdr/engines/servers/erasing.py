"""Erase people from a restored database: which statements that takes, whichever server it is.

Every value goes into a temporary table, so that a hundred entries cost as many looks at a table as one. Rows that refer
to what is erased go first, by the foreign keys that the database has; where a key is set to NULL when its row goes, the
server does that itself. A chain of references that comes back to a table is cut there: the reference is set to NULL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, product
from typing import Protocol

from ccdr.model.erasure import Erased, Replayed, Rows, Wanted
from ccdr.model.errors import CommandFailed, TestBroken

ENTRY, VALUE = "ccdr_entry", "ccdr_value"  # columns of the temporary tables
DEEPEST = 12  # references in a row that are followed
MOST_COLUMNS = 5000  # that a manifest names: a host keeps those of all snapshots


@dataclass(frozen=True)
class Table:
    """`sql` is its name as a statement has it, `columns` the type of each. `counted`: where rows are looked for, if
    that is more than the table (with its history); `alone`: its own rows, where `sql` has those of other tables, too;
    `atomic`: its changes are part of a transaction. `needed` are columns that hold no NULL."""

    sql: str
    columns: Mapping[str, str]
    counted: str | None = None
    atomic: bool = True
    alone: str | None = None
    needed: Collection[str] = ()


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
    """Tables by `schema.table` (or `table` alone), and what refers to what. `over` has the tables that a table is a
    partition or an heir of, the nearest ones; `partitions` are those that are partitions. `called` is what an entry may
    write before a table's name that stands in `first`, or in no schema: the source's own name for it."""

    tables: Mapping[str, Table]
    references: Sequence[Reference]
    first: str = ""
    called: str = ""
    over: Mapping[str, Sequence[str]] = field(default_factory=dict)
    partitions: Collection[str] = ()

    def named(self, name: str) -> list[str]:
        """Every table that this may mean."""
        return meant(self.tables, name, self.first, self.called)

    def column(self, table: str, name: str) -> str | None:
        """As the table has it; None as of `column_of`."""
        return column_of(self.tables[table].columns, name)

    def of(self, parent: str) -> Iterator[tuple[Reference, str]]:
        """What refers to rows of that table, and which table these are in: in a partition or an heir of it, too, that
        has foreign keys of its own. A partition's rows are referred to by what refers to the whole."""
        whole = [parent, *self._above(parent, self.partitions)]
        below = set(self.family(parent)) - {parent}
        for one in self.references:
            if one.parent in whole:
                yield one, parent
            elif one.parent in below:
                yield one, one.parent

    def family(self, table: str) -> list[str]:
        """It, and all that is a partition or an heir of it."""
        return [one for one in self.tables if one == table or table in self._above(one)]

    def whole(self, table: str) -> str:
        """The table that it is a partition of, if it is one."""
        return [table, *self._above(table, self.partitions)][-1]

    def _above(self, table: str, among: Collection[str] | None = None) -> list[str]:
        found: list[str] = []
        waiting = [table]
        while waiting:
            one = waiting.pop(0)
            if among is None or one in among:
                new = [over for over in self.over.get(one, ()) if over not in found]
                found += new
                waiting += new
        return found


def meant(tables: Iterable[str], name: str, first: str = "", called: str = "") -> list[str]:
    """Which of these tables a name means: it may leave the schema out, and where none is written so, it may be in
    quotes or in another case."""
    known = {table: _without_schema(table, first) for table in tables}
    bare = name.removeprefix(f"{called}.") if called else name
    same = [table for table, own in known.items() if {table, *own} & {name, bare}]
    if not same:
        alike = {_alike(name), _alike(name).removeprefix(f"{_alike(called)}." if called else "")}
        same = [table for table, own in known.items() if alike & {_alike(one) for one in (table, *own)}]
    return same


def column_of(columns: Collection[str], name: str) -> str | None:
    """Which of a table's columns a name means: None where there is none such, or several that differ in case alone."""
    same = [name] if name in columns else [known for known in columns if known.lower() == name.lower()]
    return same[0] if len(same) == 1 else None


def told_columns(columns: Mapping[str, Sequence[str]]) -> dict[str, object]:
    """For a manifest, so that a slip in an entry is told when it is added: nothing of a database that has too many."""
    return {"columns": columns} if sum(map(len, columns.values())) <= MOST_COLUMNS else {}


def _without_schema(table: str, first: str) -> set[str]:
    if first and table.startswith(f"{first}."):
        return {table.removeprefix(f"{first}.")}
    return {part for part in (table.partition(".")[2], table.rpartition(".")[2]) if part}


def _alike(name: str) -> str:
    return name.replace('"', "").replace("`", "").lower()


def not_replayed(error: CommandFailed) -> TestBroken:
    """What a server's refusal means."""
    return TestBroken(
        f"the register of erasures could not be replayed: {error}",
        hint="an entry may name a value that its column cannot hold, or rows that others must go on to refer to: "
        "docs/how-to/erase.md",
        words=error.stderr,
    )


class Dialect(Protocol):
    """What two servers write differently."""

    def name(self, name: str) -> str:
        """An identifier, quoted."""

    def keys(self, table: str, columns: Sequence[tuple[str, str]]) -> str:
        """Make a temporary table with the column ENTRY and those of these names and types, empty."""

    def keys_of(self, table: str, columns: Sequence[tuple[str, str]], query: str) -> Sequence[str]:
        """Make one with what a query gives: ENTRY, and columns of these names and types, which compare as those that
        they are of."""

    def values(self, kind: str, text: str) -> Sequence[str]:
        """Every value of this type that a text may stand for, each as an expression that shows it to nobody who reads
        along; none where no column of the type can hold it."""


@dataclass(frozen=True)
class _Node:
    """Rows that are to go: of `table` (`name`, among the schema's), whose `columns` have the values of a line of the
    temporary table `keys`."""

    number: int
    name: str
    table: str
    keys: str
    columns: tuple[str, ...]  # quoted
    own: bool
    counted: str
    cut: bool = False  # these columns are set to NULL instead
    stays: bool = False  # they are looked for alone

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
    lacking: int = 0
    atomic: bool = True

    def tables(self, schema: Schema) -> list[str]:
        """That are written to, as statements have them: where only a reference is set to NULL among them, and each
        partition and heir."""
        to_go = (node for node in self.nodes.values() if not node.stays)
        names = dict.fromkeys(one for node in to_go for one in schema.family(node.name))
        return [schema.tables[name].sql for name in names]

    def counts(self, letter: str) -> list[str]:
        """How many rows of each entry are there, node by node."""
        return [
            f"select '{letter}', {n.number}, k.{ENTRY}, count(*) from {n.keys} k join {n.counted} t on {n.on('t.')} "
            f"group by k.{ENTRY};"
            for n in self.nodes.values()
        ]

    def answers(self, lines: Sequence[Sequence[str]], wanted: Sequence[Wanted]) -> Replayed:
        found = [Erased.of(one) for one in wanted]
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
    """TestBroken where a table or column is not there that an entry names, or where several tables may be meant.
    `in_part`: any table may lack."""
    made, numbers = Script(), count()
    groups: dict[tuple[str, tuple[str, ...], bool], list[tuple[int, Rows]]] = {}
    for number, one in enumerate(wanted):
        for rows in one.selector.rows:
            tables = schema.named(rows.table)
            if not tables and (rows.may_lack or in_part):
                made.lacking += 1
                continue
            table, columns = _required(schema, tables, rows, one.id)
            groups.setdefault((table, columns, one.stays), []).append((number, rows))
    for (table, columns, stays), entries in groups.items():
        _follow(made, schema, dialect, numbers, table, columns, entries, stays=stays)
    return made


def _required(schema: Schema, tables: Sequence[str], rows: Rows, entry: str) -> tuple[str, tuple[str, ...]]:
    """The one table that is meant, and its columns. That another one of the same name holds nobody, only a person can
    say."""
    if len(tables) > 1:
        raise TestBroken(
            f"entry {entry} of the register of erasures names the table {rows.table}, and there are several: "
            f"{', '.join(sorted(tables))}",
            hint="withdraw it, and add an entry that names each of them that the person is in, with its schema: "
            "docs/how-to/erase.md",
        )
    if not tables:
        raise _lacks(entry, f"the table {rows.table}")
    columns = [schema.column(tables[0], column) for column, _ in rows.key]
    for (column, _), known in zip(rows.key, columns, strict=True):
        if known is None:
            raise _lacks(entry, f"the column {column} of {tables[0]}")
    return tables[0], tuple(map(str, columns))


def _lacks(entry: str, what: str) -> TestBroken:
    return TestBroken(
        f"entry {entry} of the register of erasures names {what}, which is not there: nobody can tell whether "
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
    *,
    stays: bool,
) -> None:
    """What the entries name by these columns of one table, and all that refers to it; of what stays, itself alone."""
    of, number = schema.tables[table], next(numbers)
    keys = f"ccdr_erase_{number}"
    made.prepare.append(dialect.keys(keys, _typed(of, columns)))
    for entry, rows in entries:
        values = (dialect.values(of.columns[c], text) for c, (_, text) in zip(columns, rows.key, strict=True))
        for one in product(*values):
            made.prepare.append(f"insert into {keys} values ({entry}, {', '.join(one)});")
    counted = of.counted or of.sql
    node = _Node(number, table, of.sql, keys, tuple(map(dialect.name, columns)), True, counted, stays=stays)
    if stays:
        made.nodes[number] = node
        return
    _node(made, schema, dialect, numbers, node, (schema.whole(table),))


def _typed(of: Table, columns: Sequence[str]) -> list[tuple[str, str]]:
    return [(f"{VALUE}{i}", of.columns[c]) for i, c in enumerate(columns)]


def _node(
    made: Script, schema: Schema, dialect: Dialect, numbers: Iterator[int], node: _Node, path: tuple[str, ...]
) -> None:
    made.nodes[node.number] = node
    made.atomic = made.atomic and schema.tables[node.name].atomic
    for reference, at in schema.of(node.name):
        number = next(numbers)
        keys, of = f"ccdr_erase_{number}", schema.tables[at]
        to = ", ".join(f"t.{dialect.name(c)} as {VALUE}{i}" for i, c in enumerate(reference.to))
        query = f"select distinct k.{ENTRY}, {to} from {node.keys} k join {of.alone or of.sql} t on {node.on('t.')}"
        made.prepare += dialect.keys_of(keys, _typed(of, reference.to), query)
        again = schema.whole(reference.child) in path or len(path) >= DEEPEST
        child = schema.tables[reference.child]
        columns = tuple(map(dialect.name, reference.columns))
        cut = again and reference.goes
        below = _Node(number, reference.child, child.sql, keys, columns, False, child.counted or child.sql, cut)
        if again or not reference.goes:
            made.nodes[number] = below
            if cut:
                some = [c for c in reference.columns if c not in child.needed] or reference.columns
                nulls = ", ".join(f"{dialect.name(column)} = null" for column in some)
                made.erase.append(f"update {child.sql} set {nulls} where {below.rows};")
        else:
            _node(made, schema, dialect, numbers, below, (*path, schema.whole(reference.child)))
    made.erase.append(f"delete from {node.table} where {node.rows};")
