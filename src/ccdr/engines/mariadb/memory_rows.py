"""Rows of MEMORY tables of a server that is copied with its files: they are in none of these.

The log tells how they change, and a change of a row that is not there ends a recovery. So they are taken once the copy
has ended, under a lock, with the log's position of that moment, and loaded where the log has reached it. Until then,
and where they could not be taken, the log's changes of a table whose engine is MEMORY on the restored server itself
are left out, and counted.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb.client import Login, answers, in_list, quote_name, quote_text
from ccdr.engines.mariadb.dump.capture import ReadLock, require_characters
from ccdr.engines.mariadb.dump.files import HAS_AN_EMPTY_MEMBER, TOLD_AS_IT_IS, dump_rows
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE
from ccdr.engines.mariadb.logfile import number_of
from ccdr.model.errors import BackupFailed, CommandFailed, LogStops
from ccdr.model.values import Manifest
from ccdr.ports.capture import Tools
from ccdr.ports.place import Place

BESIDE = "memory"  # a directory beside the copy
FILE = f"{BESIDE}/rows.sql"
PROGRAM = f"{BESIDE}/log.awk"  # LEAVE_OUT, for a person
TAKEN = f"{BESIDE}/taken"  # for a person: where the log stood, then the key of each table whose rows were taken
LISTED, COUNTED = "/tmp/ccdr-memory-tables", "/tmp/ccdr-left-out"  # noqa: S108 - in the sandbox
# A database's and a table's name, each byte as two digits: whatever is in them.
_KEY = "CONCAT(HEX(t.table_schema), ' ', HEX(t.table_name))"
_TABLES = f"""SELECT JSON_ARRAY({_KEY}, t.table_schema, t.table_name) FROM information_schema.tables t
  WHERE t.engine = 'MEMORY' AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    AND t.table_schema NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')"""
# A trigger would act on rows that are loaded, a FLOAT is printed shorter than it is, and no client tells every text of
# other character sets, which value of an ENUM or SET is the wrong one, or a row's history to a table that is emptied.
_TAKEN = f"""{_TABLES} AND t.table_type = 'BASE TABLE' AND NOT EXISTS (SELECT 1 FROM information_schema.triggers g WHERE
    g.event_object_schema = t.table_schema AND g.event_object_table = t.table_name AND g.event_manipulation = 'INSERT')
  AND NOT EXISTS (SELECT 1 FROM information_schema.columns c WHERE
    c.table_schema = t.table_schema AND c.table_name = t.table_name AND (c.data_type = 'float'
      OR c.character_set_name NOT IN {TOLD_AS_IT_IS} OR ({HAS_AN_EMPTY_MEMBER})))
  ORDER BY t.table_schema, t.table_name;"""
# What empties one, and gives it the number that comes next, of which its rows tell nothing.
_EMPTIED = """SELECT JSON_QUOTE(CONCAT('TRUNCATE TABLE ', name, ';',
    IF(auto_increment IS NULL, '', CONCAT(' ALTER TABLE ', name, ' AUTO_INCREMENT=', auto_increment, ';'))))
  FROM (SELECT CONCAT('`', REPLACE(table_name, '`', '``'), '`') name, auto_increment FROM information_schema.tables
    WHERE table_schema = {} AND table_type = 'BASE TABLE' AND table_name IN ({})) t;"""
