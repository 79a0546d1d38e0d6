"""What a database needs that is not in its dump, or that its own rules forbid: whose fault it is that it does not load.

Only error numbers and names of objects are read out of what the client says, and only those are told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ccdr.engines.mariadb.client import OURS, Login, answers, quote_name, quote_text, read_answers, text_of
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.ports.place import Place

# What is not there, of another database: a table, a view or a sequence; a routine; the database itself.
_MISSING = re.compile(
    r"^ERROR (?:1146 .*?: Table '(?P<table>[^'.\n]+)\.[^\n]*' doesn't exist"
    r"|1305 .*?: (?:FUNCTION|PROCEDURE) (?P<routine>[^.\n]+)\.[^\n]* does not exist"
    r"|1049 .*?: Unknown database '(?P<database>[^'\n]+)')",
    re.M,
)
# Rows that a key or a rule of their own table forbids: the load changes nothing about them, so the source has them so.
_FORBIDDEN = re.compile(r"^ERROR (1022|1062|1586|4025|4112)\b", re.M)
_FILE = re.compile(r"^in (?P<file>[^\n]+)$", re.M)  # as `load_rows` says it
# What a MERGE table is a view of, and what a foreign key refers to.
_REFERRED = re.compile(
    r"^(?:\) ENGINE=MRG_MyISAM\b[^\n]* UNION=\(|  CONSTRAINT `(?:[^`]|``)+` FOREIGN KEY \([^\n]*?\) REFERENCES )"
    r"(?P<tables>[^\n]*)",
    re.M | re.I,
)
_QUALIFIED = re.compile(r"`((?:[^`]|``)+)`\.`")
_NEWLINE = "\n-- "  # in a name, as mariadb-dump's own comments have it
_TITLES = re.compile(r"^-- (?:Final view|Table|Sequence) structure for (?P<kind>view|table) `", re.M)


def database_lacking(error: CommandFailed, restored: Path, *own: str) -> str | None:
    """The other database that something in the dump refers to, and that is not there."""
    if (match := error.stderr.search(_MISSING)) is None:
        return None
    name = str(match["table"] or match["routine"] or match["database"])
    return name if name not in own and readers(restored, name) else None


def referred_lacking(place: Place, login: Login, tables: str, *own: str) -> str | None:
    """Another database, not there, that a MERGE table is a view of or a foreign key refers to: the table is made
    anyway, and cannot be read or written."""
    named = {
        pair[1].replace("``", "`") for one in _REFERRED.finditer(tables) for pair in _QUALIFIED.finditer(one["tables"])
    }
    if not (others := named - {*own}):
        return None
    there = answers(place, login, "SELECT JSON_QUOTE(schema_name) FROM information_schema.schemata;", "looking for it")
    return min(others - {*there}, default=None)


def readers(restored: Path, database: str) -> list[str]:
    """What names something of another database in its definition: `view answered`, `table call`."""
    return [
        name
        for file in (files.TABLES, files.VIEWS)
        if (restored / file).is_file()
        for name, text in _parts(text_of(restored / file))
        if f"{quote_name(database)}." in text
    ]


def _parts(script: str) -> Iterator[tuple[str, str]]:
    starts = list(_TITLES.finditer(script))
    for at, start in enumerate(starts):
        end = starts[at + 1].start() if at + 1 < len(starts) else len(script)
        name = re.match(r"(?:[^`]|``)*", script[start.end() : end])
        assert name is not None
        yield f"{start['kind']} {name[0].replace('``', '`').replace(_NEWLINE, ' ')}", script[start.end() : end]


def rows_against_rules(place: Place, login: Login, database: str) -> list[str]:
    """`call.positive (3)`: how many rows of a table break which of its CHECKs. One that cannot be asked here is not
    told: it makes no verdict."""
    asked = f"""SELECT JSON_ARRAY(table_name, constraint_name, check_clause) FROM information_schema.check_constraints
      WHERE constraint_schema = {quote_text(database)} ORDER BY table_name, constraint_name;"""
    rules: dict[str, list[tuple[str, str]]] = {}
    for table, name, clause in answers(place, login, asked, "listing CHECK constraints"):
        rules.setdefault(table, []).append((name, clause))
    if not rules:
        return []
    sql = "".join(
        f"SELECT JSON_ARRAY({quote_text(table)}, {', '.join(f'COALESCE(SUM(NOT ({clause})), 0)' for _, clause in of)}) "
        f"FROM {quote_name(database)}.{quote_name(table)};\n"
        for table, of in rules.items()
    )
    done = place.run([*login.asking(), "--force"], stdin=f"{OURS}{sql}", ok=range(256), what="counting by CHECKs")
    return [
        f"{table}.{name} ({count})"
        for table, *counts in read_answers(done.stdout)
        for (name, _), count in zip(rules[table], counts, strict=True)
        if int(count)
    ]


def held_so(error: CommandFailed, inventory: Inventory) -> BackupBad | None:
    """Where rows do not load since a key or a rule of their own table forbids them."""
    forbidden, file = error.stderr.search(_FORBIDDEN), error.stderr.search(_FILE)
    if forbidden is None or file is None:
        return None
    table = next(
        (t for t, facts in inventory.tables.items() if Path(str(facts["file"])).name == file["file"]), "a table"
    )
    hint = "mend those rows at the source; `method: physical` brings them back as they are"
    if any(column.startswith(f"{table}.") for column in inventory.facts["rounded"]):
        hint = "a dump writes FLOAT to six digits, and two values may become one: use DOUBLE, or `method: physical`"
    # A row dated ahead (a wrong clock, SET TIMESTAMP), that ON DELETE or ON UPDATE CASCADE has ended since.
    dated = forbidden[1] == "4112"
    which = "whose history ends before it begins" if dated else "that a key or a rule of that table forbids"
    return BackupBad(
        f"the source itself holds rows of {table} {which}: they do not load again (ERROR {forbidden[1]})",
        hint=hint,
    )
