"""A loaded database gets its final name, which MariaDB cannot give it: its tables move by one statement, and views,
triggers and routines are made anew. Until all of that is done the final database's comment says so, and whatever fails
is taken back. Events come last, and disabled: none fires until somebody says so."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccdr.engines.mariadb import accounts
from ccdr.engines.mariadb.client import answers, quote_name, quote_text, text_of
from ccdr.engines.mariadb.dump import files, renamed
from ccdr.engines.mariadb.dump.fitness import UNFINISHED, objects_in
from ccdr.engines.mariadb.dump.writer import Writer
from ccdr.engines.mariadb.inventory import Inventory
from ccdr.engines.mariadb.newcomers import rights_in
from ccdr.engines.servers.silenced import Silenced, told
from ccdr.model.errors import CcdrError, TestBroken

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
        tables = renamed.called(text_of(restored / files.TABLES), inventory.database, self.working)
        moved = renamed.left_behind(tables, self.working, self.name, self._asked(_KEYS, self.working))
        settings = "system_versioning_alter_history=KEEP, foreign_key_checks=0"
        run(f"SET SESSION {settings};\n{''.join(moved)}", "setting defaults and keys")
        on_all, on_objects = rights_in(self.rights, self.name)
        code, events = renamed.apart(text_of(restored / files.CODE))
        run(accounts.script(on_all) + code, "making triggers and routines", self.name)
        make_views(self.writer, restored, inventory.database, self.name, on_objects)
        self._require_all(events=False)
        self._require_own()
        output = run(renamed.disabled(renamed.telling(events)), "making events", self.name, "--show-warnings")
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
            named, definers = renamed.but_events(named), renamed.but_events(definers)
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
    views = renamed.called(text_of(path), source, database) if path.is_file() else ""
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
