"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, renamed last.

A database has its final name only once it is loaded and checked, by one rename. Roles belong to the whole server:
those that it has are left as they are.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from ccdr.engines.postgres import address, questions, server_settings
from ccdr.engines.postgres.connection import OWN_OPTIONS, STRICT, Connection, answer, newer_options, untriggered
from ccdr.engines.postgres.dump import database, fitness, parts, references
from ccdr.engines.postgres.dump.identity import BESIDE
from ccdr.engines.postgres.dump.loaded import Loaded, how_far
from ccdr.engines.postgres.dump.toc import read_toc
from ccdr.engines.postgres.dump.unfilled import notes, unfilled
from ccdr.engines.postgres.inventory import Inventory, conninfo, quote_name
from ccdr.engines.servers import target
from ccdr.engines.servers.new_server import told
from ccdr.engines.servers.parts import in_part
from ccdr.engines.servers.target import (
    DatabaseTarget,
    HowFar,
    SharedAccounts,
    could_not_take,
    does_not_load,
    lacking_there,
    or_left,
    refuse_whole_server,
    set_otherwise,
)
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.model.values import Manifest
from ccdr.ports.place import Place, Progress, Source, Unwatched
from ccdr.ports.restored import Restored
from ccdr.ports.target import KnownSource, TargetOutlook

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Postgres

MAINTENANCE = "postgres"  # where one connects to make and rename databases
# With what they need there already, and subscriptions left for last.
_ALONE = re.compile(f"(?!{database.SUBSCRIPTIONS}){database.AFTER.pattern}")
# What became of a renaming whose client was stopped: its session may still wait for a lock, and go on once it has it.
NAMED = """
select set_config('ccdr.working', :'working', false) \\g /dev/null
do $$ begin
  for tries in 1..50 loop
    perform pg_terminate_backend(pid) from pg_stat_activity where application_name = current_setting('ccdr.working');
    exit when not found;
    perform pg_sleep(0.1), pg_stat_clear_snapshot();
  end loop;
end $$;
select datname from pg_database;
"""
# What a server says that is full, going down, gone or in somebody else's hands.
_NOT_THE_BACKUP = re.compile(
    r"No space left|could not (extend|write|create) file|disk full|connection to server|server closed the connection|"
    r"terminating connection|shutting down|starting up|out of (shared )?memory|Connection (refused|reset)|"
    r"remaining connection slots|too many (clients|connections)",
    re.IGNORECASE,
)


