"""A dump's texts for a database that is not called as it was: as long as it has a working name, or for good.

MariaDB cannot rename a database. What it prints of tables and views names the database where a sequence gives a
default, where a view calls a function by its full name, or where it reads other databases too: identifiers always stand
in backticks there, and texts in quotes. The bodies of triggers, routines and events are their authors' own text: they
are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from ccdr.engines.mariadb.client import quote_name
from ccdr.model.errors import TestBroken

V = TypeVar("V")
_EVENTS = re.compile(r"^--\n-- Dumping events for database '.*'\n--$", re.M)
_ROUTINES = re.compile(r"^--\n-- Dumping routines for database '.*'\n--$", re.M)
# Comments hold names as they are, and a name may be half a quote.
_TOKEN = re.compile(r"^--[^\n]*|'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`", re.DOTALL | re.M)
_QUIET = re.compile(r"\b(SQL_NOTES|NOTE_VERBOSITY)=0")
_ENABLED = re.compile(
    r"^(/\*!50106 CREATE\*/ (?:/\*!\d+ DEFINER=.*?\*/ )?/\*!\d+ EVENT `(?:[^`]|``)*` ON SCHEDULE .*? "
    r"ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b",
    re.M,
)
# A table with its name, then each of its columns and foreign keys with its definition.
_DEFINED = re.compile(
    r"^CREATE TABLE (?P<table>`(?:[^`]|``)*`) \($|^  (?P<column>`(?:[^`]|``)*` .*?),?$"
    r"|^  (?P<constraint>CONSTRAINT (?P<key>`(?:[^`]|``)*`) FOREIGN KEY .*?),?$",
    re.M,
)
# `a`.`b` is a column of the table or alias `a`, but in these places: in the database `a` it is a table or a sequence,
# and a routine or a table's column with what follows.
_BEFORE = re.compile(r"(?P<column>\b(?:extract|trim)\([^()]*)?(?:\bfrom|join) \(*$|\b(?:nextval|lastval|setval)\($")
_AFTER = re.compile(r"\.`(?:[^`]|``)*`[.(]")


def called(text: str, was: str, name: str) -> str:
    """The text of tables or views with every reference to the database `was` made one to `name`. The same word for
    something else (a column, a view, a table's alias) is left as it is."""
    quoted, parts, done = quote_name(was), [], 0
    for token in _TOKEN.finditer(text):
        if token[0] == quoted and _is_database(text, *token.span()):
            parts += [text[done : token.start()], quote_name(name)]
            done = token.end()
    return "".join([*parts, text[done:]])


def _is_database(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 200) : start]
    if before.endswith(".") or not text.startswith(".", end):
        return False
    place = _BEFORE.search(before)
    return bool((place and not place["column"]) or _AFTER.match(text, end))


def apart(code: str) -> tuple[str, str]:
    """Triggers and routines, without the line that names the database; and the events, with the settings that such a
    text begins with. Either can be carried out by itself."""
    begin, end = list(_EVENTS.finditer(code)), list(_ROUTINES.finditer(code))
    if len(begin) != 1 or len(end) != 1 or begin[0].start() > end[0].start():
        raise TestBroken(
            "nobody can tell where the events of code.sql begin: a routine holds the line that they begin with",
            hint="restore into a directory, and load it by hand: docs/how-to/recover.md",
        )
    start, stop = begin[0].start(), end[0].start()
    head = code[: code.find("\n\n", code.find("SQL_MODE=")) + 1] if "SQL_MODE=" in code[:start] else ""
    return code[:start] + code[end[0].end() :], f"{head}\n{code[start:stop]}"


def telling(events: str) -> str:
    """The events of `apart`, with the server telling whose time is up: a dump begins by keeping it quiet."""
    head, mark, rest = events.partition("-- Dumping events for database")
    return _QUIET.sub(r"\1=1", head) + mark + rest


def disabled(events: str) -> str:
    """None of them runs until somebody says so."""
    return _ENABLED.sub(r"\1DISABLE", events)


def left_behind(tables: str, was: str, name: str, keys: Collection[tuple[str, str]]) -> Iterator[str]:
    """Statements for a database whose tables have moved from `was` to `name`: the defaults that a sequence gives, and
    foreign `keys` (table, key) to what has not moved with them."""
    quoted = {(quote_name(table), quote_name(key)) for table, key in keys}
    table = ""
    for part in _DEFINED.finditer(tables):
        table = part["table"] or table
        if (column := part["column"]) and (moved := called(column, was, name)) != column:
            yield f"ALTER TABLE {quote_name(name)}.{table} MODIFY {moved};"
        elif (table, part["key"]) in quoted:
            yield f"ALTER TABLE {quote_name(name)}.{table} DROP FOREIGN KEY {part['key']};"
            yield f"ALTER TABLE {quote_name(name)}.{table} ADD {part['constraint']};"


def but_events(objects: Mapping[str, V]) -> dict[str, V]:
    return {name: value for name, value in objects.items() if not name.startswith("event ")}
