"""Erase people from a restored database file, in one transaction, and from the pages that it does not use any more. It
is done on a copy in the sandbox, which then takes the restored file's place."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.engines.servers.erasing import ENTRY, Reference, Schema, Table, script
from ccdr.engines.sqlite import programs
from ccdr.engines.sqlite.programs import SANDBOX_PYTHON
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import TestBroken
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

_TABLES = """
select m.name, m.sql, json_group_array(json_array(c.name, c.type, c.pk, c."notnull"))
from sqlite_master m, pragma_table_xinfo(m.name) c
where m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\' and m.sql not like 'create virtual table%'
group by m.name
"""
_REFERENCES = """
select m.name, f.id, f."table", f."from", f."to", f.on_delete from sqlite_master m, pragma_foreign_key_list(m.name) f
where m.type = 'table' order by m.name, f.id, f.seq
"""
# Tables of values that columns hold, which ANALYZE fills.
_SAMPLES = "select name from sqlite_master where name in ('sqlite_stat3', 'sqlite_stat4')"
# How a column compares is told nowhere: it is tried, as in a union SQLite compares all by the first column's way.
_COMPARES = "select {n}, x = 'a', x = 'A ' from (select {column} as x from {table} where 0 union select 'A')"
_COLLATIONS = {("0", "0"): "binary", ("1", "0"): "nocase", ("0", "1"): "rtrim"}
UNKNOWN = "unknown"
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_NUMBER = re.compile(r"[+-]?\d{1,15}\.\d{1,15}")
_STRICT = re.compile(r"\)[^)]*\bstrict\b[^)]*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class _Sqlite:
    """`Dialect`. A type is the column's affinity, and by what it compares texts, which foreign keys that lead to it
    compare by as well. A text is taken for whatever the affinity takes it for."""

    def name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def keys(self, table: str, columns: Sequence[tuple[str, str]]) -> str:
        typed = (f"{name} collate {_collation(kind)}" for name, kind in columns)
        return f"create temporary table {table} ({', '.join([ENTRY, *typed])})"

    def keys_of(self, table: str, columns: Sequence[tuple[str, str]], query: str) -> Sequence[str]:
        typed = (f"{name} {kind.split()[0]} collate {_collation(kind)}" for name, kind in columns)
        made = f"create temporary table {table} ({', '.join([ENTRY, *typed])})"
        return [made, f"insert into {table} {query}"]

    def values(self, kind: str, text: str) -> Sequence[str]:
        """A column without an affinity keeps numbers, texts and bytes apart: it may be any of them."""
        raw = text.encode("utf-8", "surrogateescape").hex()
        found = [f"cast(x'{raw}' as text)"]
        if kind.startswith("blob"):
            found.append(f"x'{raw}'")
            if _WHOLE.fullmatch(text) or _NUMBER.fullmatch(text):
                found.append(text)
        return found


def _collation(kind: str) -> str:
    """TestBroken where nobody can tell which rows the application takes for the same."""
    collation = kind.split()[1]
    if collation == UNKNOWN:
        raise TestBroken(
            "the register of erasures could not be replayed: a column compares texts as only the application does",
            hint="erase by the application itself: docs/how-to/erase.md, Break the glass",
        )
    return collation


def _affinity(kind: str, *, strict: bool) -> str:
    """As SQLite takes a column's type (https://sqlite.org/datatype3.html, 3.1)."""
    upper = kind.upper()
    if "INT" in upper:
        return "integer"
    if any(word in upper for word in ("CHAR", "CLOB", "TEXT")):
        return "text"
    if not upper or "BLOB" in upper or (strict and upper == "ANY"):
        return "blob"
    return "real" if any(word in upper for word in ("REAL", "FLOA", "DOUB")) else "numeric"


def erase(context: CheckContext, loaded: str, wanted: Sequence[Wanted]) -> Replayed:
    """As `Restored.erase`; `loaded` is the restored file in the sandbox."""
    box, copy = context.sandbox, context.out / "erased"
    schema = _schema(box, loaded)
    made = script(schema, wanted, _Sqlite())
    samples = _samples(made.tables(schema), _asked(box, loaded, _SAMPLES))
    box.run(["cp", "--reflink=auto", loaded, box.path(copy)], watch=context.out, what="copying the database")
    try:
        box.run(["chmod", "u+w", box.path(copy)])
        before = [*made.prepare, *made.counts("b"), *made.erase, *samples]
        statements = [s.rstrip(";") for s in before], [s.rstrip(";") for s in made.counts("a")]
        rows = _answered(box, box.path(copy), {"erase": [json.dumps(statements)]})["erase"]["rows"]
        replayed = made.answers([[str(value) for value in row] for row in rows], wanted)
        if replayed.before:
            put_back(copy, context.restored / str(context.manifest.contents["file"]))
    finally:
        copy.unlink(missing_ok=True)
    return replayed


