"""The client that loads what somebody else has written, onto a real server."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ccdr.engines.mariadb import accounts, newcomers
from ccdr.engines.mariadb.client import Login, lines, quote_name, quote_text
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE
from ccdr.engines.mariadb.objects import Objects, objects_of
from ccdr.ports.place import Place

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
