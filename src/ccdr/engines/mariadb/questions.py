"""What checks ask of a restored database, wherever it stands: `login` is how its server is reached. For a negative
control one row or one table of it is damaged.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import BinaryIO

from ccdr.engines.comparison import judged
from ccdr.engines.mariadb.accounts import names, orphans
from ccdr.engines.mariadb.client import Login, answers, quote_name, quote_text, rows_of
from ccdr.engines.mariadb.inventory import Inventory, objects_of
from ccdr.engines.mariadb.server import LACKS
from ccdr.engines.servers.sandbox import image_that_has_it
from ccdr.model.answers import FreeText, lacking
from ccdr.model.damage import Damage, NothingToDamage
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Pulse

# Damages a database that was restored into a sandbox, for a negative control: one row, or one table.

# What makes another value of one, by the column's type; the second where the first does not fit.
_TEXT = ("LEFT({c}, CHAR_LENGTH({c}) - 1)", "CONCAT({c}, '!')")
_NUMBER = ("{c} + 1", "{c} - 1")
_TIME = ("{c} + INTERVAL 1 DAY",)
_OTHERWISE = {
    **dict.fromkeys(("char", "varchar", "tinytext", "text", "mediumtext", "longtext"), _TEXT),
    **dict.fromkeys(("tinyint", "smallint", "mediumint", "int", "bigint", "decimal"), _NUMBER),
    **dict.fromkeys(("date", "datetime", "timestamp"), _TIME),
}
_TABLES = (
    "SELECT JSON_QUOTE(table_name) FROM information_schema.tables"
    " WHERE table_schema = {of} AND table_type = 'BASE TABLE' ORDER BY 1;"
)
_COLUMNS = (
    "SELECT JSON_ARRAY(column_name, data_type) FROM information_schema.columns WHERE table_schema = {of} AND"
    " table_name = {table} AND generation_expression IS NULL ORDER BY ordinal_position;"
)
# Keys to other tables and other conditions are not asked: it is damage, and no use.
_FREELY = "SET SESSION foreign_key_checks=0, check_constraint_checks=0;\n"


def damage(box: Place, login: Login, database: str, kind: Damage, chance: Random) -> str:
    """The table that it was done to. Each statement says itself whether it has changed a row."""
    tables = [str(name) for name in answers(box, login, _TABLES.format(of=quote_text(database)), "listing tables")]
    chance.shuffle(tables)
    for table in tables:
        name = f"{quote_name(database)}.{quote_name(table)}"
        if kind is Damage.TABLE_DROPPED:
            rows_of(box, login, f"{_FREELY}DROP TABLE {name};", "damaging the copy")
            return table
        asked = _COLUMNS.format(of=quote_text(database), table=quote_text(table))
        columns = [(str(c), str(t)) for c, t in answers(box, login, asked, "listing columns")]
        chance.shuffle(columns)
        if any(_changes(box, login, one) for one in _statements(kind, name, columns, chance)):
            return table
    raise NothingToDamage("no table of the database has a row that could be damaged so")


def _statements(kind: Damage, table: str, columns: list[tuple[str, str]], chance: Random) -> Iterator[str]:
    for name, type_ in columns:
        column, order = quote_name(name), chance.choice(("ASC", "DESC"))
        if kind is Damage.ROW_REMOVED:
            yield f"DELETE FROM {table} ORDER BY {column} {order} LIMIT 1"
            return
        for other in _OTHERWISE.get(type_, ()):
            new = other.format(c=column)
            where = f"{column} IS NOT NULL AND NOT (BINARY ({new}) <=> BINARY {column})"
            yield f"UPDATE {table} SET {column} = {new} WHERE {where} ORDER BY {column} {order} LIMIT 1"


def _changes(box: Place, login: Login, statement: str) -> bool:
    """A value that the column does not take, or that another row has, changes nothing."""
    try:
        told = rows_of(box, login, f"{_FREELY}{statement};\nSELECT ROW_COUNT();", "damaging the copy")
        return told == [["1"]]
    except CommandFailed as error:
        if error.stalled:
            raise
        return False


_READ_ONLY = "SET SESSION TRANSACTION READ ONLY;\nSTART TRANSACTION READ ONLY;\n"
_ROW = re.compile(r"<row>(.*?)</row>", re.DOTALL)
_FIELD = re.compile(r'<field name="[^"]*"(?: xsi:nil="true" />|>(?P<value>.*?)</field>)', re.DOTALL)
_RAW_FIELD = re.compile(rb'<field name="[^"]*"(?: xsi:nil="true" />|>(.*?)</field>)', re.DOTALL)
_ENTITIES = ((b"&lt;", b"<"), (b"&gt;", b">"), (b"&quot;", b'"'), (b"&amp;", b"&"))  # that one last
_LETTERS_OF = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"))  # that one first
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d:\d\d(\.\d+)?)?")
_EXPORT = """
set -e
raw=$1 to=$2 letters=$3; shift 3
"$@"
LC_ALL=C "$(command -v mawk || command -v awk)" "$letters" "$raw" > "$to"
rm -f "$raw"
"""
_LETTERS = r"""
!/\\/ { print; next }
{
  rest = $0; said = ""; ends = "\n"
  while ((i = index(rest, "\\")) > 0) {
    c = substr(rest, i + 1, 1)
    if (c == "") { c = "n"; ends = "" } else if (c == "\t") c = "t"
    said = said substr(rest, 1, i) c
    rest = substr(rest, i + 2)
  }
  printf "%s%s%s", said, rest, ends
}
"""
_BEGINS = re.compile(r"\\|^\s*(?:edit|pager|source|system|tee)\b", re.IGNORECASE | re.MULTILINE)
# A row that CHECK TABLE gives for what is well, and for what it cannot look at.
_WELL = ("OK",)
_CANNOT = "The storage engine for the table doesn't support check"


def _begins_others(sql: str) -> bool:
    """May the client begin a program by it, as `\\! …` and `system …` do, which could outlive the client?"""
    return _BEGINS.search(sql) is not None


def rows(
    box: Place, login: Login, database: str, sql: str, *, first: str = "", pulse: Pulse | None = None
) -> list[list[str | None]]:
    """As `Restored.query`, after the statements `first`. XML is the one output of the client that tells NULL from the
    text NULL."""
    output = box.run(
        login.client("--xml", "--batch", database=database),
        stdin=f"{first}{_READ_ONLY}{_ended(sql)}",
        what="the query",
        pulse=pulse,
        alone=_begins_others(sql),
    ).stdout
    return [[_text(field) for field in _FIELD.finditer(row[1])] for row in _ROW.finditer(output)]


def _text(field: re.Match[str]) -> str | None:
    value = field["value"]
    return None if value is None else html.unescape(value)


def newest(
    box: Place, login: Login, database: str, query: str, *, first: str = "", pulse: Pulse | None = None
) -> float | None:
    """As `Restored.newest`. A time is read in the source's zone: the sandbox's server was set to it, or `first` sets
    it."""
    answer = rows(box, login, database, query, first=first, pulse=pulse)
    if len(answer) > 1 or (answer and len(answer[0]) != 1):
        raise CommandFailed(["query"], 1, f"{len(answer)} rows of {len(answer[0])} columns, expected one timestamp")
    if not answer or (value := answer[0][0]) is None:
        return None
    if not _MOMENT.fullmatch(value):
        raise CommandFailed(["query"], 1, "its answer is no date and time; of seconds, make one with FROM_UNIXTIME()")
    epoch = rows(box, login, database, f"SELECT UNIX_TIMESTAMP({quote_text(value)})", first=first)[0][0]
    return float(epoch) if epoch is not None else None


def export(box: Place, login: Login, database: str, sql: str, to: Path) -> None:
    """As `Engine.export`. The sandbox's server writes the file; what it puts behind a backslash as it is, a tab or a
    line's end, is written as a letter then."""
    raw = to.with_name(f"{to.name}.raw")
    body, target = sql.rstrip().rstrip(";"), f"INTO OUTFILE {quote_text(box.path(raw))} CHARACTER SET utf8mb4"
    box.run(
        ["bash", "-c", _EXPORT, "export", box.path(raw), box.path(to), _LETTERS, *login.client(database=database)],
        # A line of its own for what ends it: the query's last line may be a comment.
        stdin=f"{_READ_ONLY}{body}\n{target};\n",
        watch=to.parent,
        what="the query",
        alone=_begins_others(sql),
    )


