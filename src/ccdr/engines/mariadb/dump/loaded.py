"""A database on a real server, while it is loaded and once it is, under the name that it has until it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccdr.engines.mariadb import erasing, questions
from ccdr.engines.mariadb.client import Login, answers, quote_text
from ccdr.engines.mariadb.dump import identity
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.servers.target import HowFar
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

# A value that changes while the server works for us: what the database takes, and a session that waits for no lock.
HOW_FAR = """\
SELECT JSON_ARRAY(
  (SELECT COALESCE(SUM(file_size), 0) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE {files})
    + (SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
       WHERE table_schema = {name} AND engine <> 'InnoDB'),
  (SELECT COUNT(*) FROM information_schema.processlist WHERE db = {name} AND command = 'Query'
     AND state NOT LIKE 'Waiting for%' AND id <> CONNECTION_ID()));
"""


def how_far(place: Place, login: Login, working: str) -> tuple[int, int]:
    """As `HowFar` asks."""
    files = quote_text(working.replace("_", r"\_") + "/%")
    sql = HOW_FAR.format(name=quote_text(working), files=files)
    ((size, active),) = answers(place, login, sql, "asking the target")
    return int(size), int(active)


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

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        """As `Engine.export`."""
        questions.export_from_afar(box, self.login, self.working, sql, to, first=self._first)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return identity.compare(context, self.login, self.jobs, working=self.working)

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        called = self.inventory.database
        return erasing.erase(
            context.sandbox, self.login, self.working, wanted, self.pulse, called=called, in_part=in_part
        )

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        return questions.integrity(context, self.login, working=self.working)
