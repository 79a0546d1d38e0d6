"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, moved last.

MariaDB cannot rename a database. So the whole of it is loaded and checked in a database with a working name; then its
tables move into the final one by one statement, and views, triggers and routines are made there. Until all of that is
done the final database's comment says so, and whatever fails is taken back. Events come last: none fires before.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ccdr.engines.connection import may_be_one
from ccdr.engines.mariadb import accounts, address, newcomers, questions
from ccdr.engines.mariadb.client import Login, answers, lines, quote_name, quote_text
from ccdr.engines.mariadb.connection import Connection, major_of
from ccdr.engines.mariadb.dump import files, identity, renamed
from ccdr.engines.mariadb.dump.load import NO_DIRECTORIES, load_rows, require_whole, text_of
from ccdr.engines.mariadb.inventory import Inventory, objects_of
from ccdr.engines.mariadb.server import LACKS
from ccdr.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.interfaces import Bench, KnownSource, Place, Progress, Restored, Source, TargetLook
from ccdr.model import CheckResult, Manifest, human_bytes

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

MARK = "_ccdr_restore_"
UNFINISHED = "ccdr restore, not finished: "
LOOK_EVERY = 2.0  # seconds between two looks at how far a load has come
LOOK = """\
SELECT JSON_ARRAY('server', VERSION(), @@hostname, @@port, @@server_id, @@read_only + 0, @@lower_case_table_names,
    @@global.event_scheduler, @@global.sql_mode);
SELECT JSON_ARRAY('installed', MIN(create_time)) FROM information_schema.tables WHERE table_schema = 'mysql';
SELECT JSON_ARRAY('database', schema_name, schema_comment, default_character_set_name, default_collation_name)
  FROM information_schema.schemata;
SELECT JSON_ARRAY('engine', engine) FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT');
"""
# A value that changes while the server works for us: what the database takes, and a session that waits for no lock.
HOW_FAR = """\
SELECT JSON_ARRAY(
  (SELECT COALESCE(SUM(file_size), 0) FROM information_schema.innodb_sys_tablespaces WHERE name LIKE {files})
    + (SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
       WHERE table_schema = {name} AND engine <> 'InnoDB'),
  (SELECT COUNT(*) FROM information_schema.processlist WHERE db = {name} AND command = 'Query'
     AND state NOT LIKE 'Waiting for%' AND id <> CONNECTION_ID()));
"""
OFF = "DISABLED"  # an event's status
_LATE = re.compile(r"^Note \(Code (?:1544|1588)\)", re.M)  # an event's time is up: it was disabled, or dropped
# What a server says that is full, going down, gone or in somebody else's hands.
_NOT_THE_BACKUP = re.compile(
    r"ERROR (1021|1030|1034|1040|1053|1077|1114|1135|1152|1153|1180|1184|1194|1205|1213|1290)\b|"
    r"ERROR (2002|2003|2006|2013|2026)\b|"
    r"No space left|Disk full|Lost connection|gone away|read-only|Connection was killed|Server shutdown",
    re.IGNORECASE,
)


