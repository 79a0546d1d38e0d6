"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, renamed last.

A database has its final name only once it is loaded and checked, by one rename. Roles belong to the whole server:
those that it has are left as they are.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from ccdr.engines.connection import may_be_one
from ccdr.engines.postgres import address, questions
from ccdr.engines.postgres.connection import OWN_OPTIONS, PSQL, Connection, major_of, untimed
from ccdr.engines.postgres.dump import database, identity, references, roles
from ccdr.engines.postgres.dump.same_objects import BESIDE
from ccdr.engines.postgres.inventory import Inventory, conninfo
from ccdr.model.answers import lacking
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Manifest, Verdict, human_bytes
from ccdr.ports.check import Bench
from ccdr.ports.place import Place, Progress, Source
from ccdr.ports.restored import Restored
from ccdr.ports.target import KnownSource, TargetLook

if TYPE_CHECKING:
    from ccdr.engines.postgres.engine import Postgres

MAINTENANCE = "postgres"  # where one connects to make and rename databases
MARK = "_ccdr_restore_"
LOOK_EVERY = 2.0  # seconds between two looks at how far a load has come
LOOK = """\
select jsonb_build_object(
  'version', current_setting('server_version'),
  'superuser', current_setting('is_superuser') = 'on',
  'standby', pg_is_in_recovery(),
  'bootstrap', (select rolname from pg_roles where oid = 10),
  'encoding', pg_encoding_to_char((select encoding from pg_database where datname = current_database())),
  'identifier', case when has_function_privilege('pg_catalog.pg_control_system()', 'execute') then
      (select system_identifier::text from pg_control_system()) end,
  'databases', (select jsonb_agg(datname order by datname) from pg_database),
  'roles', (select jsonb_agg(rolname) from pg_roles),
  'extensions', (select jsonb_object_agg(name, default_version) from pg_available_extensions))
"""
# Anything that somebody made; OIDs below 16384 are initdb's.
CONTENTS = """\
select (select count(*) from pg_class where oid >= 16384) + (select count(*) from pg_proc where oid >= 16384)
  + (select count(*) from pg_type where oid >= 16384) + (select count(*) from pg_namespace where oid >= 16384)
  + (select count(*) from pg_extension where oid >= 16384) + (select count(*) from pg_largeobject_metadata)
  + (select count(*) from pg_event_trigger) + (select count(*) from pg_publication)
  + (select count(*) from pg_foreign_data_wrapper where oid >= 16384)
  + (select count(*) from pg_cast where oid >= 16384)
  + (select count(*) from pg_subscription s join pg_database d on d.oid = s.subdbid where datname = current_database()),
  (select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
     and backend_type = 'client backend')
"""
# A value that changes while the server works for us. Some work (a foreign key's check) shows in no view: then an
# active session that waits for no lock is taken for work.
HOW_FAR = """\
select pg_database_size(d.oid),
  (select count(*) from pg_stat_activity a where a.datid = d.oid and a.pid <> pg_backend_pid() and a.state = 'active'
     and a.wait_event_type is distinct from 'Lock')
from pg_database d where d.datname = :'name'
"""

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