RENAMED = re.compile(r"^renamed: (?P<key>[0-9A-F]+ [0-9A-F]+)$", re.M)  # what LEAVE_OUT says then
# Any date that a table may hold, it is given; the head would be refused by a strict server for a default of another.
_MODE = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'"
_TAKE = f"""set -o pipefail; umask 077; to=$1 head=$2; shift 2
{{ printf '%s\\n' "$head"; "$@" | LC_ALL=C sed "s/SQL_MODE='NO_AUTO_VALUE_ON_ZERO'/{_MODE}/"; }} >> "$to" """
# What mariadb-binlog prints, without the changes of the tables that $1 lists; how many of each goes to $2. What changes
# rows is a BINLOG with an event a line or more: which table has which number (kind 19), then changes by that number.
# A statement's own text may look like one, and never begins where a statement does. Changes go by their table's name:
# where a statement gives such a table another one, or its name to another one, this ends.
LEAVE_OUT = r"""
function byte(at,  i, n, k, p) {
  i = int(at / 3) * 4; n = 0
  for (k = 1; k <= 4; k++) { p = index(DIGITS, substr(text, i + k, 1)); n = n * 64 + (p ? p - 1 : 0) }
  return int(n / 256 ^ (2 - at % 3)) % 256
}
function number(at, bytes,  n) { for (n = 0; bytes--; ) n = n * 256 + byte(at + bytes); return n }
function bare(words) { gsub(/[^0-9A-Za-z_$\200-\377]+/, " ", words); return toupper(" " words " ") }
function names(key,  out, i) {
  key = substr(key, index(key, " ") + 1)
  for (i = 1; i < length(key); i += 2) {
    out = out sprintf("%c", 16 * (index(HEX, substr(key, i, 1)) - 1) + index(HEX, substr(key, i + 1, 1)) - 1)
  }
  return bare(out)
}
function name(at,  out, n) { for (n = byte(at); n--; ) out = out sprintf("%02X", byte(++at)); return out }
BEGIN {
  DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"; begins = 1
  HEX = "0123456789ABCDEF"
  while ((getline line < listed) > 0) memory[line] = names(line)
}
begins && !block && /^BINLOG '$/ { block = 1; held = $0 "\n"; lines = some = 0; next }
block && !lines && /^'/ { block = 0; if (some) print; next }
block {
  if (!lines) {
    text = $0; kind = number(4, 1); id = number(19, 6)
    lines = int((int((number(9, 4) + 2) / 3) * 4 + 75) / 76)
    changes = (kind >= 20 && kind <= 25) || (kind >= 30 && kind <= 32) || (kind >= 166 && kind <= 171)
    out = changes && (id in left)
    if (out) count[left[id]]++
    if (!out && kind != 19) { printf "%s", held; held = ""; some = 1 }
  } else if (kind == 19) text = text $0
  lines--
  if (kind != 19) { if (!out) print; next }
  held = held $0 "\n"
  if (lines) next
  delete left[id]
  key = name(27) " " name(29 + byte(27))
  if (key in memory) left[id] = key
  next
}
begins && (/^#/ || /^$/) { print; next }
begins {
  head = $0; said = ""
  while (sub(/^[ \t]*\/\*[^*!M][^*]*\*\/[ \t]*/, "", head)) continue
  moves = toupper(head) !~ /^[ \t]*CREATE[ \t]/
}
moves && length(said) < 65536 { said = said "\n" $0 }
{ print; begins = /\/\*!\*\/;$/ }
begins && moves && toupper(said) ~ /RENAME/ {
  said = bare(said); gsub(/ RENAME (COLUMN|INDEX|KEY|USER) /, " ", said)
  if (said !~ / RENAME /) next
  for (key in memory) if (index(said, memory[key])) { print "renamed: " key > "/dev/stderr"; exit 9 }
}
END { for (key in count) print count[key] "\t" key > counted }
"""


@dataclass(frozen=True)
class MemoryRows:
    """As they were where the log stood at `position` of `file`, and at these GTIDs; `tables` are their keys."""

    file: str
    position: int
    gtid: str
    tables: frozenset[str]

    @classmethod
    def of(cls, manifest: Manifest) -> MemoryRows | None:
        """Of a whole server; None where none were taken."""
        taken: Any = manifest.contents["memory_rows"]
        return taken and cls(taken["file"], taken["position"], taken["gtid"], frozenset(taken["tables"]))

    def lies_before(self, file: str, position: int) -> bool:
        return (number_of(self.file), self.position) <= (number_of(file), position)

    def lies_before_all(self, gtids: str) -> bool:
        """Is each of these a transaction behind it?"""
        mine = {g.split("-")[0]: int(g.split("-")[2]) for g in filter(None, self.gtid.split(","))}
        parts = [g.split("-") for g in gtids.split(",")]
        return all(int(number) > mine.get(domain, 0) for domain, _, number in parts)


def takable(place: Place, login: Login) -> list[Any]:
    """The key, database and name of each table whose rows are taken; BackupFailed where they would be others."""
    if tables := answers(place, login, _TAKEN, "listing MEMORY tables"):
        require_characters(place, login)
    return tables


