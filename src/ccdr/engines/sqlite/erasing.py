"""Erase people from a restored database file, in one transaction, and from the pages that it does not use any more. It
is done on a copy in the sandbox, which then takes the restored file's place."""

from __future__ import annotations

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
select m.name, json_group_array(json_array(c.name, c.type, c.pk)) from sqlite_master m, pragma_table_xinfo(m.name) c
where m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\' and m.sql not like 'create virtual table%'
group by m.name
"""
_REFERENCES = """
select m.name, f.id, f."table", f."from", f."to", f.on_delete from sqlite_master m, pragma_foreign_key_list(m.name) f
where m.type = 'table' order by m.name, f.id, f.seq
"""
_WHOLE = re.compile(r"[+-]?\d{1,18}")


@dataclass(frozen=True)
class _Sqlite:
    """`Dialect`. A text is compared with a column as SQLite does it, by what the column's type says."""

    def name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def keys(self, table: str, columns: Sequence[tuple[str, str]], source: str) -> str:
        return f"create temporary table {table} ({', '.join([ENTRY, *(name for name, _ in columns)])})"

    def value(self, kind: str, text: str) -> str | None:
        if not kind and _WHOLE.fullmatch(text):  # a column of no type keeps numbers and texts apart
            return text
        return f"cast(x'{text.encode('utf-8', 'surrogateescape').hex()}' as text)"


def erase(context: CheckContext, loaded: str, wanted: Sequence[Wanted]) -> Replayed:
    """As `Restored.erase`; `loaded` is the restored file in the sandbox."""
    box, copy = context.sandbox, context.out / "erased"
    made = script(_schema(box, loaded), wanted, _Sqlite())
    box.run(["cp", "--reflink=auto", loaded, box.path(copy)], watch=context.out, what="copying the database")
    try:
        box.run(["chmod", "u+w", box.path(copy)])
        before = [*made.prepare, *made.counts("b"), *made.erase]
        statements = [s.rstrip(";") for s in before], [s.rstrip(";") for s in made.counts("a")]
        rows = _answered(box, box.path(copy), {"erase": [json.dumps(statements)]})["erase"]["rows"]
        replayed = made.answers([[str(value) for value in row] for row in rows], wanted)
        if replayed.before:
            _put_back(copy, context.restored / str(context.manifest.contents["file"]))
    finally:
        copy.unlink(missing_ok=True)
    return replayed


def _put_back(copy: Path, target: Path) -> None:
    """Into the file that is there: its owner and mode are the source's."""
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
    tables: dict[str, Table] = {}
    keys: dict[str, list[str]] = {}
    for name, columns in _asked(box, database, _TABLES):
        found = json.loads(str(columns))
        tables[str(name)] = Table(_Sqlite().name(str(name)), {str(c): str(kind) for c, kind, _ in found})
        keys[str(name)] = [c for c, _, key in sorted(found, key=lambda one: int(one[2])) if int(key)]
    by_name = {name.lower(): name for name in tables}
    grouped: dict[tuple[str, str], tuple[str, str, list[str], list[str]]] = {}
    for child, number, parent, own, to, rule in _asked(box, database, _REFERENCES):
        there = by_name.get(str(parent).lower())
        if there is None or child not in tables:
            continue
        _, _, columns_, others = grouped.setdefault((str(child), str(number)), (there, str(rule), [], []))
        columns_.append(str(own))
        others.append(str(to) if to is not None else keys[there][len(others)])
    references = [
        Reference(child, tuple(own), parent, tuple(to), rule not in ("SET NULL", "SET DEFAULT"))
        for (child, _), (parent, rule, own, to) in grouped.items()
    ]
    return Schema(tables, references)


def _asked(box: Place, database: str, sql: str) -> list[list[str | None]]:
    rows: list[list[str | None]] = _answered(box, database, {"query": [sql]})["query"]["rows"]
    return rows
