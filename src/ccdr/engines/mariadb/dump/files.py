"""How a dump lies in files: definitions apart from rows, the rows of each table in a file of its own; and its texts for
a database of another name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ccdr.engines.mariadb.client import Login, quote_name, quote_text, unquoted
from ccdr.engines.mariadb.inventory import Table
from ccdr.host.shares import dealt
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed, TestBroken

# mariadb-dump writes one stream for all the tables that it is given (its own `--dir` has the *server* write the
# files). The stream of rows is parted by the line that begins each table. Rows alone are in it, every line of which
# the program has made: no text of a customer's, and no body of a routine, can look like such a line.

DATABASE, TABLES, CODE, VIEWS, ZONES = "database.sql", "tables.sql", "code.sql", "views.sql", "zones.sql"
_ZONES = ("", "_name", "_transition", "_transition_type", "_leap_second")
ROWS = "rows"  # a directory, a file for each table
TRAILER = b"-- Dump completed\n"
# What the client says once it has begun, and so holds its snapshot or its locks.
BEGUN = b"-- Retrieving table structure"
# As SQL has it: character sets of which the client tells every byte as it is (an ascii column may hold others); of a
# column, that it is an ENUM or SET with a member '', which is written as no member is.
TOLD_AS_IT_IS = "('utf8mb3', 'utf8mb4', 'latin1')"
HAS_AN_EMPTY_MEMBER = """column_type REGEXP "[(,]''[,)]" AND data_type IN ('enum', 'set')"""

# Parts a stream of rows: into a file for each table, named by the lines of $MAP (file, tab, first line; where a table's
# name holds a line's end, the next line behind a tab). A name goes on until its quotes are closed. Every file is
# complete in itself, and the same whatever came before it: the settings that the stream begins with, then one table's
# statements. $DATES (`dates`) is more of their SQL mode. It ends in the completion line only where the stream has gone
# on. In $LIST: file, tab, number of rows.
SPLIT = r"""
BEGIN {
  map = ENVIRON["MAP"]; list = ENVIRON["LIST"]
  first = ""
  while ((got = (getline line < map)) > 0) {
    i = index(line, "\t")
    if (i == 1) { first = first "\n" substr(line, 2); continue }
    if (first != "") name[first] = file
    file = substr(line, 1, i - 1); first = substr(line, i + 1)
  }
  if (first != "") name[first] = file
  head = ""; out = ""; done = 0; bad = 0
  if (got < 0) { print "cannot read " map > "/dev/stderr"; bad = 1; exit }
}
out != "" && /^\(/ { n++; print > out; next }
/^-- Dumping data for table / {
  finish()
  first = $0
  while (open(first) && (getline line) > 0) first = first "\n" line
  if (!(first in name)) { print "a table that was not asked for: " first > "/dev/stderr"; bad = 1; exit }
  out = name[first]; n = 0
  print first > out
  printf "%s", head > out
  next
}
/^-- Dump completed/ { finish(); done = 1; next }
/^--/ || /^$/ || /^\/\*M!999999/ { if (/^-- CHANGE MASTER TO /) print "position\t" $0 > list; next }
out == "" { sub(/NO_AUTO_VALUE_ON_ZERO/, "&" ENVIRON["DATES"]); head = head $0 "\n"; next }
/^\/\*!40103 SET TIME_ZONE=@OLD_TIME_ZONE/ { finish(); ended = 1; next }
ended { next }
/^INSERT INTO / {
  into = $0
  while (into !~ /^INSERT INTO `([^`]|``)*`( \((`([^`]|``)*`|[^`)])+\))? VALUES/) {
    if ((getline line) <= 0) { print "a statement that has no end" > "/dev/stderr"; bad = 1; exit }
    into = into "\n" line
  }
  if (into !~ / VALUES$/) n++
  print into > out
  next
}
{ print > out }
END {
  if (bad) exit 3
  if (!done) { print "the dump ended before its end" > "/dev/stderr"; exit 4 }
  if (close(list) > 0) exit 5
}
function open(text) { return gsub(/`/, "`", text) % 2 }
function finish() {
  if (out == "") return
  print "-- Dump completed" > out
  if (close(out) != 0) { bad = 1; exit }
  print out "\t" n > list
  out = ""
}
"""
# $1: where the client's messages go. $2: the program above; the rest is the client. Children do not outlive their
# master, which may be ended by a signal; the pipe fails where either side does.
PIPE = r"""
set -o pipefail
trap 'trap - TERM; kill 0' TERM
log=$1 split=$2; shift 2
awk=$(command -v mawk || command -v awk)
: > "$LIST"
{ "$@" 2> "$log" | LC_ALL=C "$awk" "$split"; } &
wait $!
code=$?
[ $code = 0 ] || grep -v '^-- ' "$log" >&2
exit $code
"""


def dump_rows(login: Login, database: str, tables: Sequence[str], *, lock: bool, histories: bool) -> list[str]:
    """The client that writes the rows of these tables: as of its snapshot, or (`lock`) of the moment at which it has
    locked them. Tables that are keyed come in their key's order, so that two dumps of equal rows are equal."""
    options = ["--verbose", "--no-create-info", "--skip-triggers", "--hex-blob", "--order-by-primary"]
    options.append("--skip-add-locks")  # a table that a sequence gives numbers to could not be loaded under its lock
    options.append("--lock-tables" if lock else "--single-transaction")
    if histories:
        options.append("--dump-history")
    return login.dump(*options, "--", database, *tables)


def dump_tables(login: Login, database: str, views: Iterable[str], to: str) -> list[str]:
    ignored = [f"--ignore-table={database}.{view}" for view in views]
    options = ["--no-data", "--skip-triggers", "--skip-lock-tables", *ignored, f"--result-file={to}"]
    return login.dump(*options, "--", database)


def dump_code(login: Login, database: str, views: Iterable[str], to: str) -> list[str]:
    ignored = [f"--ignore-table={database}.{view}" for view in views]
    options = ["--no-data", "--no-create-info", "--skip-lock-tables", "--routines", "--events", "--triggers"]
    return login.dump(*options, "--add-drop-trigger", *ignored, f"--result-file={to}", "--", database)


def dump_views(login: Login, database: str, views: Sequence[str], to: str) -> list[str]:
    options = ["--no-data", "--skip-triggers", "--skip-lock-tables", f"--result-file={to}"]
    return login.dump(*options, "--", database, *views)


def dump_zones(login: Login, to: str) -> list[str]:
    """The server's own table of time zones' names."""
    options = ["--no-create-info", "--skip-triggers", "--skip-lock-tables", f"--result-file={to}"]
    return login.dump(*options, "--", "mysql", *(f"time_zone{name}" for name in _ZONES))


def dates(sql_mode: str) -> str:
    """Dates that no calendar has (2020-02-31) load from these files where the source's server takes them. Elsewhere
    they do not: a generated column of a text would hold what it does not hold at the source."""
    return ",ALLOW_INVALID_DATES" if "ALLOW_INVALID_DATES" in sql_mode else ""


def map_entry(file: str, table: str) -> str:
    """Of $MAP: where the rows go that come after what mariadb-dump writes before them."""
    first = f"-- Dumping data for table {quote_name(table)}".replace("\n", "\n-- ")
    return f"{file}\t{first}".replace("\n", "\n\t") + "\n"


def file_names(tables: Iterable[str]) -> dict[str, str]:
    """A file for each table: its name, where that is plain; else with each other character by its number, as MariaDB
    itself does."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for table in sorted(tables):
        plain = re.sub(r"[^A-Za-z0-9_-]", lambda m: f"@{ord(m[0]):04x}", table)[:200]
        name, number = plain, 1
        while name.lower() in taken:
            number += 1
            name = f"{plain}@{number}"
        taken.add(name.lower())
        names[table] = f"{ROWS}/{name}.sql"
    return names


def shares(tables: Iterable[Table], count: int) -> list[list[str]]:
    """Names of tables dealt out to at most `count` clients, so that all finish at about the same time."""
    return dealt({table.name: table.bytes for table in tables}, count)


def read_list(text: str) -> tuple[dict[str, int], str | None]:
    """Rows by file, and the log's position that the dump names, from what `SPLIT` has listed."""
    rows, position = {}, None
    for line in text.splitlines():
        name, _, rest = line.partition("\t")
        if name == "position":
            position = rest
        else:
            rows[name] = int(rest)
    return rows, position


def complete(path: Path) -> bool:
    """Does it end as a dump that went to its end? One that was cut off loads all the same, with exit 0."""
    with path.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - len(TRAILER)))
        return file.read() == TRAILER


