"""Erase people from a restored database, in one transaction as far as its tables have one. What is asked for goes
through standard input, and in hexadecimal: neither arguments nor a server's log show whom it names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ccdr.engines.mariadb.client import OURS, Login, answers, quote_name, quote_text, rows_of
from ccdr.engines.servers.erasing import ENTRY, Reference, Schema, Table, not_replayed, script
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Place, Pulse

_COLUMNS = """
SELECT JSON_ARRAY(t.table_name, t.table_type, t.engine, c.column_name, c.data_type, c.character_maximum_length,
  c.character_set_name, c.collation_name, c.is_nullable)
FROM information_schema.tables t JOIN information_schema.columns c
  ON c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE t.table_schema = {database} AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED');
"""
_REFERENCES = """
SELECT JSON_ARRAY(k.table_name, k.constraint_name, k.column_name, k.referenced_table_name, k.referenced_column_name,
  r.delete_rule)
FROM information_schema.key_column_usage k JOIN information_schema.referential_constraints r
  ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
WHERE k.table_schema = {database} AND k.referenced_table_schema = {database}
ORDER BY k.table_name, k.constraint_name, k.ordinal_position;
"""
_SAMPLES = "SELECT DISTINCT JSON_QUOTE(table_name) FROM mysql.column_stats WHERE db_name = {database};"
_DROP = "DELETE FROM mysql.column_stats WHERE db_name = {database} AND table_name IN ({tables});\nFLUSH TABLES;"
# A value that does not fit is an error, and not another value that does.
_BEGIN = "SET SESSION sql_mode='STRICT_ALL_TABLES', foreign_key_checks=1;\nSTART TRANSACTION;\n"
_WHOLE = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")
_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")
_TIMES = ("date", "datetime", "timestamp", "time")
_ITSELF = ("uuid", "inet4", "inet6")
_NOT = "binary"
_MEND = "add an entry that names the person by a number, a text, a date or a UUID: docs/how-to/erase.md"
_NUMBER = re.compile(r"[+-]?\d{1,20}")
_DECIMAL = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?")


@dataclass(frozen=True)
class _MariaDB:
    """`Dialect`. A type is what a temporary table's column is made of; `longtext` has its longest behind a colon."""

    def name(self, name: str) -> str:
        return quote_name(name)

    def keys(self, table: str, columns: Sequence[tuple[str, str]]) -> str:
        typed = "".join(f", {name} {kind.partition(':')[0]}" for name, kind in columns)
        return f"create temporary table {table} ({ENTRY} int{typed});"

    def keys_of(self, table: str, columns: Sequence[tuple[str, str]], query: str) -> Sequence[str]:
        return [f"create temporary table {table} as {query};"]

    def values(self, kind: str, text: str) -> Sequence[str]:
        typed, _, longest = kind.partition(":")
        if typed.startswith("decimal"):  # the server would take any text for a number, most often for 0
            wanted = _NUMBER if typed.endswith(",0)") else _DECIMAL
            if not wanted.fullmatch(text):
                raise TestBroken("the register of erasures names a text where a column holds numbers", hint=_MEND)
            return [text]
        if typed == _NOT:
            raise TestBroken("the register of erasures names a column of a type by which nobody is found", hint=_MEND)
        if longest.isdecimal() and len(text) > int(longest):
            return []
        return [f"convert(x'{text.encode().hex()}' using utf8mb4)"]


def erase(
    place: Place,
    login: Login,
    database: str,
    wanted: Sequence[Wanted],
    pulse: Pulse | None = None,
    *,
    called: str,
    in_part: bool,
) -> Replayed:
    """As `Restored.erase`; `called` is the name that the database has at the source."""
    schema = _schema(place, login, database, called)
    made = script(schema, wanted, _MariaDB(), in_part=in_part)
    statements = [*made.prepare, *made.counts("b"), *made.erase, "commit;", *made.counts("a")]
    argv = login.client("--batch", "--skip-column-names", database=database)
    try:
        text = f"{OURS}{_BEGIN}" + "\n".join(statements)
        output = place.run(argv, stdin=text, what="erasing", pulse=pulse).stdout
    except CommandFailed as error:
        raise not_replayed(error) from None
    replayed = made.answers([line.split("\t") for line in output.split("\n") if line], wanted)
    if replayed.before:
        _without_samples(place, login, database, {node.name for node in made.nodes.values()})
    return replayed


def _without_samples(place: Place, login: Login, database: str, tables: Collection[str]) -> None:
    """What `ANALYZE TABLE … PERSISTENT` has kept of values: who may not read it has not brought it there either."""
    of = quote_text(database)
    try:
        kept = {str(name) for name in answers(place, login, _SAMPLES.format(database=of), "asking for statistics")}
    except CommandFailed:
        return
    if gone := sorted(kept & {name.removeprefix(f"{database}.") for name in tables}):
        names = ", ".join(map(quote_text, gone))
        rows_of(place, login, _DROP.format(database=of, tables=names), "removing statistics")


def _schema(place: Place, login: Login, database: str, called: str) -> Schema:
    where = quote_text(database)
    columns: dict[str, dict[str, str]] = {}
    needed: dict[str, list[str]] = {}
    about: dict[str, tuple[str, str]] = {}
    asked = answers(place, login, _COLUMNS.format(database=where), "asking for tables")
    for table, kind, engine, column, data, longest, charset, collation, null in asked:
        about[table] = kind, engine
        if null == "NO":
            needed.setdefault(table, []).append(column)
        columns.setdefault(table, {})[column] = _type(data, longest, charset, collation)
    tables = {
        f"{database}.{name}": _table(
            f"{quote_name(database)}.{quote_name(name)}", columns[name], needed.get(name, []), *about[name]
        )
        for name in columns
    }
    found: dict[tuple[str, str], tuple[str, str, list[str], list[str]]] = {}
    for child, name, column, parent, to, rule in answers(
        place, login, _REFERENCES.format(database=where), "asking for foreign keys"
    ):
        _, _, own, others = found.setdefault((child, name), (parent, rule, [], []))
        own.append(column)
        others.append(to)
    references = [
        Reference(
            f"{database}.{child}",
            tuple(own),
            f"{database}.{parent}",
            tuple(to),
            rule not in ("SET NULL", "SET DEFAULT"),
        )
        for (child, _), (parent, rule, own, to) in found.items()
    ]
    known = [r for r in references if r.child in tables and r.parent in tables]
    return Schema(tables, known, database, called)


def _table(sql: str, columns: dict[str, str], needed: list[str], kind: str, engine: str) -> Table:
    """One that keeps what was deleted: that is looked for as well."""
    counted = f"{sql} for system_time all" if kind == "SYSTEM VERSIONED" else None
    return Table(sql, columns, counted, engine == "InnoDB", needed=needed)


def _type(data: str, longest: int | None, charset: str | None, collation: str | None) -> str:
    if data in _WHOLE:
        return "decimal(20,0)"
    if data == "decimal":
        return "decimal(60,30)"
    if data in _TEXTS:
        return f"longtext character set {charset} collate {collation}:{longest or ''}"
    if data in _TIMES:
        return data if data == "date" else f"{data}(6)"
    return data if data in _ITSELF else _NOT