def _samples(tables: Sequence[str], held: Sequence[Sequence[str | None]]) -> list[str]:
    """What ANALYZE has kept of the rows that are gone, or of others of their tables, goes with them."""
    bare = [table[1:-1].replace('""', '"').lower() for table in tables]
    names = ", ".join(f"x'{name.encode('utf-8', 'surrogateescape').hex()}'" for name in bare)
    return [f"delete from {name} where cast(lower(tbl) as blob) in ({names});" for (name,) in held]


def put_back(copy: Path, target: Path) -> None:
    """Into the file that is there, for whoever has it open: its owner and mode are the source's."""
    mode = target.stat().st_mode & 0o7777
    target.chmod(mode | 0o200)
    with copy.open("rb") as source, target.open("r+b") as file:
        file.truncate()
        shutil.copyfileobj(source, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
    target.chmod(mode)


def _answered(box: Place, database: str, questions: dict[str, list[str]]) -> Mapping[str, Any]:
    answer = programs.ask(box, SANDBOX_PYTHON, database, questions, "erasing")
    if answer.refused is not None:
        raise TestBroken(
            f"the register of erasures could not be replayed: {answer.why}",
            hint="an entry may name rows that others must go on to refer to: docs/how-to/erase.md",
            words=answer.refused,
        )
    return answer.answers


def _schema(box: Place, database: str) -> Schema:
    found: dict[str, tuple[str, list[list[Any]]]] = {}
    for name, made, listed in _asked(box, database, _TABLES):
        found[str(name)] = str(made), json.loads(str(listed))
    tables: dict[str, Table] = {}
    keys: dict[str, list[str]] = {}
    for name, (sql, columns) in found.items():
        strict = _STRICT.search(sql) is not None
        compares = _collations(box, database, name, sql, [str(c) for c, *_ in columns])
        typed = {str(c): f"{_affinity(kind, strict=strict)} {compares[c]}" for c, kind, _, _ in columns}
        needed = [str(c) for c, _, _, full in columns if int(full)]
        tables[name] = Table(_Sqlite().name(name), typed, needed=needed)
        keys[name] = [str(c) for c, _, key, _ in sorted(columns, key=lambda one: int(one[2])) if int(key)]
    return Schema(tables, _references(_asked(box, database, _REFERENCES), tables, keys), called="main")


def _references(
    asked: Sequence[Sequence[str | None]], tables: Mapping[str, Table], keys: Mapping[str, Sequence[str]]
) -> list[Reference]:
    by_name = {name.lower(): name for name in tables}
    grouped: dict[tuple[str, str], tuple[str, str, list[str], list[str]]] = {}
    for child, number, parent, own, to, rule in asked:
        there = by_name.get(str(parent).lower())
        if there is None or child not in tables:
            continue
        _, _, columns, others = grouped.setdefault((str(child), str(number)), (there, str(rule), [], []))
        columns.append(str(own))
        others.append(str(to) if to is not None else (*keys[there], *[""] * len(columns))[len(others)])
    found: list[Reference] = []
    known = Schema(tables, ())
    for (child, _), (parent, rule, own_, to_) in grouped.items():
        named = [known.column(child, c) for c in own_], [known.column(parent, c) for c in to_]
        if None in (*named[0], *named[1]):  # SQLite itself lets no row of the parent go then
            continue
        goes = rule not in ("SET NULL", "SET DEFAULT")
        found.append(Reference(child, tuple(map(str, named[0])), parent, tuple(map(str, named[1])), goes))
    return found


def _collations(box: Place, database: str, table: str, sql: str, columns: Sequence[str]) -> dict[str, str]:
    """By what each column of a table compares texts; `UNKNOWN` where only the application knows."""
    if "collate" not in sql.lower():
        return dict.fromkeys(columns, "binary")
    name, found = _Sqlite().name, dict.fromkeys(columns, UNKNOWN)
    tried = [_COMPARES.format(n=n, column=name(c), table=name(table)) for n, c in enumerate(columns)]
    for query in ("\nunion all\n".join(tried), *tried):
        with contextlib.suppress(TestBroken):
            for number, folded, cut in _asked(box, database, query):
                found[columns[int(str(number))]] = _COLLATIONS[str(folded), str(cut)]
        if UNKNOWN not in found.values():
            break
    return found


def _asked(box: Place, database: str, sql: str) -> list[list[str | None]]:
    rows: list[list[str | None]] = _answered(box, database, {"query": [sql]})["query"]["rows"]
    return rows
