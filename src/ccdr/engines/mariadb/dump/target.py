"""A real server that a dump is loaded onto: looked at first, loaded under a name of the restore's own, moved last,
table by table, to its final name.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ccdr.engines.mariadb import accounts, address, erasing, newcomers, questions
from ccdr.engines.mariadb.client import Login, answers, quote_name, quote_text, text_of
from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.mariadb.dump import files, fitness, identity
from ccdr.engines.mariadb.dump.fitness import UNFINISHED, objects_in
from ccdr.engines.mariadb.dump.load import Writer, load_rows, require_whole, tables_of
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.newcomers import rights_in
from ccdr.engines.mariadb.server import LACKS
from ccdr.engines.servers import target
from ccdr.engines.servers.new_server import Silenced, told
from ccdr.engines.servers.target import (
    DatabaseTarget,
    HowFar,
    SharedAccounts,
    could_not_take,
    does_not_load,
    lacking_there,
    or_left,
    refuse_whole_server,
)
from ccdr.model.erasure import Replayed, Wanted
from ccdr.model.errors import CcdrError, CommandFailed, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Manifest
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Progress, Source, Unwatched
from ccdr.ports.restored import Restored
from ccdr.ports.target import KnownSource, TargetOutlook

if TYPE_CHECKING:
    from ccdr.engines.mariadb.engine import MariaDB

# A database on a real server, while it is loaded and once it is, under the name that it has until it is whole.

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
        mode = quote_text(self.inventory.settings["sql_mode"])
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


# A loaded database gets its final name, which MariaDB cannot give it: its tables move by one statement, and views,
# triggers and routines are made anew. Until all of that is done the final database's comment says so, and whatever
# fails is taken back. Events come last, and disabled: none fires until somebody says so.

OFF, ON = "DISABLED", "ENABLED"  # an event's status
# Tables and views whose definition names the database {other}.
_NAMING = """SELECT DISTINCT JSON_QUOTE(table_name) FROM (
    SELECT table_name, column_default text FROM information_schema.columns WHERE table_schema = {db}
    UNION ALL SELECT table_name, view_definition FROM information_schema.views WHERE table_schema = {db}) t
  WHERE INSTR(text, CONCAT('`', REPLACE({other}, '`', '``'), '`.')) ORDER BY 1;"""
# Foreign keys to a table of it: one that was not there, or not of InnoDB, has not moved with them.
_KEYS = """SELECT JSON_ARRAY(table_name, constraint_name) FROM information_schema.referential_constraints
  WHERE constraint_schema = {db} AND unique_constraint_schema = {other};"""
_LATE = re.compile(r"^Note \(Code (?:1544|1588)\)", re.M)  # an event's time is up: it was disabled, or dropped


@dataclass(frozen=True)
class Moving:
    """From the database `working` into `name`. `before` is what an empty one of that name was made with (charset,
    collation, comment), `rights` what the new users have in it; `notes` takes what there is to tell."""

    writer: Writer
    working: str
    name: str
    before: tuple[str, str, str] | None
    inventory: Inventory
    restored: Path
    rights: Sequence[str]
    notes: list[str] = field(default_factory=list)

    def carry_out(self) -> None:
        """All of it or nothing."""
        try:
            self._forth()
        except BaseException:
            self._back()
            raise

    def _forth(self) -> None:
        """The comment says that it is not finished, from the first statement to the last."""
        inventory, restored, name, run = self.inventory, self.restored, quote_name(self.name), self.writer.run
        unfinished = {**inventory.facts, "database": self.name, "comment": f"{UNFINISHED}{self.working}"}
        made = files.create_database(unfinished)
        run(made if self.before is None else made.replace("CREATE", "ALTER", 1), "making the database")
        run(self._renaming(self.working, self.name), "moving the tables")
        tables = files.called(text_of(restored / files.TABLES), inventory.database, self.working)
        moved = files.left_behind(tables, self.working, self.name, self._asked(_KEYS, self.working))
        settings = "system_versioning_alter_history=KEEP, foreign_key_checks=0"
        run(f"SET SESSION {settings};\n{''.join(moved)}", "setting defaults and keys")
        on_all, on_objects = rights_in(self.rights, self.name)
        code, events = files.apart(text_of(restored / files.CODE))
        run(accounts.script(on_all) + code, "making triggers and routines", self.name)
        make_views(self.writer, restored, inventory.database, self.name, on_objects)
        self._require_all(events=False)
        self._require_own()
        output = run(files.disabled(files.telling(events)), "making events", self.name, "--show-warnings")
        self._require_all(events=True, late=len(_LATE.findall(output)))
        comment = quote_text(files.database_of(restored, inventory.facts)["comment"])
        run(f"ALTER DATABASE {name} COMMENT {comment};\n", "naming it")

    def _renaming(self, here: str, there: str) -> str:
        """One statement for all tables, so that all move or none; triggers cannot move, and are made anew."""
        objects = self.writer.objects(here)
        if not objects.tables:
            return ""
        triggers = [name.removeprefix("trigger ") for name in objects.named if name.startswith("trigger ")]
        dropped = "".join(f"DROP TRIGGER {quote_name(here)}.{quote_name(t)};\n" for t in triggers)
        pairs = ", ".join(
            f"{quote_name(here)}.{quote_name(t.name)} TO {quote_name(there)}.{quote_name(t.name)}"
            for t in objects.tables
        )
        return f"{dropped}SET SESSION foreign_key_checks=0;\nRENAME TABLE {pairs};\n"

    def _require_all(self, *, events: bool, late: int = 0) -> None:
        """`late`: how many events the server itself has dropped or disabled, since their time is up."""
        inventory, there = self.inventory, self.writer.objects(self.name)
        silent = {n for n, was in inventory.objects.items() if n.startswith("event ") and was == ON}
        named = {n: OFF if n in silent else was for n, was in inventory.objects.items()}
        definers, present, present_definers = inventory.definers, there.named, there.definers
        if not events:
            named, definers = files.but_events(named), files.but_events(definers)
        off = [n for n, was in named.items() if n.startswith("event ") and was != present.get(n) in (None, OFF)]
        if lapsed := off if len(off) <= late else []:
            named, definers, present, present_definers = (
                {n: v for n, v in of.items() if n not in lapsed} for of in (named, definers, present, present_definers)
            )
            self.notes.append(f"its time is up: {', '.join(f'{n} is left out' for n in lapsed)}")
        tables = {*inventory.tables, *inventory.facts["without_rows"]}
        if (held := {t.name for t in there.tables}) != tables or (present, present_definers) != (named, definers):
            differ = sorted((held ^ tables) | {n for n, _ in {*present.items()} ^ {*named.items()}})
            raise TestBroken(
                f"what came into {self.name} is not what was captured: {', '.join(differ[:5]) or 'definers differ'}",
                hint="was somebody else at work in it? restore again",
            )
        for event in sorted(silent & present.keys() if events else ()):
            on = f"ALTER EVENT {quote_name(self.name)}.{quote_name(event.removeprefix('event '))} ENABLE"
            self.notes.extend(told([Silenced(f"{event} is disabled", on)]))

    def _require_own(self) -> None:
        """Nothing is defined by what the working database holds; what names the source's own is told: in a view, an
        alias may be called so."""
        if working := [*self._asked(_NAMING, self.working), *(key for key, _ in self._asked(_KEYS, self.working))]:
            raise TestBroken(
                f"{', '.join(working[:5])} in {self.name} would depend on the database {self.working}, which goes",
                hint="restore into a directory, and load it by hand: docs/how-to/recover.md",
            )
        if (was := self.inventory.database) != self.name and (still := self._asked(_NAMING, was)):
            self.notes.append(
                f"still named {was} in the definition of {', '.join(still)}: SHOW CREATE tells what it is"
            )

    def _asked(self, sql: str, other: str) -> list[Any]:
        asked = sql.format(db=quote_text(self.name), other=quote_text(other))
        return answers(self.writer.place, self.writer.login, asked, "asking the target")

    def _back(self) -> None:
        """Nothing stays under the final name. What could not be taken back is marked by its comment."""
        name = quote_name(self.name)
        with contextlib.suppress(CcdrError):
            self.writer.end_sessions(self.working, self.name)
            if not is_marked(self.writer, self.working, self.name):
                return
            self.writer.run(self._renaming(self.name, self.working), "moving the tables back")
            again = ""
            if self.before is not None:
                charset, collation, comment = self.before
                facts = {"database": self.name, "charset": charset, "collation": collation, "comment": comment}
                again = files.create_database(facts)
            self.writer.run(f"DROP DATABASE {name};\n{again}", "removing what was not finished")
            self.writer.revoke(self.rights, self.name)


def make_views(writer: Writer, restored: Path, source: str, database: str, on_objects: Sequence[str]) -> None:
    """A view that reads another acts with its definer's rights: granted once all views are there by name."""
    path = restored / files.VIEWS
    views = files.called(text_of(path), source, database) if path.is_file() else ""
    names, mark, final = views.partition("\n--\n-- Final view structure")
    writer.run(f"{names}\n{accounts.script(on_objects)}{mark}{final}", "making views and grants", database)