@dataclass
class Target:
    """`ServerTarget` for PostgreSQL. `client` reaches the server's maintenance database, `connection` names the
    database that is to be."""

    client: Postgres
    connection: Connection
    jobs: int
    run: str = ""
    exists: bool = False  # an empty database bears the name already
    missing: list[str] = field(default_factory=list)  # roles that are to be made
    made: list[str] = field(default_factory=list)  # the statements that made them
    began: bool = False
    version: str = "0"  # the server's, once it was looked at
    event_triggers: bool = False  # whether the server can be told to leave event triggers alone
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, url: str, engine: Postgres, password_file: Path | None, ca_file: Path | None) -> Target:
        connection = address.parse(url, password_file, ca_file)
        reached = connection.model_copy(update={"database": MAINTENANCE})
        client = engine.model_copy(update={"connection": reached, "method": "dump"})  # whose programs load it
        return cls(client, connection, engine.jobs)

    @property
    def name(self) -> str:
        return self.connection.database

    @property
    def shown(self) -> str:
        return address.shown(self.connection)

    @property
    def working(self) -> str:
        """The database's name until it is done: plain, and like no other."""
        stem = re.sub(r"[^a-z0-9_]", "_", self.name.lower())[:20]
        suffix = re.sub(r"[^a-z0-9_]", "_", self.run.lower())
        return f"{stem if stem[:1].isalpha() else f'_{stem}'}{MARK}{suffix}"

    # --- before ---------------------------------------------------------------------------------------

    def look(
        self,
        source: Source,
        manifest: Manifest,
        run: str,
        sources: Sequence[KnownSource],
        *,
        onto_source_server: bool,
    ) -> TargetLook:
        if manifest.method == "physical":
            raise UsageProblem(
                "a base backup is a whole server: it cannot be loaded onto one that runs",
                hint="restore it into a directory (--to DIR), and start a server on that: docs/how-to/recover.md",
            )
        self.run = run
        place, env = source.place, self._env(source, MAINTENANCE, looking=True)
        env["PGCLIENTENCODING"] = "UTF8"
        said = place.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"], stdin=LOOK, env=env, what="asking the target")
        facts = json.loads(said.stdout)
        inventory = Inventory(manifest.contents)
        self._refuse_sources(facts, sources, onto_source_server=onto_source_server)
        self._refuse_unfit(facts, inventory)
        look = TargetLook(facts["version"])
        self.version = facts["version"]
        self.exists = self.name in facts["databases"]
        if self.exists:
            self._refuse_unless_empty(source)
            look.will.append(f"loads into {self.working}, which takes the place of the empty {self.name} at the end")
        else:
            look.will.append(f"loads into a new database {self.working}, renamed to {self.name} at the end")
        self._refuse_locale(place, env, inventory, facts["encoding"])
        captured: Mapping[str, Any] = manifest.contents["roles"]  # type: ignore[assignment]
        self.missing = sorted(captured.keys() - set(facts["roles"]))
        self.event_triggers = int(major_of(facts["version"]).split(".")[0]) >= 17
        if self.missing:
            named = [f"{r} (superuser)" if captured[r][0] else r for r in self.missing]
            look.will.append(f"creates the roles {', '.join(named)}, as captured")
        look.notes.extend(self._notes(facts, manifest, inventory))
        return look

    def _refuse_sources(
        self, facts: Mapping[str, Any], sources: Sequence[KnownSource], *, onto_source_server: bool
    ) -> None:
        """The same server by its identifier, which a copy or a standby shares; by its address where a backup does
        not know it. A new server at a source's old address is another server."""
        for known in sources:
            connection = getattr(known.engine, "connection", None)
            if not isinstance(connection, Connection):
                continue
            identifiers = {str(m.contents["system_identifier"]) for m in known.manifests if _identifier(m)}
            if identifiers and facts["identifier"]:
                same = facts["identifier"] in identifiers
            else:
                same = may_be_one(self.connection, connection)
            if not same:
                continue
            names = {connection.database, *(str(m.contents["database"]) for m in known.manifests)}
            for captured in known.manifests:  # by a base backup: all of the server's
                names.update(cast("dict[str, object]", captured.contents.get("databases") or {}))
            if self.name in names:
                raise UsageProblem(
                    f"{self.shown} is the source of {known.asset}: a restore never writes there",
                    hint="restore onto another server, or under another name; rename it yourself once you are sure",
                )
            if not onto_source_server:
                raise UsageProblem(
                    f"{self.shown} is on the server that {known.asset} is backed up from",
                    hint="restore onto another server; to load another database beside the source all the same, add "
                    "--onto-source-server",
                )

    def _refuse_unfit(self, facts: Mapping[str, Any], inventory: Inventory) -> None:
        here, there = int(major_of(facts["version"]).split(".")[0]), int(major_of(inventory.version).split(".")[0])
        if facts["standby"]:
            raise UsageProblem(f"{self.shown} is a standby, which cannot be written", hint="name its primary")
        if here < there:
            raise UsageProblem(
                f"{self.shown} is PostgreSQL {facts['version']}, the backup is of {inventory.version}",
                hint=f"name a server of major version {there} or newer",
            )
        if not facts["superuser"]:
            raise UsageProblem(
                f"{self.connection.user} is no superuser at {self.shown}: owners and grants would not come back",
                hint="name a superuser in --to",
            )
        if lacks := sorted(set(inventory.extensions) - set(facts["extensions"])):
            raise UsageProblem(
                f"{self.shown} lacks the extension {', '.join(lacks)}",
                hint="install its package on that server, then restore again",
            )

    def _refuse_unless_empty(self, source: Source) -> None:
        said = source.place.run(
            [*PSQL, "-v", "ON_ERROR_STOP=1", "-f", "-"],
            stdin=CONTENTS,
            env=self._env(source, self.name, looking=True),
            what="looking whether the target is empty",
        ).stdout.strip()
        objects, sessions = map(int, said.split("|"))
        if objects:
            raise UsageProblem(
                f"the database {self.name} at {self.shown} is not empty: it holds {objects} objects",
                hint="name a database that is not there yet; ccdr never removes one that holds anything",
            )
        if sessions:
            raise UsageProblem(
                f"{sessions} sessions use the database {self.name} at {self.shown}", hint="end them, or name another"
            )

    def _refuse_locale(self, place: Place, env: Mapping[str, str], inventory: Inventory, encoding: str) -> None:
        """Tried in a transaction that is rolled back. A locale of another encoding cannot be tried so."""
        facts = inventory.facts
        if facts["locale_provider"] == "b" or inventory.encoding != encoding:
            return
        tried = {"libc": f"provider = libc, lc_collate = {_text(facts['collate'])}, lc_ctype = {_text(facts['ctype'])}"}
        if facts["locale_provider"] == "i":
            tried["ICU"] = f"provider = icu, locale = {_text(facts['icu_locale'])}"
        for kind, options in tried.items():
            sql = f"begin; create collation pg_temp.ccdr_look ({options}); rollback"
            try:
                place.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql], env=env, what="trying the locale")
            except CommandFailed as error:
                if "locale" not in error.stderr and "collation" not in error.stderr:
                    raise
                raise UsageProblem(
                    f"{self.shown} lacks the {kind} locale of the database, {facts['collate']}",
                    hint="install it on that server (Debian: locales-all) and restart the server, then restore again",
                ) from None

    def _notes(self, facts: Mapping[str, Any], manifest: Manifest, inventory: Inventory) -> list[str]:
        notes = [f"the server needs about {human_bytes(inventory.database_bytes)} of disk for it: see that it has them"]
        other = [
            f"{name} {version} will be {facts['extensions'][name]}"
            for name, version in sorted(inventory.extensions.items())
            if facts["extensions"][name] != version
        ]
        if other:
            notes.append(f"extensions come in the server's versions: {', '.join(other)}")
        if self.missing and not manifest.contents["role_passwords"]:
            notes.append("the new roles have no passwords: the backup was taken by a role that may not read them")
        if inventory.role_all_settings:
            notes.append("settings for all roles (ALTER ROLE ALL) are not carried over; see roles.sql of the snapshot")
        if manifest.contents.get("subscriptions"):
            notes.append("subscriptions come back disabled: enable them once their publisher is right")
        left = [d for d in facts["databases"] if MARK in d]
        notes.extend(f"{d} is what an earlier restore left or is still loading: drop it once it is done" for d in left)
        return notes

    # --- the load -------------------------------------------------------------------------------------

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        inventory = Inventory(manifest.contents)
        place, admin = source.place, self._env(source, MAINTENANCE)
        loaded = Loaded(self._env(source, self.working), self.jobs, inventory, _HowFar(self, source, progress))
        archive = place.path(restored / "dump")
        argv = ["pg_restore", "-w", f"-j{self.jobs}", "--exit-on-error", "--no-tablespaces"]
        argv += ["-d", conninfo(self.working)]
        try:
            self._make_roles(source, restored, inventory)
            self.began = True
            self._sql(place, admin, f"create database {self.working} {database.create_options(inventory.facts)}")
            # In one parallel call a partitioned table's trigger may come before its partitions' rows, and change them.
            for sections in (("--section=pre-data", "--section=data"), ("--section=post-data",)):
                place.run([*argv, *sections, archive], env=admin, what="pg_restore", pulse=loaded.pulse)
            properties = database.database_properties(place, restored / "dump", self.working)
            what = "setting the database's properties"
            # From within, byte for byte: a comment on a database is kept in the encoding of whoever writes it.
            self._script(place, loaded.env, properties, what, inventory.encoding)
            analyze = [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", "analyze"]
            place.run(analyze, env=loaded.env, what="analyze", pulse=loaded.pulse)
        except CommandFailed as error:
            raise self._judged(error, manifest.contents) from None
        return loaded

    def _judged(self, error: CommandFailed, contents: Mapping[str, object]) -> CcdrError:
        """The backup may be bad, or the server may lack something, be full or gone: most often the latter."""
        if error.stalled:
            return TestBroken(str(error), hint="give `limits: no_progress` more time, or see who holds a lock there")
        if error.stderr.errors.begins(questions.LACKS):
            what = lacking(error.stderr)
            return TestBroken(f"{self.shown} lacks something that the backup needs: {what}", hint="install it there")
        if error.stderr.search(_NOT_THE_BACKUP):
            return TestBroken(f"{self.shown} could not take it: {error}", hint="see that server's log and its disk")
        if blamed := references.to_blame(error, contents):
            return blamed
        return BackupBad(f"the backup does not load: {error}", hint="restore an older snapshot")

    def _make_roles(self, source: Source, restored: Path, inventory: Inventory) -> None:
        script = (restored / "roles.sql").read_text("utf-8", "surrogateescape")
        if wanted := roles.needed(script, self.missing, inventory.bootstrap):
            admin = self._env(source, MAINTENANCE)
            self._script(source.place, admin, "\n".join(wanted), "creating roles")
            self.made = wanted

    # --- the end --------------------------------------------------------------------------------------

    def finish(self, source: Source) -> list[str]:
        place, name = source.place, _name(self.name)
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

    def named(self, source: Source) -> bool:
        argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-v", f"working={self.working}", "-f", "-"]
        env = {**self._env(source, MAINTENANCE), "PGCLIENTENCODING": "UTF8"}
        there = source.place.run(argv, stdin=NAMED, env=env, what="asking the target").stdout.splitlines()
        return self.working not in there and self.name in there

    def settle(self, source: Source) -> list[str]:
        if not self.exists:
            return []
        try:
            self._sql(source.place, self._env(source, MAINTENANCE), f"drop database if exists {self._aside}")
        except CcdrError as error:
            return [f"the empty database {self._aside} at {self.shown}: {error}; drop it yourself"]
        return []

    def undo(self, source: Source) -> list[str]:
        place, admin, left = source.place, self._env(source, MAINTENANCE), []
        databases = [f"{self.working}{BESIDE}", self.working] if self.began else []
        with contextlib.suppress(CcdrError):  # a captured template's copy is one too, and could not be dropped
            if self.began:
                self._sql(place, admin, f"alter database {self.working} is_template false")
        for name in databases:
            try:
                self._sql(place, admin, f"drop database if exists {name} with (force)")
            except CcdrError as error:
                left.append(f"the database {name} at {self.shown} ({error}): drop it once the server answers")
        try:
            if backwards := roles.undoing(self.made):
                self._script(place, admin, "\n".join(backwards), "removing roles")
        except CcdrError as error:
            left.append(f"the roles {', '.join(self.missing)} at {self.shown} ({error}): drop them if nobody uses them")
        return left

    def standing(self) -> str:
        rename = f"alter database {self.working} rename to {_name(self.name)}"
        return f"what was restored stands as {self.working} at {self.shown}: `{rename}`, or drop it"

    # --------------------------------------------------------------------------------------------------

    def _env(self, source: Source, database: str, *, looking: bool = False) -> dict[str, str]:
        options = OWN_OPTIONS
        if not looking:  # these are a superuser's to set, and the version is known
            options += f" -c lc_messages=C{untimed(self.version)}"
            if self.event_triggers:
                options += " -c event_triggers=off"  # ours are not the logins and the statements they are there for
        env = self.connection.environment(source.credentials)
        return {**env, "PGDATABASE": database, "PGOPTIONS": options}

    @staticmethod
    def _sql(place: Place, env: Mapping[str, str], sql: str) -> None:
        argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-c", sql]
        place.run(argv, env={**env, "PGCLIENTENCODING": "UTF8"}, what=" ".join(sql.split()[:2]))

    @staticmethod
    def _script(place: Place, env: Mapping[str, str], script: str, what: str, encoding: str = "UTF8") -> None:
        """All of it or nothing, in one transaction."""
        env = {**env, "PGCLIENTENCODING": encoding}
        place.run([*PSQL, "-v", "ON_ERROR_STOP=1", "-1", "-f", "-"], stdin=script, env=env, what=what)


# What a server says that is full, going down, gone or in somebody else's hands.
_NOT_THE_BACKUP = re.compile(
    r"No space left|could not (extend|write|create) file|disk full|connection to server|server closed the connection|"
    r"terminating connection|shutting down|starting up|out of (shared )?memory|Connection (refused|reset)|"
    r"remaining connection slots|too many (clients|connections)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Loaded:
    """`Restored` for a database on a real server, under its working name."""

    has_server: ClassVar[bool] = True

    env: Mapping[str, str]
    jobs: int
    inventory: Inventory
    pulse: _HowFar

    @property
    def _asking(self) -> dict[str, str]:
        """A timestamp without a zone is read in the source's."""
        return {**self.env, "PGOPTIONS": f"{self.env['PGOPTIONS']} -c TimeZone={self.inventory.timezone}"}

    def query(self, box: Place, manifest: Manifest, sql: str) -> list[list[str | None]]:
        return questions.rows(box, self._asking, sql, self.pulse)

    def newest(self, box: Place, manifest: Manifest, query: str) -> float | None:
        return questions.newest(box, self._asking, query, self.pulse)

    def identical(self, bench: Bench) -> Iterator[CheckResult]:
        return identity.compare(bench, self.env, self.jobs, working=self.env["PGDATABASE"])

    def integrity(self, bench: Bench) -> Iterator[CheckResult]:
        try:
            yield from questions.integrity(bench, self.env, self.jobs, self.pulse)
        except TestBroken as error:  # amcheck is a package of its own on many servers: no reason not to restore
            yield CheckResult(
                kind="integrity",
                name="pg_amcheck --heapallindexed",
                status=Verdict.SKIPPED,
                expected="no corruption",
                actual=f"not looked at: {error}",
            )


@dataclass
class _HowFar:
    """How far the server has come, asked of it every other second: for the person who waits, and for the watchdog."""

    target: Target
    source: Source
    progress: Progress
    _asked: float = 0.0
    _answer: object = None

    def __call__(self) -> object:
        if time.monotonic() - self._asked < LOOK_EVERY:
            return self._answer
        argv = [*PSQL, "-v", f"name={self.target.working}", "-f", "-"]
        env = self.target._env(self.source, MAINTENANCE)
        self._asked = time.monotonic()
        try:
            size, active = self.source.place.run(argv, stdin=HOW_FAR, env=env).stdout.strip().split("|")
        except (CommandFailed, ValueError):
            return self._answer  # no answer is no progress
        self.progress.amount(int(size), None)
        self._answer = (size, self._asked if int(active) else 0)
        return self._answer


def _identifier(manifest: Manifest) -> bool:
    return bool(manifest.contents.get("system_identifier"))


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