@dataclass
class PostgresTarget(DatabaseTarget["Postgres", Connection]):
    """`ServerTarget` for PostgreSQL. `client` reaches the server's maintenance database."""

    once_sure: ClassVar[str] = "rename it yourself once you are sure"

    exists: bool = False  # an empty database bears the name already
    captured: set[str] = field(default_factory=set)  # the roles that the backup needs
    shared: SharedAccounts = field(default_factory=SharedAccounts)
    roles_sql: str = ""
    bootstrap: str = ""
    version: str = "0"  # the server's, once it was looked at
    lc_monetary: str | None = None  # in which the captured rows write money
    before_drop: str = ""  # what a person types in the loaded database before they drop it

    @classmethod
    def of(cls, url: str, engine: Postgres, password_file: Path | None, ca_file: Path | None) -> PostgresTarget:
        connection = address.target(url, password_file, ca_file)
        reached = connection.model_copy(update={"database": MAINTENANCE})
        client = engine.model_copy(update={"connection": reached, "method": "dump"})  # whose programs load it
        return cls(client, connection, engine.jobs)

    @property
    def shown(self) -> str:
        return address.shown(self.connection)

    def captured_from(self, manifest: Manifest) -> object:
        return manifest.contents["system_identifier"]

    def captured_names(self, manifest: Manifest) -> Iterable[str]:
        """By a base backup: all of the server's."""
        others = cast("dict[str, object]", manifest.contents["databases"] if manifest.method == "physical" else {})
        return (*super().captured_names(manifest), *others)

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
        if manifest.method == "physical":
            raise refuse_whole_server("a base backup")
        self.run, inventory = run, Inventory(manifest.contents)
        self.lc_monetary = inventory.lc_monetary
        place, env = source.place, self._asking(source)
        facts = self._facts(source)
        self.refuse_sources(facts.identifier, sources, onto_source_server=onto_source_server)
        fitness.refuse_unfit(self.connection, facts, inventory)
        outlook = TargetOutlook(facts.version, facts.identifier)
        self.version, self.exists = facts.version, self.name in facts.databases
        if self.exists:
            self._refuse_unless_empty(source)
            outlook.will.append(f"loads into {self.working}, which takes the place of the empty {self.name} at the end")
        else:
            outlook.will.append(f"loads into a new database {self.working}, renamed to {self.name} at the end")
        fitness.refuse_locale(place, env, self.connection, inventory, facts.encoding)
        captured = manifest.contents["roles"]
        self.captured = set(captured)
        self.shared = target.of_server((facts.identifier, facts.started))  # a clone has the same identifier
        missing = sorted(self.captured - set(facts.roles))
        if missing:
            named = [f"{r} (superuser)" if captured[r][0] else r for r in missing]
            outlook.will.append(f"creates the roles {', '.join(named)}, as captured")
        outlook.notes.extend(fitness.notes(facts, manifest, inventory, new_roles=bool(missing)))
        outlook.notes.extend(notes(manifest.contents, live=True))
        wanted, there = server_settings.compared(inventory.settings), server_settings.all_of(place, env)
        outlook.notes.extend(set_otherwise(wanted, there, server_settings.FILE))
        return outlook

    def _refuse_unless_empty(self, source: Source) -> None:
        fitness.refuse_unless_empty(source.place, self._looking(source, self.name), self.connection)

    # --- the load -------------------------------------------------------------------------------------

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        inventory = Inventory(manifest.contents)
        place, admin = source.place, self._env(source, MAINTENANCE)
        pulse = HowFar(partial(how_far, place, admin, self.working), progress)
        loaded = Loaded(self._env(source, self.working), self.jobs, inventory, pulse)
        archive = place.path(restored / "dump")
        argv = ["pg_restore", "-w", f"-j{self.jobs}", "--exit-on-error", "--no-tablespaces"]
        argv += ["-d", conninfo(self.working)]
        entries: str | None = None
        try:
            self._make_roles(source, restored, inventory)
            self.began = True
            self._sql(place, admin, f"create database {self.working} {database.create_options(inventory.facts)}")
            if in_part(manifest):
                chosen = parts.needed(place, restored / "dump", manifest)
                entries, argv = chosen.entries, [*argv, "-L", "/dev/stdin"]
                self.notes += chosen.notes()
            else:
                toc, views = read_toc(place, restored / "dump"), unfilled(manifest.contents, live=True)
                entries, argv = toc.lines(_ALONE, views), [*argv, "-L", "/dev/stdin"]
                first = [*argv, archive]
                place.run(first, stdin=toc.lines(database.BEFORE), env=admin, what="pg_restore", pulse=loaded.pulse)
                made_by = database.owners(manifest.contents)
                database.make(place, loaded.env, restored / "dump", toc, made_by, lent=self.working)
            # In one parallel call a partitioned table's trigger may come before its partitions' rows, and change them.
            for sections in (("--section=pre-data", "--section=data"), ("--section=post-data",)):
                call = [*argv, *sections, archive]
                place.run(call, stdin=entries, env=admin, what="pg_restore", pulse=loaded.pulse)
            database.drop_what_was_dropped(place, loaded.env, manifest.contents)
            if not in_part(manifest):
                script, silenced = database.subscriptions(place, restored / "dump", toc)
                self._script(place, loaded.env, script, "making subscriptions", inventory.encoding)
                self.notes += told(silenced)
                names = map(quote_name, inventory.facts["subscriptions"])
                self.before_drop = "; ".join(f"DROP SUBSCRIPTION {name}" for name in names)
            properties = database.database_properties(place, restored / "dump", self.working)
            what = "setting the database's properties"
            # From within, byte for byte: a comment on a database is kept in the encoding of whoever writes it.
            self._script(place, loaded.env, properties, what, inventory.encoding)
            analyze = [*STRICT, "-c", "analyze"]
            place.run(analyze, env=loaded.env, what="analyze", pulse=loaded.pulse)
        except CommandFailed as error:
            raise (
                lacking_there(error, self.shown, questions.lacks(inventory.extensions))
                or could_not_take(error, self.shown, _NOT_THE_BACKUP)
                or references.to_blame(error, manifest.contents)
                or references.raised(error, (restored / "toc.list").read_text("utf-8", "surrogateescape"))
                or does_not_load(error)
            ) from None
        return loaded

    def _make_roles(self, source: Source, restored: Path, inventory: Inventory) -> None:
        """Those that the server lacks by now: another database, restored beside this one, may have brought some."""
        self.roles_sql = (restored / "roles.sql").read_text("utf-8", "surrogateescape")
        self.bootstrap = inventory.bootstrap
        if public := database.to_public(self.roles_sql):
            self.notes.append(f"grants to PUBLIC are the whole server's, and not carried over: `{' '.join(public)}`")
        with self.shared.alone:
            missing = self.captured.difference(self._facts(source).roles)
            if wanted := database.needed(self.roles_sql, missing, self.bootstrap):
                self._script(source.place, self._env(source, MAINTENANCE), "\n".join(wanted), "creating roles")
            self.shared.relied_on(self.run, self.captured, missing)

    # --- the end --------------------------------------------------------------------------------------

    def finish(self, source: Source) -> list[str]:
        place, name = source.place, quote_name(self.name)
        admin = {**self._env(source, MAINTENANCE), "PGAPPNAME": self.working}
        rename = f"alter database {self.working} rename to {name}"
        if not self.exists:
            self._sql(place, admin, rename)
            return []
        self._refuse_unless_empty(source)
        self._script(place, admin, f"alter database {name} rename to {self._aside};\n{rename};", "renaming")
        return self.settle(source)

    @property
    def _aside(self) -> str:
        """The name of the empty database in whose place it is put, until that is dropped."""
        return f"{self.working}_was"

    def refuse_source(self, source: Source, sources: Sequence[KnownSource]) -> None:
        self.refuse_sources(self._facts(source).identifier, sources, onto_source_server=True)

    def as_named(self, source: Source, manifest: Manifest) -> Restored:
        self.version = self._facts(source).version
        env = self._env(source, self.name)
        pulse = HowFar(partial(how_far, source.place, self._env(source, MAINTENANCE), self.name), Unwatched())
        found = Loaded(env, self.jobs, Inventory(manifest.contents), pulse)
        found.query(source.place, manifest, "select 1")
        return found

    def named(self, source: Source) -> bool:
        argv = [*STRICT, "-v", f"working={self.working}", "-f", "-"]
        env = {**self._env(source, MAINTENANCE), "PGCLIENTENCODING": "UTF8"}
        there = source.place.run(argv, stdin=NAMED, env=env, what="asking the target").stdout.split("\n")
        return self.working not in there and self.name in there

    def settle(self, source: Source) -> list[str]:
        if not self.exists and not self.dead:
            return []
        try:
            self._sql(source.place, self._env(source, MAINTENANCE), f"drop database if exists {self._aside}")
        except CcdrError as error:
            return [f"the empty database {self._aside} at {self.shown}: {error}; drop it yourself"]
        return []

    def undo(self, source: Source) -> list[str]:
        place, admin = source.place, self._env(source, MAINTENANCE)
        left: list[str] = []
        if self.began:
            with contextlib.suppress(CcdrError):  # a captured template's copy is one too, and could not be dropped
                self._sql(place, admin, f"alter database {self.working} is_template false")
                # Nor could one that subscribes.
                self._script(place, self._env(source, self.working), database.DROP_SUBSCRIPTIONS, "unsubscribing")
            for name in (f"{self.working}{BESIDE}", self.working):
                with or_left(left, f"the database {name} at {self.shown}", "drop it once the server answers"):
                    self._sql(place, admin, f"drop database if exists {name} with (force)")
        with self.shared.alone:
            alone = self.shared.given_up(self.run)
            with or_left(
                left, f"the roles {', '.join(sorted(alone))} at {self.shown}", "drop them if nobody uses them"
            ):
                if backwards := database.undoing(database.needed(self.roles_sql, alone, self.bootstrap)):
                    self._script(place, admin, "\n".join(backwards), "removing roles")
        return left

    def standing(self) -> str:
        rename = f"alter database {self.working} rename to {quote_name(self.name)}"
        first = f" (in it before: `{self.before_drop}`)" if self.before_drop else ""
        return f"what was restored stands as {self.working} at {self.shown}: `{rename}`, or drop it{first}"

    # --------------------------------------------------------------------------------------------------

    def _facts(self, source: Source) -> fitness.Facts:
        return fitness.Facts.ask(source.place, self._asking(source))

    def _asking(self, source: Source) -> dict[str, str]:
        return {**self._looking(source, MAINTENANCE), "PGCLIENTENCODING": "UTF8"}

    def _looking(self, source: Source, database: str) -> dict[str, str]:
        """libpq's variables for whoever may be no superuser, at a server whose version is not known."""
        env = self.connection.environment(source.credentials)
        return {**env, "PGDATABASE": database, "PGOPTIONS": OWN_OPTIONS}

    def _env(self, source: Source, database: str) -> dict[str, str]:
        options = f"{OWN_OPTIONS} -c lc_messages=C{newer_options(self.version)}{untriggered(self.version)}"
        options += f" -c lc_monetary={self.lc_monetary}" if self.lc_monetary else ""
        return {**self._looking(source, database), "PGOPTIONS": options}

    @staticmethod
    def _sql(place: Place, env: Mapping[str, str], sql: str) -> None:
        answer(place, {**env, "PGCLIENTENCODING": "UTF8"}, sql, " ".join(sql.split()[:2]))

    @staticmethod
    def _script(place: Place, env: Mapping[str, str], script: str, what: str, encoding: str = "UTF8") -> None:
        """All of it or nothing, in one transaction."""
        env = {**env, "PGCLIENTENCODING": encoding}
        place.run([*STRICT, "-1", "-f", "-"], stdin=script, env=env, what=what, alone=True)
