"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, moved last.

The whole of it is loaded and checked in a database with a working name; `moving.py` gives it the final one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ccdr.engines.mariadb import accounts, address, newcomers
from ccdr.engines.mariadb.client import Login, text_of
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.dump import beyond, files, fitness, renamed
from ccdr.engines.mariadb.dump.load import load_rows, require_whole, tables_of
from ccdr.engines.mariadb.dump.loaded import Loaded, how_far
from ccdr.engines.mariadb.dump.moving import Moving, has_moved, is_marked, make_views
from ccdr.engines.mariadb.dump.writer import Writer
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.server import LACKS
from ccdr.engines.servers import shared_accounts
from ccdr.engines.servers.shared_accounts import SharedAccounts
from ccdr.engines.servers.target import (
    DatabaseTarget,
    HowFar,
    Silent,
    could_not_take,
    does_not_load,
    lacking_there,
    or_left,
    refuse_whole_server,
)
from ccdr.model.errors import CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored
from ccdr.ports.target import KnownSource, TargetOutlook

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

# What a server says that is full, going down, gone or in somebody else's hands.
_NOT_THE_BACKUP = re.compile(
    r"ERROR (1021|1030|1034|1040|1053|1077|1114|1135|1152|1153|1180|1184|1194|1205|1213|1290)\b|"
    r"ERROR (2002|2003|2006|2013|2026)\b|"
    r"No space left|Disk full|Lost connection|gone away|read-only|Connection was killed|Server shutdown",
    re.IGNORECASE,
)