@dataclass
class Target:
    """`ServerTarget` for MariaDB. `connection` names the database that is to be."""

    client: MariaDB
    connection: Connection
    jobs: int
    run: str = ""
    before: tuple[str, str, str] | None = None  # of an empty database that bears the name: charset, collation, comment
    new: newcomers.Newcomers | None = None
    inventory: Inventory | None = None
    restored: Path | None = None
    accounts: set[str] = field(default_factory=set)  # that the server has
    began: bool = False
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, url: str, engine: MariaDB, password_file: Path | None, ca_file: Path | None) -> Target:
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
        if manifest.method != "dump":
            raise UsageProblem(
                "a physical backup is a whole server: it cannot be loaded onto one that runs",
                hint="restore it into a directory (--to DIR), and start a server on that: docs/recover.md",
            )
        self.run, self.inventory = run, Inventory(manifest.contents)
        place, login = source.place, self._login(source)
        rows = answers(place, login, LOOK, "asking the target")
        facts = _Facts.of(rows)
        self._refuse_sources(facts, sources, onto_source_server=onto_source_server)
        self._refuse_unfit(source, facts, self.inventory)
        look = TargetLook(facts.version)
        if self.name in facts.databases:
            self._refuse_unless_empty(source)
            self.before = facts.databases[self.name]
        there = "the empty" if self.before else "a new"
        look.will.append(f"loads into a new database {self.working}, and moves it into {there} {self.name} at the end")
        self.accounts = accounts.names(place, login)
        look.will.append("makes the users that the database needs and the server lacks, as captured, with rights in it")
        orphans = newcomers.orphans_of(self.inventory)
        if orphans:
            look.notes.append(f"its definers {', '.join(orphans)} did not exist at the source either")
        look.notes.extend(self._notes(facts, self.inventory))
        return look

    def _refuse_sources(self, facts: _Facts, sources: Sequence[KnownSource], *, onto_source_server: bool) -> None:
        """The same server by what it says of itself, however it is reached; by its address where a backup does not know
        that. A new server at a source's old address is another server."""
        for known in sources:
            connection = getattr(known.engine, "connection", None)
            if not isinstance(connection, Connection):
                continue
            told = [identity for m in known.manifests if (identity := _identity(m))]
            if not (facts.identity in told if told else may_be_one(self.connection, connection)):
                continue
            names = {connection.database, *(str(m.contents.get("database")) for m in known.manifests)}
            if self.name.lower() in {name.lower() for name in names}:
                raise UsageProblem(
                    f"{self.shown} is the source of {known.asset}: a restore never writes there",
                    hint="restore onto another server, or under another name; the application is then told that name",
                )
            if not onto_source_server:
                raise UsageProblem(
                    f"{self.shown} is on the server that {known.asset} is backed up from",
                    hint="restore onto another server; to load another database beside the source all the same, add "
                    "--onto-source-server",
                )

    def _refuse_unfit(self, source: Source, facts: _Facts, inventory: Inventory) -> None:
        place, login, user = source.place, self._login(source), self.connection.user
        if "MariaDB" not in facts.version:
            raise UsageProblem(f"{self.shown} is {facts.version}, and no MariaDB", hint="name a MariaDB server")
        if _series(facts.version) < _series(inventory.version):
            raise UsageProblem(
                f"{self.shown} is MariaDB {facts.version}, the backup is of {inventory.version}",
                hint=f"name a server of series {major_of(inventory.version)} or newer",
            )
        if facts.read_only or table_of_replicas(place, login):
            raise UsageProblem(
                f"{self.shown} is a replica or read-only, and must not be written", hint="name its primary"
            )
        if not _administrates(lines(place, login, "SHOW GRANTS;", "asking for the user's rights")):
            raise UsageProblem(
                f"{user} is no administrator at {self.shown}: users, definers and grants would not come back",
                hint=f"name one in --to, or as one: GRANT ALL PRIVILEGES ON *.* TO {user}@… WITH GRANT OPTION",
            )
        wanted = {str(t["engine"]) for t in inventory.tables.values()}
        if lacks := sorted(wanted - facts.engines):
            raise UsageProblem(
                f"{self.shown} lacks the storage engine {', '.join(lacks)}",
                hint="INSTALL SONAME … on that server, then restore again",
            )
        if (case := inventory.settings.get("lower_case_table_names", facts.case)) != facts.case:
            raise UsageProblem(
                f"{self.shown} has lower_case_table_names={facts.case}, the source had {case}: names would differ",
                hint="restore onto a server that is set up as the source was",
            )

    def _refuse_unless_empty(self, source: Source) -> None:
        name = quote_text(self.name)
        counts = " + ".join(
            f"(SELECT COUNT(*) FROM {where} = {name})"
            for where in ("information_schema.tables WHERE table_schema", "mysql.proc WHERE db", "mysql.event WHERE db")
        )
        sql = f"""SELECT JSON_ARRAY({counts}, (SELECT COUNT(*) FROM information_schema.processlist WHERE db = {name}),
          (SELECT schema_comment FROM information_schema.schemata WHERE schema_name = {name}));"""
        what = "looking whether the target is empty"
        ((objects, sessions, comment),) = answers(source.place, self._login(source), sql, what)
        if str(comment or "").startswith(UNFINISHED):
            raise UsageProblem(
                f"{self.name} at {self.shown} is what a restore that was stopped has left unfinished ({comment})",
                hint=f"once no restore is running: DROP DATABASE {quote_name(self.name)}, and restore again",
            )
        if objects:
            raise UsageProblem(
                f"the database {self.name} at {self.shown} is not empty: it holds {objects} objects",
                hint="name a database that is not there yet; ccdr never removes one that holds anything",
            )
        if sessions:
            raise UsageProblem(
                f"{sessions} sessions use the database {self.name} at {self.shown}", hint="end them, or name another"
            )

    def _notes(self, facts: _Facts, inventory: Inventory) -> list[str]:
        size = human_bytes(inventory.database_bytes)
        notes = [f"the server needs about {size} of disk for it: see that it has them"]
        if (mode := inventory.settings.get("sql_mode", facts.sql_mode)) != facts.sql_mode:
            notes.append(f"that server's sql_mode is {facts.sql_mode or 'empty'}, the source's was {mode or 'empty'}")
        if any(name.startswith("event ") for name in inventory.objects) and facts.scheduler != "ON":
            notes.append(f"its event_scheduler is {facts.scheduler}: events come back, and do not run until it is ON")
        if self.name != inventory.database:
            notes.append(
                f"triggers, routines and events whose text names the database {inventory.database} still name it so"
            )
        left = [d for d in facts.databases if MARK in d]
        notes.extend(f"{d} is what an earlier restore left or is still loading: drop it once it is done" for d in left)
        return notes

    # --- the load -------------------------------------------------------------------------------------

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        inventory = self.inventory = Inventory(manifest.contents)
        self.restored = restored
        loaded = Loaded(self._login(source), self.jobs, inventory, self.working, _HowFar(self, source, progress))
        require_whole(restored, manifest)
        try:
            self._make_users(source, restored, inventory)
            self.began = True
            self._load(source, restored, inventory, loaded.pulse)
        except CommandFailed as error:
            raise self._judged(error) from None
        return loaded

    def _make_users(self, source: Source, restored: Path, inventory: Inventory) -> None:
        found = accounts.loadable(accounts.read(restored), inventory.database, inventory.names)
        definers = set(inventory.definers.values())
        mighty = accounts.mighty(source.place, self._login(source))
        self.new = newcomers.newcomers(found, inventory.database, definers, self.accounts, mighty)
        self._run(source, accounts.script(self.new.statements), "making users")

    def _load(self, source: Source, restored: Path, inventory: Inventory, pulse: _HowFar) -> None:
        """As into a sandbox, but for events, which would fire: triggers after the rows, so that they do not act on
        them; views after the routines that they call."""
        assert self.new is not None
        place, was, here = source.place, inventory.database, self.working
        on_all, on_objects = newcomers.rights_in(self.new.rights, here)
        self._run(source, files.create_database({**inventory.facts, "database": here}), "making the database")
        tables = renamed.called(text_of(restored / files.TABLES), was, here).replace(*NO_DIRECTORIES, 1)
        self._run(source, tables, "making the tables", here)
        load_rows(place, self._client(source, here), restored, inventory, self.jobs, pulse)
        code, _ = renamed.apart(text_of(restored / files.CODE))
        self._run(source, accounts.script(on_all) + code, "making triggers and routines", here)
        self._views(source, on_objects, here)

    def _views(self, source: Source, on_objects: list[str], database: str) -> None:
        """A view that reads another acts with its definer's rights: granted once all views are there by name."""
        assert self.restored is not None and self.inventory is not None
        path = self.restored / files.VIEWS
        views = renamed.called(text_of(path), self.inventory.database, database) if path.is_file() else ""
        names, mark, final = views.partition("\n--\n-- Final view structure")
        self._run(source, f"{names}\n{accounts.script(on_objects)}{mark}{final}", "making views and grants", database)

    def _judged(self, error: CommandFailed) -> CcdrError:
        """The backup may be bad, or the server may lack something, be full or gone: most often the latter."""
        if error.stalled:
            return TestBroken(str(error), hint="give `limits: no_progress` more time, or see who holds a lock there")
        if lacks := LACKS.search(error.stderr):
            return TestBroken(
                f"{self.shown} lacks something that the backup needs: {lacks[0]}", hint="install it there"
            )
        if _NOT_THE_BACKUP.search(error.stderr):
            return TestBroken(f"{self.shown} could not take it: {error}", hint="see that server's log and its disk")
        return BackupBad(f"the backup does not load: {error}", hint="restore an older snapshot")

    # --- the end --------------------------------------------------------------------------------------

    def finish(self, source: Source) -> list[str]:
        if self.before is not None:
            self._refuse_unless_empty(source)
        try:
            self._move(source)
        except BaseException:
            self._back(source)
            raise
        return self.settle(source)

    def _move(self, source: Source) -> None:
        """The comment says that it is not finished, from the first statement to the last."""
        inventory, restored, name = self.inventory, self.restored, quote_name(self.name)
        assert inventory is not None and restored is not None and self.new is not None
        unfinished = {**inventory.facts, "database": self.name, "comment": f"{UNFINISHED}{self.working}"}
        made = files.create_database(unfinished)
        self._run(source, made if self.before is None else made.replace("CREATE", "ALTER", 1), "making the database")
        self._run(source, self._renaming(source, self.working, self.name), "moving the tables")
        moved = renamed.sequence_defaults(
            renamed.called(text_of(restored / files.TABLES), inventory.database, self.working), self.working, self.name
        )
        self._run(source, f"SET SESSION system_versioning_alter_history=KEEP;\n{''.join(moved)}", "setting defaults")
        on_all, on_objects = newcomers.rights_in(self.new.rights, self.name)
        code, events = renamed.apart(text_of(restored / files.CODE))
        self._run(source, accounts.script(on_all) + code, "making triggers and routines", self.name)
        self._views(source, on_objects, self.name)
        self._require_all(source, events=False)
        said = self._run(source, renamed.telling(events), "making events", self.name, "--show-warnings")
        self._require_all(source, events=True, late=len(_LATE.findall(said)))
        comment = quote_text(str(inventory.facts["comment"]))
        self._run(source, f"ALTER DATABASE {name} COMMENT {comment};\n", "naming it")

    def _renaming(self, source: Source, here: str, there: str) -> str:
        """One statement for all tables, so that all move or none; triggers cannot move, and are made anew."""
        place, login = source.place, self._login(source)
        found = objects_of(place, login, here)
        if not found.tables:
            return ""
        triggers = [name.removeprefix("trigger ") for name in found.named if name.startswith("trigger ")]
        dropped = "".join(f"DROP TRIGGER {quote_name(here)}.{quote_name(t)};\n" for t in triggers)
        pairs = ", ".join(
            f"{quote_name(here)}.{quote_name(t.name)} TO {quote_name(there)}.{quote_name(t.name)}" for t in found.tables
        )
        return f"{dropped}SET SESSION foreign_key_checks=0;\nRENAME TABLE {pairs};\n"

    def _require_all(self, source: Source, *, events: bool, late: int = 0) -> None:
        """`late`: how many events the server itself has dropped or disabled, since their time is up."""
        inventory = self.inventory
        assert inventory is not None
        there = objects_of(source.place, self._login(source), self.name)
        named, definers = inventory.objects, inventory.definers
        found, definers_found = there.named, there.definers
        if not events:
            named, definers = renamed.but_events(named), renamed.but_events(definers)
        off = [n for n, was in named.items() if n.startswith("event ") and was != found.get(n) in (None, OFF)]
        if lapsed := off if len(off) <= late else []:
            named, definers, found, definers_found = (
                {n: v for n, v in of.items() if n not in lapsed} for of in (named, definers, found, definers_found)
            )
            became = (f"{n} is {'disabled' if n in there.named else 'left out'}" for n in lapsed)
            self.notes.append(f"its time is up: {', '.join(became)}")
        tables = {*inventory.tables, *inventory.facts["without_rows"]}
        if (held := {t.name for t in there.tables}) != tables or (found, definers_found) != (named, definers):
            differ = sorted((held ^ tables) | {n for n, _ in {*found.items()} ^ {*named.items()}})
            raise TestBroken(
                f"what came into {self.name} is not what was captured: {', '.join(differ[:5]) or 'definers differ'}",
                hint="was somebody else at work in it? restore again",
            )

    def _back(self, source: Source) -> None:
        """Nothing stays under the final name. What could not be taken back is marked by its comment."""
        name = quote_name(self.name)
        with contextlib.suppress(CcdrError):
            self._end_sessions(source)
            if not self._is_marked(source):
                return
            self._run(source, self._renaming(source, self.name, self.working), "moving the tables back")
            again = ""
            if self.before is not None:
                charset, collation, comment = self.before
                facts = {"database": self.name, "charset": charset, "collation": collation, "comment": comment}
                again = files.create_database(facts)
            self._run(source, f"DROP DATABASE {name};\n{again}", "removing what was not finished")
            self._revoke(source, self.name)

    def _end_sessions(self, source: Source) -> None:
        """Ours that may still go on: a client that was stopped does not stop what the server does for it."""
        sql = f"""SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()
          AND (db = {quote_text(self.working)} OR info LIKE {quote_text(f"%{self.working}%")}
            OR db = {quote_text(self.name)} AND user = SUBSTRING_INDEX(CURRENT_USER(), '@', 1));"""
        for _ in range(50):
            found = lines(source.place, self._login(source), sql, "looking for sessions")
            if not found:
                return
            kill = "".join(f"KILL {int(i)};\n" for i in found)
            argv = [*self._client(source), "--force"]
            source.place.run(argv, stdin=kill, ok=range(256), what="ending sessions")
            time.sleep(0.1)

    def _is_marked(self, source: Source) -> bool:
        sql = f"""SELECT schema_comment FROM information_schema.schemata WHERE schema_name = {quote_text(self.name)};"""
        said = lines(source.place, self._login(source), sql, "asking the target")
        return bool(said) and said[0] == f"{UNFINISHED}{self.working}"

    def named(self, source: Source) -> bool:
        """Tables under that name may be somebody else's: ours have moved, so none is left under the working name."""
        self._end_sessions(source)
        count = "SELECT COUNT(*) FROM information_schema.tables WHERE table_type <> 'VIEW' AND table_schema ="
        sql = f"{count} {quote_text(self.name)};\n{count} {quote_text(self.working)};"
        there, left = map(int, lines(source.place, self._login(source), sql, "asking the target"))
        return there > 0 and not left and not self._is_marked(source)

    def settle(self, source: Source) -> list[str]:
        """The working database holds no table any more."""
        try:
            self._revoke(source, self.working)
            self._run(source, f"DROP DATABASE IF EXISTS {self.working};\n", "removing the working database")
        except CcdrError as error:
            return [f"the database {self.working} at {self.shown}, without a table: {error}; drop it yourself"]
        return []

    def undo(self, source: Source) -> list[str]:
        left = []
        try:
            self._end_sessions(source)
            if self.began:
                self._revoke(source, self.working)
                self._run(source, f"DROP DATABASE IF EXISTS {self.working};\n", "removing what was not finished")
        except CcdrError as error:
            left.append(f"the database {self.working} at {self.shown} ({error}): drop it once the server answers")
        try:
            if self.new is not None and self.new.missing:
                self._run(source, accounts.script(self.new.undoing()), "removing users")
        except CcdrError as error:
            users = ", ".join(self.new.missing if self.new else ())
            left.append(f"the users {users} at {self.shown} ({error}): drop them if nobody uses them")
        return left

    def standing(self) -> str:
        return (
            f"what was restored stands as {self.working} at {self.shown}, to be looked at: its tables can be moved by "
            f"RENAME TABLE, or DROP DATABASE {self.working}"
        )

    # --------------------------------------------------------------------------------------------------

    def _revoke(self, source: Source, database: str) -> None:
        """Rights outlive what they are of. Some are gone already: no error is one here."""
        if self.new is None:
            return
        on_all, on_objects = newcomers.rights_in(self.new.rights, database)
        script = accounts.script(newcomers.revoking([*on_all, *on_objects]))
        argv = [*self._client(source), "--force"]
        source.place.run(argv, stdin=script, ok=range(256), what="revoking rights")

    def _login(self, source: Source) -> Login:
        return self.connection.login(source.credentials)

    def _client(self, source: Source, database: str | None = None) -> list[str]:
        """The client for what somebody else has written: it touches no file, and the server's own limits and habits do
        not change what is loaded."""
        settings = "max_statement_time=0, lock_wait_timeout=60, foreign_key_checks=1"
        if self.inventory is not None:
            captured = self.inventory.settings
            for name in ("innodb_strict_mode", "explicit_defaults_for_timestamp", "max_heap_table_size"):
                settings += f", {name}={captured[name]}" if name in captured else ""
        return self._login(source).client(
            "--loose-sandbox", f"--init-command=SET SESSION {settings}", database=database
        )

    def _run(self, source: Source, script: str, what: str, database: str | None = None, *options: str) -> str:
        if not script.strip():
            return ""
        return source.place.run([*self._client(source, database), *options], stdin=script, what=what).stdout


