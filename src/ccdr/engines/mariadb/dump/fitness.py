"""Whether a server may take a restore, and what it says of itself: asked before anything is written there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.engines.mariadb import variables
from ccdr.engines.mariadb.address import shown
from ccdr.engines.mariadb.client import Login, answers, foreign_characters, lines, quote_name, quote_text
from ccdr.engines.mariadb.connection import Connection, major_of
from ccdr.engines.mariadb.inventory import SETTINGS, ZONES, Inventory
from ccdr.engines.servers.target import of_other_restores, refuse_in_use, room_needed, set_otherwise
from ccdr.model.errors import UsageProblem
from ccdr.ports.place import Place

UNFINISHED = "ccdr restore, not finished: "  # the comment of one that is being moved to its own name
LOOK = f"""\
SELECT JSON_ARRAY('server', VERSION(), @@hostname, @@port, @@server_id, @@read_only + 0, @@lower_case_table_names,
    @@global.event_scheduler, @@global.sql_mode);
SELECT JSON_ARRAY('installed', MIN(create_time)) FROM information_schema.tables WHERE table_schema = 'mysql';
SELECT JSON_ARRAY('database', schema_name, schema_comment, default_character_set_name, default_collation_name)
  FROM information_schema.schemata;
SELECT JSON_ARRAY('variable', LOWER(variable_name), variable_value) FROM information_schema.global_variables;
SELECT JSON_ARRAY('engine', engine) FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT');
{ZONES}"""


@dataclass(frozen=True)
class Facts:
    """What a target says of itself; `databases` by name: character set, collation, comment."""

    version: str
    identity: tuple[str, ...]
    read_only: bool
    case: str
    scheduler: str
    sql_mode: str
    databases: Mapping[str, tuple[str, str, str]]
    engines: frozenset[str]
    variables: Mapping[str, str]
    zones: Sequence[int]

    @classmethod
    def ask(cls, place: Place, login: Login) -> Facts:
        rows: Sequence[Any] = answers(place, login, LOOK, "asking the target")
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
            {row[1]: row[2] for row in rows if row[0] == "variable"},
            next([int(number) for number in row[1:]] for row in rows if row[0] == "zones"),
        )


def refuse_unfit(place: Place, login: Login, to: Connection, facts: Facts, inventory: Inventory) -> None:
    user = to.user
    if "MariaDB" not in facts.version:
        raise UsageProblem(f"{shown(to)} is {facts.version}, and no MariaDB", hint="name a MariaDB server")
    if _series(facts.version) < _series(inventory.version):
        raise UsageProblem(
            f"{shown(to)} is MariaDB {facts.version}, the backup is of {inventory.version}",
            hint=f"name a server of series {major_of(inventory.version)} or newer",
        )
    if facts.read_only or _is_replica(place, login):
        raise UsageProblem(f"{shown(to)} is a replica or read-only, and must not be written", hint="name its primary")
    if foreign := foreign_characters(place, login):
        raise UsageProblem(
            f"{shown(to)} makes every session {foreign}: what ccdr dumps there to compare it would be otherwise",
            hint="start that server without skip-character-set-client-handshake",
        )
    if not _administrates(lines(place, login, "SHOW GRANTS;", "asking for the user's rights")):
        raise UsageProblem(
            f"{user} is no administrator at {shown(to)}: users, definers and grants would not come back",
            hint=f"name one in --to, or as one: GRANT ALL PRIVILEGES ON *.* TO {user}@… WITH GRANT OPTION",
        )
    wanted = {str(t["engine"]) for t in inventory.tables.values()}
    if lacks := sorted(wanted - facts.engines):
        raise UsageProblem(
            f"{shown(to)} lacks the storage engine {', '.join(lacks)}",
            hint="INSTALL SONAME … on that server, then restore again",
        )
    if (case := inventory.settings["lower_case_table_names"]) != facts.case:
        raise UsageProblem(
            f"{shown(to)} has lower_case_table_names={facts.case}, the source had {case}: names would differ",
            hint="restore onto a server that is set up as the source was",
        )


def refuse_unless_empty(place: Place, login: Login, to: Connection) -> None:
    name = quote_text(to.database)
    sql = f"""SELECT JSON_ARRAY({objects_in(to.database)},
      (SELECT COUNT(*) FROM information_schema.processlist WHERE db = {name}),
      (SELECT schema_comment FROM information_schema.schemata WHERE schema_name = {name}));"""
    what = "looking whether the target is empty"
    ((objects, sessions, comment),) = answers(place, login, sql, what)
    if str(comment or "").startswith(UNFINISHED):
        raise UsageProblem(
            f"{to.database} at {shown(to)} is what a restore that was stopped has left unfinished ({comment})",
            hint=f"once no restore is running: DROP DATABASE {quote_name(to.database)}, and restore again",
        )
    refuse_in_use(to.database, shown(to), objects, sessions)


def objects_in(database: str) -> str:
    """How many there are, as SQL asks."""
    wheres = ("information_schema.tables WHERE table_schema", "mysql.proc WHERE db", "mysql.event WHERE db")
    return " + ".join(f"(SELECT COUNT(*) FROM {where} = {quote_text(database)})" for where in wheres)


def notes(to: Connection, facts: Facts, inventory: Inventory) -> list[str]:
    """What whoever restores should know, and what is no reason to refuse."""
    notes = [room_needed(inventory.database_bytes)]
    if (mode := inventory.settings["sql_mode"]) != facts.sql_mode:
        notes.append(f"that server's sql_mode is {facts.sql_mode or 'empty'}, the source's was {mode or 'empty'}")
    notes += _otherwise(facts, inventory)
    if any(name.startswith("event ") for name in inventory.objects):
        notes.append(f"events come back disabled; that server's event_scheduler is {facts.scheduler}")
    if to.database != inventory.database:
        notes.append(
            f"triggers, routines and events whose text names the database {inventory.database} still name it so"
        )
    if inventory.left_out:
        notes.append(f"left out of the backup, as its plan said: {', '.join(inventory.left_out)}")
    return [*notes, *of_other_restores(facts.databases)]


def _otherwise(facts: Facts, inventory: Inventory) -> Iterator[str]:
    """What is compared, and set by nobody."""
    settings, captured = inventory.settings, inventory.variables
    stated = {**{name: settings[name] for name in SETTINGS if name in settings}, **captured}
    of_theirs = {n: v for n, v in stated.items() if n != "sql_mode" and not variables.LEFT.fullmatch(n)}
    yield from set_otherwise(of_theirs, facts.variables, variables.FILE)
    if inventory.zones and inventory.zones != list(facts.zones):
        yield "its time zones by name are not the source's: CONVERT_TZ by a name tells other times there, or none"


def _is_replica(place: Place, login: Login) -> bool:
    """Does it follow another server?"""
    return bool(lines(place, login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))


def _administrates(grants: Sequence[str]) -> bool:
    return any(g.startswith("GRANT ALL PRIVILEGES ON *.* TO ") and "WITH GRANT OPTION" in g for g in grants)


def _series(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in major_of(version).split("."))