@dataclass
class MariaDBTarget(DatabaseTarget["MariaDB", Connection]):
    """`ServerTarget` for MariaDB."""

    once_sure: ClassVar[str] = "the application is then told that name"

    before: tuple[str, str, str] | None = None  # of an empty database that bears the name: charset, collation, comment
    new: newcomers.Newcomers | None = None
    inventory: Inventory | None = None
    restored: Path | None = None
    shared: SharedAccounts = field(default_factory=SharedAccounts)

    @classmethod
    def of(cls, url: str, engine: MariaDB, password_file: Path | None, ca_file: Path | None) -> MariaDBTarget:
        if url.split("://", 1)[0].lower() not in address.SCHEMES:
            raise UsageProblem("--to is neither a directory nor a mysql:// URL", hint=address.EXAMPLE)
        named = address.parse(url)
        if not named.user or not named.database:
            raise UsageProblem("--to does not name a user and a database", hint=address.EXAMPLE)
        connection = named.connection(password_file, named.database)
        if ca_file is not None:
            connection = connection.model_copy(update={"ca_file": ca_file})
        return cls(engine.loading(connection), connection, engine.jobs)

    @property
    def shown(self) -> str:
        return address.shown(self.connection)

    def captured_from(self, manifest: Manifest) -> object:
        return fitness.captured_from(manifest)

    def folded(self, database: str) -> str:
        return database.lower()

    # --- before ---------------------------------------------------------------------------------------

    def examine(
        self,
        source: Source,
        manifest: Manifest,
        run: str,
        sources: Sequence[KnownSource],
        *,
        onto_source_server: bool,
    ) -> TargetOutlook:
        if manifest.method != "dump":
            raise refuse_whole_server("a physical backup")
        self.run, self.inventory = run, Inventory(manifest.contents)
        place, login = source.place, self._login(source)
        facts = fitness.Facts.ask(place, login)
        self.refuse_sources(facts.identity, sources, onto_source_server=onto_source_server)
        fitness.refuse_unfit(place, login, self.connection, facts, self.inventory)
        outlook = TargetOutlook(facts.version)
        if self.name in facts.databases:
            fitness.refuse_unless_empty(place, login, self.connection)
            self.before = facts.databases[self.name]
        there = "the empty" if self.before else "a new"
        outlook.will.append(
            f"loads into a new database {self.working}, and moves it into {there} {self.name} at the end"
        )
        self.shared = shared_accounts.of_server(facts.identity)
        outlook.will.append(
            "makes the users that the database needs and the server lacks, as captured, with rights in it"
        )
        orphans = newcomers.orphans_of(self.inventory)
        if orphans:
            outlook.notes.append(f"its definers {', '.join(orphans)} did not exist at the source either")
        outlook.notes.extend(fitness.notes(self.connection, facts, self.inventory))
        return outlook

    # --- the load -------------------------------------------------------------------------------------

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        inventory = self.inventory = Inventory(manifest.contents)
        self.restored = restored
        login = self._login(source)
        pulse = HowFar(partial(how_far, source.place, login, self.working), progress)
        loaded = Loaded(login, self.jobs, inventory, self.working, pulse)
        require_whole(restored, manifest)
        try:
            self._make_users(source, restored, inventory)
            self.began = True
            self._load(source, restored, inventory, loaded.pulse)
        except CommandFailed as error:
            raise (
                lacking_there(error, self.shown, LACKS)
                or self._lacking_beside(error, restored, inventory)
                or beyond.held_so(error, inventory)
                or could_not_take(error, self.shown, _NOT_THE_BACKUP)
                or does_not_load(error)
            ) from None
        return loaded

    def _make_users(self, source: Source, restored: Path, inventory: Inventory) -> None:
        statements = accounts.loadable(accounts.read(restored), inventory.database, inventory.names)
        definers = set(inventory.definers.values())
        with self.shared.alone:  # another database, restored beside this one, may have brought some by now
            there = accounts.names(source.place, self._login(source))
            mighty = accounts.mighty(source.place, self._login(source))
            self.new = newcomers.newcomers(statements, inventory.database, definers, there, mighty)
            # Told first: what fails within may have made some of them.
            self.shared.relied_on(self.run, self.new.needed, self.new.missing)
            self._writer(source).run(accounts.script(self.new.statements), "making users")

    def _load(self, source: Source, restored: Path, inventory: Inventory, pulse: HowFar) -> None:
        """As into a sandbox, but for events, which would fire: triggers after the rows, so that they do not act on
        them; views after the routines that they call."""
        place, writer, was, here = source.place, self._writer(source), inventory.database, self.working
        on_all, on_objects = newcomers.rights_in(self._rights, here)
        database = files.create_database({**files.database_of(restored, inventory.facts), "database": here})
        writer.run(database, "making the database")
        tables = renamed.called(tables_of(restored, inventory), was, here)
        writer.run(tables, "making the tables", here)
        if other := beyond.referred_lacking(place, writer.login, tables, here):
            raise self._lacking(restored, other)
        load_rows(place, writer.client(here), restored, inventory, self.jobs, pulse)
        code, _ = renamed.apart(text_of(restored / files.CODE))
        writer.run(accounts.script(on_all) + code, "making triggers and routines", here)
        make_views(writer, restored, was, here, on_objects)

    def _lacking_beside(self, error: CommandFailed, restored: Path, inventory: Inventory) -> TestBroken | None:
        other = beyond.database_lacking(error, restored, inventory.database, self.working, self.name)
        return self._lacking(restored, other) if other else None

    def _lacking(self, restored: Path, other: str) -> TestBroken:
        named = ", ".join(beyond.readers(restored, other)[:5]) or "something in it"
        return TestBroken(
            f"{named} reads the database {other}, and {self.shown} lacks what it reads there",
            hint=f"restore {other} onto that server first",
        )

    # --- the end --------------------------------------------------------------------------------------

    def finish(self, source: Source) -> list[str]:
        inventory, restored, writer = self.inventory, self.restored, self._writer(source)
        assert inventory is not None and restored is not None
        if self.before is not None:
            fitness.refuse_unless_empty(source.place, writer.login, self.connection)
        Moving(writer, self.working, self.name, self.before, inventory, restored, self._rights, self.notes).carry_out()
        return self.settle(source)

    def refuse_source(self, source: Source, sources: Sequence[KnownSource]) -> None:
        facts = fitness.Facts.ask(source.place, self._login(source))
        self.refuse_sources(facts.identity, sources, onto_source_server=True)

    def as_named(self, source: Source, manifest: Manifest) -> Restored:
        login = self._login(source)
        pulse = HowFar(partial(how_far, source.place, login, self.name), Silent())
        found = Loaded(login, self.jobs, Inventory(manifest.contents), self.name, pulse)
        found.query(source.place, manifest, "SELECT 1")
        return found

    def named(self, source: Source) -> bool:
        return has_moved(self._writer(source), self.working, self.name)

    def settle(self, source: Source) -> list[str]:
        """The working database holds no table any more."""
        writer = self._writer(source)
        try:
            writer.revoke(self._rights, self.working)
            writer.drop(self.working, "removing the working database")
        except CcdrError as error:
            return [f"the database {self.working} at {self.shown}, without a table: {error}; drop it yourself"]
        return []

    def undo(self, source: Source) -> list[str]:
        writer = self._writer(source)
        left: list[str] = []
        with or_left(left, f"the database {self.working} at {self.shown}", "drop it once the server answers"):
            writer.end_sessions(self.working, self.name)
            if self.dead and is_marked(writer, self.working, self.name):
                writer.drop(self.name, "removing what was not finished")
            if self.began:
                writer.revoke(self._rights, self.working)
                writer.drop(self.working, "removing what was not finished")
        with self.shared.alone:
            if alone := sorted(self.shared.given_up(self.run)):
                users = f"the users {', '.join(alone)} at {self.shown}"
                with or_left(left, users, "drop them if nobody uses them"):
                    writer.run(accounts.script(newcomers.removing(alone)), "removing users")
        return left

    def standing(self) -> str:
        return (
            f"what was restored stands as {self.working} at {self.shown}, to be looked at: its tables can be moved by "
            f"RENAME TABLE, or DROP DATABASE {self.working}"
        )

    # --------------------------------------------------------------------------------------------------

    @property
    def _rights(self) -> Sequence[str]:
        """What the captured users have in the database."""
        return self.new.rights if self.new is not None else ()

    def _login(self, source: Source) -> Login:
        return self.connection.login(source.credentials)

    def _writer(self, source: Source) -> Writer:
        captured = self.inventory.settings if self.inventory is not None else {}
        return Writer(source.place, self._login(source), captured)
