"""Method `dump`: what mariadb-dump writes, uncompressed and a file for each table, so that restic deduplicates it and
tables load in parallel. What it does not hold (users, grants, the database's own properties) goes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.engines.base import tables_and_rows
from ccdr.engines.mariadb import accounts, questions, rights, server
from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.connection import major_of
from ccdr.engines.mariadb.dump import files, identity
from ccdr.engines.mariadb.dump.capture import Dumper, require_capturable
from ccdr.engines.mariadb.inventory import Inventory, objects_of
from ccdr.engines.methods import unloadable
from ccdr.errors import BackupBad, BackupFailed, CommandFailed, TestBroken
from ccdr.interfaces import Bench, Capture, Place, SandboxNeeds, Source, Tools
from ccdr.model import CheckResult, Look, Manifest

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

_OURS = (files.DATABASE, accounts.USERS, accounts.GRANTS)  # the rest is mariadb-dump's, and ends as it ends
_SQL_MODE = "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'"
# $1: how many at a time; the rest is the client. Names come on standard input, largest first.
_LOAD_ROWS = r"""
jobs=$1; shift
xargs -0 -r -n 1 -P "$jobs" bash -c '
  file=${@: -1}; set -- "${@:1:$#-1}"
  "$@" < "$file" || { echo "in ${file##*/}" >&2; exit 255; }' load "$@"
"""


@dataclass(frozen=True)
class Dump:
    """`Method` for one database, loaded into a new server."""

    asset: MariaDB

    # --- the source -----------------------------------------------------------------------------------

    @property
    def programs(self) -> tuple[str, ...]:
        return ("mariadb", "mariadb-dump")

    @property
    def source_name(self) -> str:
        return self.asset.connection.database

    def rights(self, source: Source) -> Iterator[Look]:
        c = self.asset.connection
        login = c.login(source.credentials)
        found = rights.rights_of(source.place, login, c.database)
        yield from rights.judged(found, c.user, c.database)
        if not found.lacking:
            objects = objects_of(source.place, login, c.database)
            try:
                require_capturable(objects, c.database, lock=self._lock)
            except BackupFailed as error:
                yield Look.fail("tables", str(error), error.hint or "change the plan, or the source")
            else:
                locked = f"; {n} are locked while they are dumped" if (n := len(objects.locked)) else ""
                yield Look.ok("tables", f"{len(objects.with_rows)} tables with rows{locked}")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        c = self.asset.connection
        login = c.login(source.credentials)
        rights.require(rights.rights_of(source.place, login, c.database), c.user, c.database)
        return Dumper(source.place, login, c.database, self.asset.jobs, self._lock, tools).capture(into)

    @property
    def _lock(self) -> bool:
        """May tables that are not transactional be locked while they are dumped?"""
        return self.asset.non_transactional == "lock"

    # --- the sandbox ----------------------------------------------------------------------------------

    def sandbox(self, manifest: Manifest) -> SandboxNeeds:
        inventory = Inventory(manifest.contents)
        return SandboxNeeds(
            # Sorting for an index takes room beside the data.
            bytes=int(inventory.database_bytes * 1.5) + server.REDO + 2**30,
            memory=self._memory + 2 * inventory.memory_bytes,
            user="mysql",
            major=major_of(inventory.version),
            data_dir=server.DATA,
        )

    @property
    def _memory(self) -> int:
        return self.asset.memory or server.MEMORY

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        version = server.fitting_version(box, inventory.version)
        options = server.settings(inventory, self._memory, throwaway=self.asset.settings == "throwaway")
        server.start(
            box,
            options | self.asset.server_settings,
            inventory.libraries,
            version,
            named_zones=bool(inventory.facts["named_zones"]),
        )
        return version

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return tables_and_rows(manifest)

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        inventory, login = Inventory(manifest.contents), self.restored(manifest)
        for sql in (server.zone_sql(inventory.zone), *self.asset.prepare_sql):
            try:
                box.run(login.client(), stdin=sql, what="prepare_sql")
            except CommandFailed as error:
                raise TestBroken(str(error), hint="mend the asset's `prepare_sql:`") from None
        for name in manifest.files:
            if name not in _OURS and not files.complete(restored / name):
                raise BackupBad(
                    f"{name} does not end as a complete dump does, so rows or definitions are missing from it",
                    hint="restore an older snapshot, and back up again",
                )
        try:
            self._load(box, restored, inventory, login)
        except CommandFailed as error:
            raise unloadable(error, server.LACKS) from None

    def _load(self, box: Place, restored: Path, inventory: Inventory, login: Login) -> None:
        """Triggers come after the rows, so that they do not act on them; views after the routines that they call."""
        here, anywhere = login.client(database=inventory.database), login.client()
        found = accounts.loadable(accounts.read(restored), inventory.database, inventory.names)
        users, grants = map(accounts.script, accounts.on_objects(found))
        box.run(anywhere, stdin=_text(restored / files.DATABASE), what="making the database")
        box.run(anywhere, stdin=users, what="making users")
        # Where a table's files lay at the source is no place in a sandbox.
        tables = _text(restored / files.TABLES).replace(_SQL_MODE, f"{_SQL_MODE[:-1]},NO_DIR_IN_CREATE'", 1)
        box.run(here, stdin=tables, what="making the tables")
        largest = sorted(inventory.tables.values(), key=lambda t: -int(t["bytes"]))
        names = "".join(f"{box.path(restored / str(t['file']))}\0" for t in largest)
        argv = ["bash", "-c", _LOAD_ROWS, "load", str(self.asset.jobs), *here]
        box.run(argv, stdin=names, what="loading rows")
        box.run(here, stdin=_text(restored / files.CODE), what="making triggers, routines and events")
        # A view that reads another acts with its definer's rights: they are granted once all views are there by name.
        views = _text(restored / files.VIEWS) if (restored / files.VIEWS).is_file() else ""
        names, mark, final = views.partition("\n--\n-- Final view structure")
        box.run(here, stdin=f"{names}\n{grants}{mark}{final}", what="making views and grants")

    def restored(self, manifest: Manifest) -> Login:
        return server.LOGIN

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        return identity.compare(bench, self.restored(bench.manifest), self.asset.jobs)

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        return questions.integrity(bench, self.restored(bench.manifest))


def _text(path: Path) -> str:
    return path.read_text("utf-8", "surrogateescape")