def export_from_afar(box: Place, login: Login, database: str, sql: str, to: Path, *, first: str = "") -> None:
    """As `export`, of a server whose disk is not ours: the client writes its XML beside `to`, which this host and
    `box` both see."""
    raw = to.with_name(f"{to.name}.xml")
    argv = login.client("--xml", "--batch", "--quick", database=database)
    try:
        box.run(
            ["sh", "-c", 'to=$1; shift; exec "$@" > "$to"', "export", box.path(raw), *argv],
            stdin=f"{first}{_READ_ONLY}{_ended(sql)}",
            watch=to.parent,
            what="the query",
            alone=_begins_others(sql),
        )
        with raw.open("rb") as xml, to.open("wb") as lines:
            for row in _rows_in(xml):
                lines.write(b"\t".join(b"\\N" if value is None else value for value in row) + b"\n")
    finally:
        raw.unlink(missing_ok=True)


def _rows_in(xml: BinaryIO, at_once: int = 2**20) -> Iterator[list[bytes | None]]:
    """Each row's values, as `export` writes them."""
    held = b""
    while more := xml.read(at_once):
        *whole, held = (held + more).split(b"</row>")
        for row in whole:
            yield [_written(field[1]) for field in _RAW_FIELD.finditer(row)]


def _written(value: bytes | None) -> bytes | None:
    if value is None:
        return None
    for was, becomes in (*_ENTITIES, *_LETTERS_OF):
        value = value.replace(was, becomes)
    return value