@dataclass(frozen=True)
class _Facts:
    """What a target says of itself; `databases` by name: character set, collation, comment."""

    version: str
    identity: tuple[str, ...]
    read_only: bool
    case: str
    scheduler: str
    sql_mode: str
    databases: Mapping[str, tuple[str, str, str]]
    engines: frozenset[str]

    @classmethod
    def of(cls, rows: Sequence[Any]) -> _Facts:
        (server,) = [row[1:] for row in rows if row[0] == "server"]
        (installed,) = [row[1] for row in rows if row[0] == "installed"]
        version, host, port, number, read_only, case, scheduler, mode = server
        return cls(
            version,
            tuple(map(str, (host, port, number, installed))),
            bool(read_only),
            str(case),
            scheduler,
            mode,
            {row[1]: (row[3], row[4], row[2]) for row in rows if row[0] == "database"},
            frozenset(row[1] for row in rows if row[0] == "engine"),
        )


@dataclass(frozen=True)
class Loaded:
    """`Restored` for a database on a real server, under its working name."""

    has_server: ClassVar[bool] = True

    login: Login
    jobs: int
    inventory: Inventory
    working: str
    pulse: _HowFar

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
        self._asked = time.monotonic()
        working = self.target.working
        sql = HOW_FAR.format(name=quote_text(working), files=quote_text(working.replace("_", r"\_") + "/%"))
        try:
            ((size, active),) = answers(self.source.place, self.target._login(self.source), sql, "asking the target")
        except (CommandFailed, ValueError):
            return self._answer  # no answer is no progress
        self.progress.amount(int(size), None)
        self._answer = (size, self._asked if int(active) else 0)
        return self._answer


def table_of_replicas(place: Place, login: Login) -> bool:
    """Does it follow another server?"""
    return bool(lines(place, login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))


def _administrates(grants: Sequence[str]) -> bool:
    return any(g.startswith("GRANT ALL PRIVILEGES ON *.* TO ") and "WITH GRANT OPTION" in g for g in grants)


def _identity(manifest: Manifest) -> tuple[str, ...] | None:
    """Which server it was captured from; None of older snapshots, which do not tell."""
    installed, settings = manifest.contents.get("installed"), manifest.contents.get("settings")
    if not installed or not isinstance(settings, Mapping):
        return None
    return tuple(str(x) for x in (*(settings.get(k) for k in ("hostname", "port", "server_id")), installed))


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in major_of(version).split("."))
