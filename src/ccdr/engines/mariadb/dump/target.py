"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, moved last.

MariaDB cannot rename a database. So the whole of it is loaded and checked in a database with a working name; then its
tables move into the final one by one statement, and views, triggers and routines are made there. Until all of that is
done the final database's comment says so, and whatever fails is taken back. Events come last: none fires before.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.engines.mariadb import accounts, address, newcomers
from ccdr.engines.mariadb.client import Login, lines, quote_name, quote_text, text_of
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.dump import beyond, files, fitness, renamed
from ccdr.engines.mariadb.dump.fitness import MARK, UNFINISHED
from ccdr.engines.mariadb.dump.load import AS_THEY_ARE, load_rows, require_whole, tables_of
from ccdr.engines.mariadb.dump.loaded import HowFar, Loaded
from ccdr.engines.mariadb.inventory import Inventory, objects_of
from ccdr.engines.mariadb.server import LACKS
from ccdr.model.answers import lacking
from ccdr.model.errors import BackupBad, CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import Manifest
from ccdr.ports.place import Progress, Source
from ccdr.ports.restored import Restored
from ccdr.ports.target import KnownSource, TargetLook

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

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
                hint="restore it into a directory (--to DIR), and start a server on that: docs/how-to/recover.md",
            )
        self.run, self.inventory = run, Inventory(manifest.contents)
        place, login = source.place, self._login(source)
        facts = fitness.Facts.ask(place, login)
        fitness.refuse_sources(self.connection, facts, sources, onto_source_server=onto_source_server)
        fitness.refuse_unfit(place, login, self.connection, facts, self.inventory)
        look = TargetLook(facts.version)
        if self.name in facts.databases:
            fitness.refuse_unless_empty(place, login, self.connection)
            self.before = facts.databases[self.name]
        there = "the empty" if self.before else "a new"
        look.will.append(f"loads into a new database {self.working}, and moves it into {there} {self.name} at the end")
        self.accounts = accounts.names(place, login)
        look.will.append("makes the users that the database needs and the server lacks, as captured, with rights in it")
        orphans = newcomers.orphans_of(self.inventory)
        if orphans:
            look.notes.append(f"its definers {', '.join(orphans)} did not exist at the source either")
        look.notes.extend(fitness.notes(self.connection, facts, self.inventory))
        return look

    # --- the load -------------------------------------------------------------------------------------

    def load(self, source: Source, restored: Path, manifest: Manifest, progress: Progress) -> Restored:
        inventory = self.inventory = Inventory(manifest.contents)
        self.restored = restored
        login = self._login(source)
        pulse = HowFar(source.place, login, self.working, progress)
        loaded = Loaded(login, self.jobs, inventory, self.working, pulse)
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

    def _load(self, source: Source, restored: Path, inventory: Inventory, pulse: HowFar) -> None:
        """As into a sandbox, but for events, which would fire: triggers after the rows, so that they do not act on
        them; views after the routines that they call."""
        assert self.new is not None
        place, was, here = source.place, inventory.database, self.working
        on_all, on_objects = newcomers.rights_in(self.new.rights, here)
        self._run(
            source,
            files.create_database({**files.database_of(restored, inventory.facts), "database": here}),
            "making the database",
        )
        tables = renamed.called(tables_of(restored, inventory), was, here)
        self._run(source, tables, "making the tables", here)
        if other := beyond.merged_lacking(place, self._login(source), tables, here):
            raise self._lacking(restored, other)
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
        if error.stderr.errors.begins(LACKS):
            what = lacking(error.stderr)
            return TestBroken(f"{self.shown} lacks something that the backup needs: {what}", hint="install it there")
        inventory, restored = self.inventory, self.restored
        assert inventory is not None and restored is not None
        if other := beyond.database_lacking(error, restored, inventory.database, self.working, self.name):
            return self._lacking(restored, other)
        if held := beyond.held_so(error, inventory):
            return held
        if error.stderr.search(_NOT_THE_BACKUP):
            return TestBroken(f"{self.shown} could not take it: {error}", hint="see that server's log and its disk")
        return BackupBad(f"the backup does not load: {error}", hint="restore an older snapshot")

    def _lacking(self, restored: Path, other: str) -> TestBroken:
        named = ", ".join(beyond.readers(restored, other)[:5]) or "something in it"
        return TestBroken(
            f"{named} reads the database {other}, and {self.shown} lacks what it reads there",
            hint=f"restore {other} onto that server first",
        )

    # --- the end --------------------------------------------------------------------------------------

    def finish(self, source: Source) -> list[str]:
        if self.before is not None:
            fitness.refuse_unless_empty(source.place, self._login(source), self.connection)
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
        comment = quote_text(files.database_of(restored, inventory.facts)["comment"])
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
        settings = f"max_statement_time=0, lock_wait_timeout=60, foreign_key_checks=1, {AS_THEY_ARE}"
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