def is_marked(writer: Writer, working: str, name: str) -> bool:
    """Does the database's comment say that it is not finished?"""
    sql = f"SELECT schema_comment FROM information_schema.schemata WHERE schema_name = {quote_text(name)};"
    comments = writer.lines(sql, "asking the target")
    return bool(comments) and comments[0] == f"{UNFINISHED}{working}"


def has_moved(writer: Writer, working: str, name: str) -> bool:
    """What is under that name may be somebody else's: our tables have moved, so none is left under the working name."""
    writer.end_sessions(working, name)
    tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_type <> 'VIEW' AND table_schema ="
    sql = f"SELECT {objects_in(name)};\n{tables} {quote_text(working)};"
    there, left = map(int, writer.lines(sql, "asking the target"))
    return there > 0 and not left and not is_marked(writer, working, name)


# The whole of it is loaded and checked in a database with a working name; it has its final name last.

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
        """As `fitness.Facts.identity`; None where it did not say when it was installed."""
        installed, settings = manifest.contents["installed"], manifest.contents["settings"]
        named = (settings[key] for key in ("hostname", "port", "server_id"))
        return installed and tuple(map(str, (*named, installed)))

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
        self.shared = target.of_server(facts.identity)
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
                or identity.held_so(error, inventory)
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
        tables = files.called(tables_of(restored, inventory), was, here)
        writer.run(tables, "making the tables", here)
        if other := identity.referred_lacking(place, writer.login, tables, here):
            raise self._lacking(restored, other)
        load_rows(place, writer.client(here), restored, inventory, self.jobs, pulse)
        code, _ = files.apart(text_of(restored / files.CODE))
        writer.run(accounts.script(on_all) + code, "making triggers and routines", here)
        make_views(writer, restored, was, here, on_objects)

    def _lacking_beside(self, error: CommandFailed, restored: Path, inventory: Inventory) -> TestBroken | None:
        other = identity.database_lacking(error, restored, inventory.database, self.working, self.name)
        return self._lacking(restored, other) if other else None

    def _lacking(self, restored: Path, other: str) -> TestBroken:
        named = ", ".join(identity.readers(restored, other)[:5]) or "something in it"
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
        pulse = HowFar(partial(how_far, source.place, login, self.name), Unwatched())
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
