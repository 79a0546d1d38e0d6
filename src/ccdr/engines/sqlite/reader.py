"""Run beside a copy of a database (`python3 -I -c`), never imported by ccdr for its functions: on the host right after
the capture, and in the sandbox after the restore. Nobody else has the file open, so it is read without any lock.

The request is JSON on standard input, the answer the last line of standard output; empty lines before it tell that the
work goes on. Standard library only; any Python 3.9.
"""

import hashlib
import json
import marshal
import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any
from urllib.parse import quote

BEAT = 5_000_000  # steps of SQLite's machine between two signs of life
SHOWN = 20  # lines of findings that a person is shown
ROW_FORMAT = 2  # of marshal: the last that writes equal values equally, whatever else refers to them
BUILT_IN = {"binary", "nocase", "rtrim"}
_NAME = r'("(?:[^"]|"")+"|\'(?:[^\']|\'\')+\'|`(?:[^`]|``)+`|\[[^\]]+\]|[\w$]+)'
_COLLATE = re.compile(rf"\bcollate\s+{_NAME}", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/", re.DOTALL)
_AUTOINCREMENT = re.compile(r"\bautoincrement\b", re.IGNORECASE)
LAST_ID = 2**63 - 1
# Whoever wrote the database had something that this SQLite lacks: no fault of the file.
LACKS = re.compile(
    r"no such module: .*|no such collation sequence: .*|no such tokenizer: .*|unknown tokenizer: .*|"
    r"(?:no such|unknown) function: .*|no query solution|unsupported file format"
)


MOST_COLUMNS = 2000  # of a table, and of what is asked of one, where SQLite was built as it comes
COLUMNS = """
select m.name, c.name from sqlite_master m, pragma_table_xinfo(m.name) c
where m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\' and m.sql not like 'create virtual table%'
order by m.name, c.cid
"""
READ_ONLY, WRITABLE = "mode=ro&immutable=1", "mode=rw"


def connect(path: str, how: str = READ_ONLY) -> sqlite3.Connection:
    con = sqlite3.connect(f"file:{quote(os.fsencode(path))}?{how}", uri=True, isolation_level=None)
    con.execute("pragma query_only = on")
    con.execute("pragma temp_store = memory")
    con.execute("pragma trusted_schema = off")
    con.text_factory = any_text
    con.set_progress_handler(beat, BEAT)
    return con


def any_text(value: bytes) -> str:
    """SQLite takes any bytes for text."""
    return value.decode("utf-8", "surrogateescape")


def beat() -> int:
    print(flush=True)  # noqa: T201
    return 0


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Unreadable(sqlite3.DatabaseError):
    """A table cannot be read to its end."""

    def __init__(self, table: str, why: str) -> None:
        super().__init__(why)
        self.table = table


# --- contents ---------------------------------------------------------------------------------------------


def definitions(con: sqlite3.Connection) -> "list[tuple[str, str, str, str | None]]":
    return con.execute("select type, name, tbl_name, sql from sqlite_master order by type, name, tbl_name").fetchall()


def stored_tables(con: sqlite3.Connection) -> "list[str]":
    """Every table that has rows of its own in the file: those of SQLite itself too, virtual tables not (what they hold
    is in tables beside them)."""
    names = con.execute("select name from sqlite_master where type = 'table' and rootpage > 0 order by name")
    return [name for (name,) in names]


def contents(path: str) -> "dict[str, Any]":
    con = connect(path)
    made = definitions(con)
    kinds = {kind: sum(row[0] == kind for row in made) for kind in ("table", "index", "view", "trigger")}
    collations = {unquoted(name) for _, _, _, sql in made for name in _COLLATE.findall(sql or "")}
    tables, largest = {}, 0
    for name in stored_tables(con):
        try:
            rows, digest, size = scanned(path, name, collations)
        except sqlite3.DatabaseError as error:
            raise Unreadable(name, str(error)) from None
        tables[name] = {"rows": rows, "sha256": digest}
        largest = max(largest, size)
    return {
        "settings": settings(con, path),
        "objects": kinds,
        "schema_sha256": hashlib.sha256(json.dumps(made).encode()).hexdigest(),
        "tables": tables,
        "columns": columns(con),
        "largest_row": largest,
    }


def columns(con: sqlite3.Connection) -> "dict[str, list[str]]":
    """Of each table that people are erased from: not of SQLite's own, nor of virtual ones. Nothing where this SQLite
    does not tell, which is no fault of the file."""
    found: dict[str, list[str]] = {}
    try:
        for table, column in con.execute(COLUMNS):
            found.setdefault(table, []).append(column)
    except sqlite3.DatabaseError:
        return {}
    return found


def settings(con: sqlite3.Connection, path: str) -> "dict[str, Any]":
    """What the file says of itself; `wal` is whether whoever opens it writes a log beside it."""
    names = ("page_size", "encoding", "auto_vacuum", "user_version", "application_id", "page_count")
    values = {name: con.execute(f"pragma {name}").fetchone()[0] for name in names}
    with open(path, "rb") as file:  # noqa: PTH123
        header = file.read(100)
    return {**values, "wal": header[18:20] == b"\2\2", "reserved": header[20] if header else 0}


def unquoted(name: str) -> str:
    return name[1:-1].replace(name[0] * 2, name[0]) if name[0] in "\"'`[" else name


def scanned(path: str, table: str, collations: "set[str]") -> "tuple[int, str, int]":
    """Rows, their digest in the order in which they are stored, and the largest row's size in bytes.

    Of what is stored, nothing but the stored: generated columns are left to whoever generates them. Text and blob,
    integer and real are told apart, and a row's number is part of it.
    """
    con = connect(path)
    for name in collations:
        if name.lower() not in BUILT_IN:  # no comparison is made, but without one SQLite does not even look
            con.create_collation(name, lambda a, b: (a > b) - (a < b))
    columns = [row[1] for row in con.execute(f"pragma table_xinfo({quoted(table)})") if row[6] != 2]
    lowered = {name.lower() for name in columns}
    number = next((alias for alias in ("rowid", "_rowid_", "oid") if alias not in lowered), None)
    wanted = [quoted(name) for name in columns]
    rows_of = f"from {quoted(table)} not indexed"
    if number is not None and len(wanted) < MOST_COLUMNS and runs(con, f"select {number} {rows_of} limit 0"):
        wanted.append(number)
    sql = f"select {', '.join(wanted)} {rows_of}"
    con.text_factory = str  # inside C; and where that will not do, slower
    try:
        return digested(con, sql)
    except sqlite3.OperationalError as error:
        if "decode to UTF-8" not in str(error):
            raise
    con.text_factory = any_text
    return digested(con, sql)


def runs(con: sqlite3.Connection, sql: str) -> bool:
    try:
        con.execute(sql)
    except sqlite3.OperationalError as error:
        if "no such column" in str(error):  # a table WITHOUT ROWID
            return False
        raise
    return True


def digested(con: sqlite3.Connection, sql: str) -> "tuple[int, str, int]":
    digest = hashlib.sha256()
    update, rows, largest = digest.update, 0, 0
    for row in map(marshal.dumps, con.execute(sql), repeat(ROW_FORMAT)):
        update(row)
        rows += 1
        if len(row) > largest:
            largest = len(row)
    return rows, digest.hexdigest(), largest


# --- what integrity_check does not look at, and what it does --------------------------------------------------


def references(path: str) -> "dict[str, Any]":
    """Rows whose foreign key leads nowhere, by child and parent; and the tables for which that cannot be told."""
    con = connect(path)
    broken: dict[str, int] = {}
    unchecked: dict[str, str] = {}
    for table in stored_tables(con):
        if not con.execute(f"pragma foreign_key_list({quoted(table)})").fetchall():
            continue
        try:
            for child, _, parent, _ in con.execute(f"pragma foreign_key_check({quoted(table)})"):
                key = f"{child} → {parent}"
                broken[key] = broken.get(key, 0) + 1
        except sqlite3.OperationalError as error:
            unchecked[table] = str(getattr(error, "sqlite_errorname", "SQLITE_ERROR"))  # its text may quote a row
    return {"broken": broken, "unchecked": unchecked}


def sequences(path: str) -> "dict[str, Any]":
    """Tables whose AUTOINCREMENT does not keep its promise, that no id is given twice: it has forgotten how far it had
    come. And those that have come to the end."""
    con = connect(path)
    behind, spent = [], []
    for kind, name, _, sql in definitions(con):
        if kind != "table" or not sql or not _AUTOINCREMENT.search(_QUOTED.sub("", sql)):
            continue
        number = next(row[1] for row in con.execute(f"pragma table_info({quoted(name)})") if row[5])
        (highest,) = con.execute(f"select max({quoted(number)}) from {quoted(name)}").fetchone()
        kept = con.execute("select seq from sqlite_sequence where name = ?", (name,)).fetchone()
        known = kept[0] if kept and isinstance(kept[0], int) else 0
        if known < (highest or 0):
            behind.append(name)
        if known >= LAST_ID:
            spent.append(name)
    return {"behind": behind, "spent": spent}


def integrity(path: str) -> "dict[str, Any]":
    """Of a copy that may be written to, though it is not: where it may not, SQLite does not look at CHECKs. Rows that
    break one (`against`, by table) are no damage; since it stops at a hundred findings, they might hide some."""
    con = connect(path, WRITABLE)
    findings, lacks = integrity_findings(con)
    lines = [line for line in findings if not line.startswith(AGAINST)]
    if findings and not lines:
        con.execute("pragma ignore_check_constraints = on")
        lines, more = integrity_findings(con)
        lacks += more
    against: dict[str, int] = {}
    for line in findings:
        if line.startswith(AGAINST):
            table = line[len(AGAINST) :]
            against[table] = against.get(table, 0) + 1
    return {"found": len(lines), "lines": lines[:SHOWN], "against": against, "lacks": sorted(set(lacks))}


def integrity_findings(con: sqlite3.Connection) -> "tuple[list[str], list[str]]":
    """And what this SQLite lacks to look at all of it."""
    lacks: list[str] = []
    findings: list[str] = []
    for sql in integrity_questions(con):
        try:
            findings += [line for (line,) in con.execute(sql) if line != "ok"]
        except sqlite3.DatabaseError as error:
            if LACKS.search(str(error)):
                lacks.append(str(error))
                continue
            findings.append(str(error))
        if sql == WHOLE:
            break
    return findings, lacks


WHOLE, AGAINST = "pragma integrity_check", "CHECK constraint failed in "


def integrity_questions(con: sqlite3.Connection) -> "Iterator[str]":
    """All of it at once; then, where something is lacking for that, each table by itself."""
    yield WHOLE
    for table in stored_tables(con):
        yield f"{WHOLE}({quoted(table)})"


# --- questions ------------------------------------------------------------------------------------------------


def text(value: Any) -> "str | None":
    """As PostgreSQL's client would write it."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value if value is None or isinstance(value, str) else repr(value)


def query(path: str, sql: str) -> "dict[str, Any]":
    return {"rows": [[text(value) for value in row] for row in connect(path).execute(sql)]}


def export(path: str, sql: str, to: str) -> "dict[str, Any]":
    """One row a line, values apart by tabs, as PostgreSQL's COPY writes them."""
    meant = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
    with open(to, "x", encoding="utf-8", errors="surrogateescape", newline="") as out:  # noqa: PTH123
        for row in connect(path).execute(sql):
            values = ("\\N" if value is None else str(text(value)).translate(meant) for value in row)
            out.write("\t".join(values) + "\n")
    return {}


def erase(path: str, statements: str) -> "dict[str, Any]":
    """Carry out the first list of statements in one transaction, then the second; what any of them gives. Nothing of
    what is erased stays in the file."""
    first, then = json.loads(statements)
    con = sqlite3.connect(f"file:{quote(os.fsencode(path))}?{WRITABLE}", uri=True, isolation_level=None)
    con.text_factory = any_text
    con.set_progress_handler(beat, BEAT)
    for pragma in ("temp_store = memory", "trusted_schema = off", "secure_delete = on", "foreign_keys = on"):
        con.execute(f"pragma {pragma}")
    con.execute("begin immediate")
    rows = [row for statement in first for row in con.execute(statement)]
    con.execute("commit")
    rows += [row for statement in then for row in con.execute(statement)]
    con.execute("vacuum")
    con.execute("pragma wal_checkpoint(truncate)").fetchall()
    con.close()
    return {"rows": [[text(value) for value in row] for row in rows]}


def glance(path: str) -> "dict[str, Any]":
    """Does it open? A database that opens has definitions that can be read."""
    return {"tables": len(stored_tables(connect(path)))}


ASKED: "dict[str, Callable[..., dict[str, Any]]]" = {
    "glance": glance,
    "contents": contents,
    "references": references,
    "sequences": sequences,
    "integrity": integrity,
    "query": query,
    "export": export,
    "erase": erase,
}


def main() -> None:
    path, asked = sys.argv[1], json.load(sys.stdin)
    answers: dict[str, Any] = {"sqlite": sqlite3.sqlite_version}
    try:
        for name, arguments in asked.items():
            answers[name] = ASKED[name](path, *arguments)
    except (sqlite3.Error, sqlite3.Warning) as error:
        answers["refused"], answers["lacks"] = str(error), bool(LACKS.search(str(error)))
        answers["table"] = getattr(error, "table", None)
    except MemoryError:
        answers["refused"], answers["lacks"] = "memory", False
    print(json.dumps(answers))  # noqa: T201


if __name__ == "__main__":
    main()