def troubles(stderr: FreeText, tables: Iterable[str] = ()) -> FreeText:
    """What the client complained of, though it may have exited with 0; false where it did not. `tables` are those that
    it tells of."""
    text = stderr.reveal()
    for name in tables:
        if "\n" in name:
            text = text.replace(name, name.replace("\n", " "))
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("-- ")]
    return FreeText("\n".join(lines[:5]))


def check_whole(path: Path, what: str) -> None:
    if not complete(path):
        raise CommandFailed(["mariadb-dump"], 0, f"{path.name} does not end as a complete dump does", what=what)


_DROP = re.compile(
    r"^/\*!\d+ DROP (?P<kind>TRIGGER|EVENT|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE) IF EXISTS "
    r"(?P<name>`(?:[^`]|``)+`) ?\*/;$",
    re.M,
)


def missing_code(script: str, named: Iterable[str]) -> list[str]:
    """Which of `named` (`trigger stamp`, `function f`; views are elsewhere) the script does not make."""
    made = {f"{m['kind'].lower()} {unquoted(m['name'])}" for m in _DROP.finditer(script)}
    return [name for name in named if not name.startswith("view ") and name not in made]


def database_of(restored: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """With its comment, which no manifest holds: it stands in the statement that makes the database."""
    made = (restored / DATABASE).read_text("utf-8", "surrogateescape")
    without = create_database({**facts, "comment": ""}).removesuffix(";\n")
    quoted = made.removeprefix(without).removesuffix(";\n").removeprefix(" COMMENT ")
    return {**facts, "comment": quoted[1:-1].replace("''", "'").replace("\\\\", "\\")}


def create_database(facts: Mapping[str, Any]) -> str:
    """An empty database like the captured."""
    comment = f" COMMENT {quote_text(facts['comment'])}" if facts["comment"] else ""
    name, charset, collation = quote_name(facts["database"]), facts["charset"], facts["collation"]
    return f"CREATE DATABASE {name} CHARACTER SET {charset} COLLATE {collation}{comment};\n"


# A dump's texts for a database that is not called as it was: as long as it has a working name, or for good.
#
# MariaDB cannot rename a database. What it prints of tables and views names the database where a sequence gives a
# default, where a view calls a function by its full name, or where it reads other databases too: identifiers always
# stand in backticks there, and texts in quotes. The bodies of triggers, routines and events are their authors' own
# text: they are left as they are.

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
