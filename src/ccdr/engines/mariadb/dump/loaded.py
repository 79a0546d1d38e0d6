"""A database on a real server, while it is loaded and once it is, under the name that it has until it is whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ccdr.engines.mariadb import questions
from ccdr.engines.mariadb.client import Login, answers, quote_text
from ccdr.engines.mariadb.dump import identity
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.model.errors import CommandFailed
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.check import Bench
from ccdr.ports.place import Place, Progress

LOOK_EVERY = 2.0  # seconds between two looks at how far a load has come
# A value that changes while the server works for us: what the database takes, and a session that waits for no lock.
HOW_FAR = """\
SELECT JSON_ARRAY(
  (SELECT COALESCE(SUM(file_size), 0) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE {files})
    + (SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
       WHERE table_schema = {name} AND engine <> 'InnoDB'),
  (SELECT COUNT(*) FROM information_schema.processlist WHERE db = {name} AND command = 'Query'
     AND state NOT LIKE 'Waiting for%' AND id <> CONNECTION_ID()));
"""


@dataclass(frozen=True)
class Loaded:
    """`Restored` for a database on a real server, under its working name."""

    has_server: ClassVar[bool] = True

    login: Login
    jobs: int
    inventory: Inventory
    working: str
    pulse: HowFar

    @property
    def _first(self) -> str:
        """A session as the source has them: times without a zone are read in its zone."""
        mode = quote_text(self.inventory.settings.get("sql_mode", ""))
        return f"SET SESSION time_zone={quote_text(self.inventory.zone)}, sql_mode={mode};\n"

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self.login, self.working, sql, first=self._first, pulse=self.pulse)

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self.login, self.working, query, first=self._first, pulse=self.pulse)

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        return identity.compare(bench, self.login, self.jobs, working=self.working)

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        return questions.integrity(bench, self.login, working=self.working)


@dataclass
class HowFar:
    """How far the server has come, asked of it every other second: for the person who waits, and for the watchdog."""

    place: Place
    login: Login
    working: str
    progress: Progress
    _asked: float = 0.0
    _answer: object = None

    def __call__(self) -> object:
        if time.monotonic() - self._asked < LOOK_EVERY:
            return self._answer
        self._asked = time.monotonic()
        files = quote_text(self.working.replace("_", r"\_") + "/%")
        sql = HOW_FAR.format(name=quote_text(self.working), files=files)
        try:
            ((size, active),) = answers(self.place, self.login, sql, "asking the target")
        except (CommandFailed, ValueError):
            return self._answer  # no answer is no progress
        self.progress.amount(int(size), None)
        self._answer = (size, self._asked if int(active) else 0)
        return self._answer
