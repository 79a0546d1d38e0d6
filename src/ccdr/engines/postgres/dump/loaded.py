"""A database on a real server, while it is loaded and once it is, under the name that it has until it is whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccdr.engines.postgres import erasing, questions
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import identity
from ccdr.engines.postgres.inventory import Inventory
from ccdr.engines.servers.target import HowFar
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import TestBroken
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

# A value that changes while the server works for us. Some work (a foreign key's check) shows in no view: then an
# active session that waits for no lock is taken for work.
HOW_FAR = """\
select pg_database_size(d.oid),
  (select count(*) from pg_stat_activity a where a.datid = d.oid and a.pid <> pg_backend_pid() and a.state = 'active'
     and a.wait_event_type is distinct from 'Lock')
from pg_database d where d.datname = :'name'
"""


def how_far(place: Place, env: Mapping[str, str], working: str) -> tuple[int, int]:
    """As `HowFar` asks."""
    output = place.run([*PSQL, "-v", f"name={working}", "-f", "-"], stdin=HOW_FAR, env=env).stdout
    size, active = map(int, output.strip().split("|"))
    return size, active


@dataclass(frozen=True)
class Loaded:
    """`Restored` for a database on a real server, under its working name."""

    has_server: ClassVar[bool] = True

    env: Mapping[str, str]
    jobs: int
    inventory: Inventory
    pulse: HowFar

    @property
    def _asking(self) -> dict[str, str]:
        """A timestamp without a zone is read in the source's."""
        return {**self.env, "PGOPTIONS": f"{self.env['PGOPTIONS']} -c TimeZone={self.inventory.timezone}"}

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self._asking, sql, self.pulse)

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self._asking, query, self.pulse)

    def export(self, box: Place, manifest: Manifest, sql: str, to: Path) -> None:
        """As `Engine.export`."""
        questions.export(box, self._asking, self.inventory.encoding, sql, to)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return identity.compare(context, self.env, self.jobs, working=self.env["PGDATABASE"])

    def erase(self, context: CheckContext, wanted: Sequence[Wanted], *, in_part: bool = False) -> Replayed:
        return erasing.erase(context.sandbox, self.env, wanted, self.pulse, in_part=in_part)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        try:
            yield from questions.integrity(context, self.env, self.jobs, self.pulse)
        except TestBroken as error:  # amcheck is a package of its own on many servers: no reason not to restore
            yield CheckResult(
                kind="integrity",
                name="pg_amcheck --heapallindexed",
                status=Verdict.SKIPPED,
                expected="no corruption",
                actual=f"not looked at: {error}",
            )
