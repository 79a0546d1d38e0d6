"""A dump's texts for a database that is not called as it was: as long as it has a working name, or for good.

MariaDB cannot rename a database. What it prints of tables and views names the database where a sequence gives a
default, where a view calls a function by its full name, or where it reads other databases too: identifiers always stand
in backticks there, and texts in quotes. The bodies of triggers, routines and events are their authors' own text: they
are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TypeVar

from ccdr.engines.mariadb.client import quote_name
from ccdr.model.errors import TestBroken

V = TypeVar("V")
_EVENTS = re.compile(r"^--\n-- Dumping events for database '.*'\n--$", re.M)
_ROUTINES = re.compile(r"^--\n-- Dumping routines for database '.*'\n--$", re.M)
_TOKEN = re.compile(r"'(?:[^'\\]|\\.|'')*'|`(?:[^`]|``)*`", re.DOTALL)
_QUIET = re.compile(r"\b(SQL_NOTES|NOTE_VERBOSITY)=0")
_ENABLED = re.compile(
    r"^(/\*!50106 CREATE\*/ (?:/\*!\d+ DEFINER=.*?\*/ )?/\*!\d+ EVENT `(?:[^`]|``)*` ON SCHEDULE .*? "
    r"ON COMPLETION (?:NOT )?PRESERVE )ENABLE\b",
    re.M,
)
_TABLE = re.compile(r"^CREATE TABLE (`(?:[^`]|``)*`) \($", re.M)


def called(text: str, was: str, name: str) -> str:
    """The text of tables or views with every reference to the database `was` made one to `name`. A statement that uses
    the same word for something else, a table's alias, is left as it is."""
    if quote_name(was) not in text:
        return text
    return "".join(_called(line, was, name) for line in text.splitlines(keepends=True))


def _called(line: str, was: str, name: str) -> str:
    quoted, spans = quote_name(was), []
    for token in _TOKEN.finditer(line):
        if token[0] != quoted or line[: token.start()].endswith("."):
            continue
        if not line[token.end() :].startswith("."):
            return line
        spans.append(token.span())
    for start, end in reversed(spans):
        line = line[:start] + quote_name(name) + line[end:]
    return line


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


def sequence_defaults(tables: str, was: str, name: str) -> Iterator[str]:
    """Statements for a database whose tables have moved from `was` to `name`: the defaults that a sequence gives."""
    quoted = f"{quote_name(was)}."
    table = ""
    for line in tables.splitlines():
        if match := _TABLE.match(line):
            table = match[1]
        elif line.startswith("  `") and quoted in _TOKEN.sub(lambda t: "" if t[0][0] == "'" else t[0], line):
            column = _called(line, was, name).strip().removesuffix(",")
            yield f"ALTER TABLE {quote_name(name)}.{table} MODIFY {column};"


def but_events(objects: Mapping[str, V]) -> dict[str, V]:
    return {name: value for name, value in objects.items() if not name.startswith("event ")}
