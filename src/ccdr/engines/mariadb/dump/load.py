"""How a dump's files are loaded, wherever the server stands, and the client that does so onto a real one."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.mariadb import accounts, newcomers, variables
from ccdr.engines.mariadb.client import Login, lines, quote_name, quote_text, text_of
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.inventory import Inventory, Objects, objects_of
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.model.values import Manifest
from ccdr.ports.place import Place, Pulse

# The rest is mariadb-dump's, and ends as it ends.
_OURS = (files.DATABASE, accounts.USERS, accounts.GRANTS, variables.FILE)
_SQL_MODE = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'"
# A row that breaks a CHECK of its table is loaded as the source holds it; the tests tell of it.
AS_THEY_ARE = "check_constraint_checks=0"
# Where a table's files lay at the source is no place elsewhere; an engine that a server lacks is no other one.
AS_DEFINED = (_SQL_MODE, f"{_SQL_MODE[:-1]},ALLOW_INVALID_DATES,NO_DIR_IN_CREATE,NO_ENGINE_SUBSTITUTION'")
# ARCHIVE takes no number that is not ahead of what it has given, so its rows must come before it has given any.
_ARCHIVE = re.compile(
    r"^(CREATE TABLE `(?P<name>(?:[^`]|``)+)` \((?:\n  [^\n]*)+\n\) ENGINE=ARCHIVE\b[^\n]*?) AUTO_INCREMENT=\d+", re.M
)
# $1: how many at a time; the rest is the client. Names come on standard input, largest first.
_LOAD_ROWS = r"""
jobs=$1; shift
xargs -0 -r -n 1 -P "$jobs" bash -c '
  file=${@: -1}; set -- "${@:1:$#-1}"
  "$@" < "$file" || { echo "in ${file##*/}" >&2; exit 255; }' load "$@"
"""
# Rows that InnoDB takes in bulk are looked at when they are all there, and it does not tell then what is wrong.
_UNTOLD = re.compile(r"^ERROR 1180 [^\n]*\nin (?P<file>[^\n]+)$", re.M)
_ONE_BY_ONE = """
sed '1,/^INSERT/s/ UNIQUE_CHECKS=0/ UNIQUE_CHECKS=1/' < "$0" | "$@" || { echo "in ${0##*/}" >&2; exit 1; }
"""


def require_whole(restored: Path, manifest: Manifest) -> None:
    """BackupBad where a file of the client's does not end as it must: it would load all the same, without an error."""
    for name in manifest.files:
        if name not in _OURS and not files.complete(restored / name):
            raise BackupBad(
                f"{name} does not end as a complete dump does, so rows or definitions are missing from it",
                hint="restore an older snapshot, and back up again",
            )


def tables_of(restored: Path, inventory: Inventory) -> str:
    """The script that makes the tables, as any server can carry it out before their rows come."""
    script = text_of(restored / files.TABLES).replace(*AS_DEFINED, 1)

    def without_number(definition: re.Match[str]) -> str:
        table = inventory.tables.get(definition["name"].replace("``", "`"), {"rows": 0})
        return definition[1] if int(table["rows"]) else definition[0]

    return _ARCHIVE.sub(without_number, script)


def load_rows(
    place: Place, client: list[str], restored: Path, inventory: Inventory, jobs: int, pulse: Pulse | None = None
) -> None:
    """Every table's rows, by so many clients at a time."""
    largest = sorted(inventory.tables.values(), key=lambda t: -int(t["bytes"]))
    names = "".join(f"{place.path(restored / str(t['file']))}\0" for t in largest)
    argv = ["bash", "-c", _LOAD_ROWS, "load", str(jobs), *client]
    try:
        place.run(argv, stdin=names, what="loading rows", pulse=pulse)
    except CommandFailed as error:
        if (failed := error.stderr.search(_UNTOLD)) and not error.stalled:
            file = place.path(restored / files.ROWS / failed["file"])
            place.run(["bash", "-c", _ONE_BY_ONE, file, *client], what="loading rows", pulse=pulse)
        raise


# The client that loads what somebody else has written, onto a real server.

# A table may hold what only its source's own settings allow.
_AS_CAPTURED = ("innodb_strict_mode", "explicit_defaults_for_timestamp", "max_heap_table_size")


@dataclass(frozen=True)
class Writer:
    """One server, through one place. It touches no file there, and the server's own limits and habits do not change
    what is loaded. `captured` are the source's settings."""

    place: Place
    login: Login
    captured: Mapping[str, str]

    def client(self, database: str | None = None) -> list[str]:
        settings = f"max_statement_time=0, lock_wait_timeout=60, foreign_key_checks=1, {AS_THEY_ARE}"
        settings += "".join(f", {name}={self.captured[name]}" for name in _AS_CAPTURED if name in self.captured)
        return self.login.client("--loose-sandbox", f"--init-command=SET SESSION {settings}", database=database)

    def run(self, script: str, what: str, database: str | None = None, *options: str) -> str:
        if not script.strip():
            return ""
        return self.place.run([*self.client(database), *options], stdin=script, what=what).stdout

    def forced(self, script: str, what: str) -> None:
        """Each of its statements, whatever becomes of the others."""
        self.place.run([*self.client(), "--force"], stdin=script, ok=range(256), what=what)

    def lines(self, sql: str, what: str) -> list[str]:
        return lines(self.place, self.login, sql, what)

    def objects(self, database: str) -> Objects:
        return objects_of(self.place, self.login, database)

    def revoke(self, rights: Sequence[str], database: str) -> None:
        """Rights in a database, which outlive it. Some are gone already: no error is one here."""
        if rights:
            on_all, on_objects = newcomers.rights_in(rights, database)
            self.forced(accounts.script(newcomers.revoking([*on_all, *on_objects])), "revoking rights")

    def drop(self, database: str, what: str) -> None:
        self.run(f"DROP DATABASE IF EXISTS {quote_name(database)};\n", what)

    def end_sessions(self, working: str, name: str) -> None:
        """Ours that may still go on: a client that was stopped does not stop what the server does for it."""
        sql = f"""SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()
          AND (db = {quote_text(working)} OR info LIKE {quote_text(f"%{working}%")}
            OR db = {quote_text(name)} AND user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1));"""
        for _ in range(50):
            sessions = self.lines(sql, "looking for sessions")
            if not sessions:
                return
            self.forced("".join(f"KILL {int(i)};\n" for i in sessions), "ending sessions")
            time.sleep(0.1)