def integrity(
    context: CheckContext, login: Login, there: Sequence[tuple[str, str]] = (), *, working: str | None = None
) -> Iterator[CheckResult]:
    """Every table read through by its engine: those that were taken down, and those that are `there` (database and
    name); definers that exist, and auto-increments that are ahead. After a logical restore it proves that what was
    loaded is readable throughout, where it was loaded; `working` is the database's name until it has its own."""
    inventory, box = Inventory(context.manifest.contents), context.sandbox
    database, definers = working or inventory.database, inventory.definers
    tables = [(database, name) for name in inventory.tables]
    if context.recovered and there:  # by a log, which may have dropped some of what its base held
        tables, definers = [one for one in tables if one in there], objects_of(box, login, database).definers
    yield check_tables(context, login, database, [*dict.fromkeys([*tables, *there])])
    yield _definers(box, login, definers, inventory.orphans)
    yield _auto_increments(box, login, database)


def check_tables(context: CheckContext, login: Login, database: str, tables: Sequence[tuple[str, str]]) -> CheckResult:
    """Those of `database` are named without it."""
    name, prefix = "CHECK TABLE … EXTENDED", f"{database}."
    asked = "".join(f"CHECK TABLE {quote_name(where)}.{quote_name(t)} EXTENDED;\n" for where, t in tables)
    messages = rows_of(context.sandbox, login, asked, "CHECK TABLE")  # Table, Op, Msg_type, Msg_text
    if lacks := next((message for row in messages if (message := FreeText(row[-1])).search(LACKS)), None):
        raise TestBroken(
            f"the image lacks something that a table needs: {lacking(lacks)}",
            hint=image_that_has_it(context.manifest),
            words=lacks,
        )
    bad = sorted({row[0].removeprefix(prefix) for row in messages if not _is_well(row)})
    seen = {row[0].removeprefix(prefix) for row in messages}
    unseen = sorted({f"{where}.{t}".removeprefix(prefix) for where, t in tables} - seen)
    cannot = sum(row[3] == _CANNOT for row in messages)
    note = f", {cannot} of an engine that has no such check" if cannot else ""
    wrong = [f"{t} is not well" for t in bad] + [f"{t} was not checked" for t in unseen]
    detail = "\n".join("\t".join(row) for row in messages if not _is_well(row))
    return judged(
        name,
        wrong,
        f"{so_many(len(tables), 'table')} without a finding",
        f"{so_many(len(tables), 'table')}{note}",
        kind="integrity",
        detail=detail,
    )


def _is_well(row: list[str]) -> bool:
    return len(row) == 4 and ((row[2] == "status" and row[3] in _WELL) or (row[2] == "note" and row[3] == _CANNOT))


def _definers(box: Place, login: Login, definers: Mapping[str, str], before: Collection[str]) -> CheckResult:
    """Whoever a view, a trigger, a routine or an event acts for exists, if he did at the source."""
    orphaned = orphans(definers, names(box, login))
    wrong = [f"{name} is of {definers[name]}, who does not exist" for name in orphaned if name not in before]
    count = len(definers)
    note = f"; {len(before)} of them had none at the source either" if before else ""
    return judged("definers exist", wrong, f"{count} definers", f"{count} definers{note}", kind="integrity")


def _auto_increments(box: Place, login: Login, database: str) -> CheckResult:
    """The next number that a table gives is none that it has given."""
    listed = answers(
        box,
        login,
        f"""SELECT JSON_ARRAY(t.table_name, c.column_name, t.auto_increment) FROM information_schema.tables t
          JOIN information_schema.columns c ON c.table_schema = t.table_schema AND c.table_name = t.table_name
          JOIN information_schema.statistics s ON s.table_schema = c.table_schema AND s.table_name = c.table_name
            AND s.column_name = c.column_name AND s.seq_in_index = 1
          WHERE t.table_schema = {quote_text(database)} AND c.extra LIKE '%auto_increment%'
            AND t.auto_increment IS NOT NULL GROUP BY 1;""",
        "listing auto-increments",
    )
    asked = "".join(
        f"SELECT JSON_ARRAY({quote_text(t)}, MAX({quote_name(c)}) >= {int(n)}) "
        f"FROM {quote_name(database)}.{quote_name(t)};\n"
        for t, c, n in listed
    )
    behind = answers(box, login, asked, "asking for the newest numbers") if listed else []
    wrong = [f"{t} would give a number twice" for t, is_behind in behind if is_behind]
    return judged(
        "auto-increments are ahead",
        wrong,
        f"{len(listed)} ahead of every row",
        f"{len(listed)}, all ahead",
        kind="integrity",
    )


def _ended(sql: str) -> str:
    """With a semicolon on a line of its own: its last line may be a comment."""
    return f"{sql.rstrip().rstrip(';')}\n;\n"
