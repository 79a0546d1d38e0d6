"""Method `dump`: what mariadb-dump writes, uncompressed and a file for each table, so that restic deduplicates it and
tables load in parallel. What it does not hold (users, grants, the database's own properties) goes beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccdr.engines.base import tables_and_rows
from ccdr.engines.mariadb import accounts, questions, rights, server
from ccdr.engines.mariadb.client import Login, text_of
from ccdr.engines.mariadb.connection import major_of
from ccdr.engines.mariadb.dump import files, identity
from ccdr.engines.mariadb.dump.capture import (
    Dumper,
    require_capturable,
    require_characters,
    require_leavable,
    require_working,
)
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE, load_rows, require_whole, tables_of
from ccdr.engines.mariadb.inventory import Inventory, objects_of
from ccdr.engines.mariadb.method import Method
from ccdr.engines.servers.methods import unloadable
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Manifest, Probe, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Source
from ccdr.ports.restored import SandboxNeeds

# A server drops an event whose time is up, or disables it, as soon as it is made: here none is, as none was captured.
_LONG_AGO = "SET SESSION timestamp=86400;\n"


@dataclass(frozen=True)
class Dump(Method):
    """`Method` for one database, loaded into a new server."""

    programs: ClassVar[tuple[str, ...]] = ("mariadb", "mariadb-dump")

    # --- the source -----------------------------------------------------------------------------------

    def rights(self, source: Source) -> Iterator[Probe]:
        c = self.asset.connection
        login = c.login(source.credentials)
        granted = rights.rights_of(source.place, login, c.database)
        yield from rights.judged(granted, c.user, c.database)
        if granted.there and not granted.lacking:
            objects = objects_of(source.place, login, c.database)
            try:
                require_characters(source.place, login)
                require_leavable(objects, self.asset.leave_out)
                objects = objects.without(self.asset.leave_out)
                require_capturable(objects, c.database, lock=self._lock)
                require_working(source.place, login, c.database, objects)
            except BackupFailed as error:
                yield Probe.fail("tables", str(error), error.hint or "change the plan, or the source")
            else:
                locked = f"; {n} are locked while they are dumped" if (n := len(objects.locked)) else ""
                yield Probe.ok("tables", f"{so_many(len(objects.with_rows), 'table')} with rows{locked}")

    def capture(self, source: Source, into: Path, tools: Tools) -> Capture:
        c = self.asset.connection
        login = c.login(source.credentials)
        rights.require(rights.rights_of(source.place, login, c.database), c.user, c.database)
        asset = self.asset
        return Dumper(source.place, login, c.database, asset.jobs, self._lock, asset.leave_out, tools).capture(into)

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
            memory=self.asset.memory_beside + 2 * inventory.memory_bytes,
            user="mysql",
            major=major_of(inventory.version),
            data_dir=server.DATA,
        )

    def start(self, box: Place, manifest: Manifest) -> str:
        inventory = Inventory(manifest.contents)
        version = server.fitting_version(box, inventory.version)
        options = server.settings(inventory, self.asset.memory_beside, throwaway=self.asset.settings == "throwaway")
        server.start(box, options | self.asset.server_settings, inventory.libraries, manifest)
        return version

    def holds(self, manifest: Manifest) -> Mapping[str, int]:
        return tables_and_rows(manifest)

    def load(self, box: Place, restored: Path, manifest: Manifest) -> None:
        inventory, login = Inventory(manifest.contents), self.restored(manifest)
        require_whole(restored, manifest)
        if inventory.zones:
            zones = text_of(restored / files.ZONES)
            box.run(login.client(database="mysql"), stdin=zones, what="naming time zones", alone=True)
        for sql in (server.zone_sql(inventory.zone), *self.asset.prepare_sql):
            try:
                box.run(login.client(), stdin=sql, what="prepare_sql", alone=True)
            except CommandFailed as error:
                raise TestBroken(str(error), hint="mend the asset's `prepare_sql:`") from None
        try:
            self._load(box, restored, inventory, login)
        except CommandFailed as error:
            raise _judged(error, restored, manifest) from None

    def _load(self, box: Place, restored: Path, inventory: Inventory, login: Login) -> None:
        """Triggers come after the rows, so that they do not act on them; views after the routines that they call."""
        here, anywhere = login.client(database=inventory.database), login.client()
        statements = accounts.loadable(accounts.read(restored), inventory.database, inventory.names)
        users, grants = map(accounts.script, accounts.on_objects(statements))
        box.run(anywhere, stdin=text_of(restored / files.DATABASE), what="making the database", alone=True)
        box.run(anywhere, stdin=users, what="making users", alone=True)
        tables = tables_of(restored, inventory)
        box.run(here, stdin=tables, what="making the tables", alone=True)
        if other := identity.referred_lacking(box, login, tables, inventory.database):
            raise _unprovable(restored, other)
        loading = login.client(f"--init-command=SET SESSION {AS_THEY_ARE}", database=inventory.database)
        load_rows(box, loading, restored, inventory, self.asset.jobs)
        code = f"{_LONG_AGO}{text_of(restored / files.CODE)}"
        box.run(here, stdin=code, what="making triggers, routines and events", alone=True)
        # A view that reads another acts with its definer's rights: they are granted once all views are there by name.
        views = text_of(restored / files.VIEWS) if (restored / files.VIEWS).is_file() else ""
        names, mark, final = views.partition("\n--\n-- Final view structure")
        box.run(here, stdin=f"{names}\n{grants}{mark}{final}", what="making views and grants", alone=True)

    def identical(self, context: CheckContext) -> Iterator[CheckResult]:
        return identity.compare(context, self.restored(context.manifest), self.asset.jobs)

    def integrity(self, context: CheckContext) -> Iterator[CheckResult]:
        return questions.integrity(context, self.restored(context.manifest))


def _unprovable(restored: Path, other: str) -> TestBroken:
    named = ", ".join(identity.readers(restored, other)[:5]) or "something in it"
    return TestBroken(
        f"{named} reads the database {other}, which is not in this backup: `method: physical` would prove it, or a "
        f"stand-in for {other} that `prepare_sql:` makes",
        hint="docs/reference/mariadb.md has an example of a stand-in; a restore for real needs that database on the "
        "server first",
    )


def _judged(error: CommandFailed, restored: Path, manifest: Manifest) -> CcdrError:
    """A sandbox has this database alone: what reads another one cannot be made there, and that proves nothing."""
    inventory = Inventory(manifest.contents)
    if not error.stalled and (other := identity.database_lacking(error, restored, inventory.database)):
        return _unprovable(restored, other)
    if not error.stalled and (held := identity.held_so(error, inventory)):
        return held
    return unloadable(error, server.LACKS, manifest)