def take(place: Place, login: Login, tools: Tools, into: Path) -> dict[str, Any] | None:
    """Written to FILE of `into`, which is made ready to be carried out by anybody; for the manifest. None where there
    are none, or no lock was to be had. A table that cannot be read is left out."""
    (into / BESIDE).mkdir()
    (into / PROGRAM).write_text(LEAVE_OUT)
    (into / TAKEN).touch()
    if not (tables := takable(place, login)):
        return None
    lock = ReadLock(place, login, tools)
    taken: list[str] = []
    with suppress(BackupFailed, CommandFailed), lock.session() as session:
        instant = lock.taken(session, "", None)
        for database, group in groupby(tables, key=lambda table: table[1]):
            keys, names = zip(*((key, name) for key, _, name in group), strict=True)
            with suppress(CommandFailed):
                _take(place, login, into / FILE, database, names)
                taken += keys
        lock.release(session)
        if instant.binlog is not None:
            at = f"{instant.binlog['file']} {instant.binlog['position']}"
            (into / TAKEN).write_text("".join(f"{line}\n" for line in (at, *taken)))
            return {**instant.binlog, "tables": taken}
    return None


def _take(place: Place, login: Login, to: Path, database: str, names: Sequence[str]) -> None:
    whole = to.stat().st_size if to.exists() else 0
    argv = dumping(place, login, place.path(to), database, names)
    try:
        place.run(argv, watch=to.parent, what="mariadb-dump of MEMORY tables")
    except CommandFailed:
        with to.open("r+b") as file:
            file.truncate(whole)
        raise


def dumping(
    place: Place, login: Login, to: str, database: str, names: Sequence[str], *, anew: bool = False
) -> list[str]:
    """The command that adds to the file `to` what fills these tables as they are. `anew`: of a server that nobody else
    reaches, and that knows what a row's history is."""
    emptied = answers(place, login, _EMPTIED.format(quote_text(database), in_list(names)), "asking for next numbers")
    head = "\n".join([f"USE {quote_name(database)};\nSET {_MODE};", *emptied])
    return ["bash", "-c", _TAKE, "take", to, head, *dump_rows(login, database, names, lock=anew, histories=anew)]


def tables_of(box: Place, login: Login) -> frozenset[str]:
    """Keys of those that the restored server has now."""
    return frozenset(key for key, _, _ in answers(box, login, f"{_TABLES};", "listing MEMORY tables"))


def by_database(box: Place, login: Login) -> Iterator[tuple[str, list[str]]]:
    """The names of those that the restored server has now."""
    tables = answers(box, login, f"{_TABLES} ORDER BY 1;", "listing MEMORY tables")
    for database, group in groupby(tables, key=lambda table: str(table[1])):
        yield database, [str(name) for _, _, name in group]


def load(box: Place, login: Login, home: str) -> None:
    client = login.client(f"--init-command=SET SESSION {AS_THEY_ARE}")
    box.run(
        ["sh", "-c", 'from=$1; shift; "$@" < "$from"', "load", f"{home}/{FILE}", *client], what="loading MEMORY tables"
    )


def require_still(box: Place, login: Login, tables: Collection[str]) -> None:
    """LogStops where a table of which changes were left out is not of that engine any more."""
    if not tables:
        return
    sql = f"SELECT JSON_QUOTE({_KEY}) FROM information_schema.tables t WHERE t.engine <> 'MEMORY';"
    there = set(answers(box, login, sql, "listing tables"))
    if changed := sorted(named(key) for key in tables if key in there):
        raise LogStops(
            f"the log gives {', '.join(changed[:3])}, a MEMORY table whose rows the base lacks, another engine",
            hint="back up again: a base that is taken now has its rows",
        )


def named(key: str) -> str:
    return ".".join(bytes.fromhex(part).decode("utf-8", "replace") for part in key.split(" "))


def counted(text: str) -> Iterator[tuple[str, int]]:
    """Of what LEAVE_OUT wrote: how many changes of each table."""
    for line in text.splitlines():
        number, _, key = line.partition("\t")
        yield named(key), int(number)


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in sorted({*one, *other})}
