"""Takes the dump and what goes beside it, all true for one instant; tells what was defined anew meanwhile, and what is
recorded.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

from ccdr.engines.postgres import server_settings
from ccdr.engines.postgres.connection import DUMP_OPTIONS, OWN_OPTIONS, PSQL, STRICT, answer, newer_options, told
from ccdr.engines.postgres.dump import locks, references, server_objects, unfilled
from ccdr.engines.postgres.dump.definitions import Schema, schema
from ccdr.engines.postgres.dump.identity import as_recorded
from ccdr.engines.postgres.dump.toc import TableFact, Toc, read_toc, tables
from ccdr.engines.postgres.inventory import (
    ALL_TABLES,
    CLOCK,
    INVENTORY,
    NO_TIMEOUTS,
    OPEN_SNAPSHOT,
    PINNED,
    Inventory,
    conninfo,
    quote_ident,
    read_inventory,
)
from ccdr.host.interrupts import threads
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.finding import Finding
from ccdr.model.measure import skew
from ccdr.model.values import FileDigest, so_many
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Output, Place, Session

# What was defined anew, renamed or dropped since the dump's snapshot.
#
# pg_dump lists objects in its snapshot and has the server print them: `pg_get_triggerdef`, `pg_get_indexdef`, names
# of types and functions, labels of enums. The server prints what there is at present. Of a trigger that was dropped
# and made again it prints nothing, and pg_dump writes an empty statement; of a function it prints new arguments
# beside the old body.
#
# In the snapshot's session a row that somebody has updated or deleted since bears the number of that transaction
# (`xmax`). Whether it has committed, a session tells that sees the present.

_OF_TABLE = "(select relnamespace from pg_class where oid = {})"
_NAMED = "concat({0}namespace, ' ', {0}name)"
# Temporary objects, and TOAST tables, which change with their table's file, are in no dump.
_ROW = """\
  select '{0}' as catalogue, {3}::bigint as object, {4}::text as version, {1} as name, xmax::text as ended from {0}
  where {2} not in (select oid from pg_namespace where nspname like 'pg\\_t%')"""
# By catalogue: its name, its schema, its OID, and by what it is another one. Of a relation or a type that is its name:
# the rest is read in the snapshot, or is what `locks.py` looks at. An index that is being built is in no dump.
_ROWS = {
    row[0]: _ROW.format(*row)
    for row in (
        ("pg_class", "relname", "relnamespace", "oid", _NAMED.format("rel")),
        ("pg_type", "typname", "typnamespace", "oid", _NAMED.format("typ")),
        (
            "pg_index",
            "(select relname from pg_class where oid = indexrelid)",
            f"case when indisvalid then {_OF_TABLE.format('indrelid')} end",
            "indexrelid",
            "xmin",
        ),
        ("pg_trigger", "tgname", _OF_TABLE.format("tgrelid"), "oid", "xmin"),
        ("pg_rewrite", "rulename", _OF_TABLE.format("ev_class"), "oid", "xmin"),
        (
            "pg_enum",
            "(select typname from pg_type where oid = enumtypid)",
            "(select typnamespace from pg_type where oid = enumtypid)",
            "oid",
            "xmin",
        ),
        *(
            (catalogue, f"{prefix}name", f"{prefix}namespace", "oid", "xmin")
            for catalogue, prefix in (
                *(("pg_proc", "pro"), ("pg_constraint", "con"), ("pg_statistic_ext", "stx"), ("pg_operator", "opr")),
                *(("pg_opclass", "opc"), ("pg_opfamily", "opf"), ("pg_collation", "coll"), ("pg_ts_config", "cfg")),
                ("pg_ts_dict", "dict"),
            )
        ),
    )
}
_ASKED = """\
select coalesce(jsonb_agg(jsonb_build_array(catalogue, object, version, name)), '[]') from (
{}
) x where {};
"""


def redefined(then: Callable[[str], str], now: Callable[[str], str], *, copying: bool = False) -> set[str]:
    """Their names. `then` and `now` give the answers to SQL of a session in the snapshot, and of one in the present.
    `copying`: what is printed before the first row has been looked at; labels of enums are printed with each row."""
    listed = "\n  union all\n".join([_ROWS["pg_enum"]] if copying else _ROWS.values())
    was = _rows(then(_ASKED.format(listed, "ended <> '0'")))
    objects = ", ".join(str(oid) for _, oid, _ in was)
    there = _rows(now(_ASKED.format(listed, f"object = any ('{{{objects}}}')")))
    return {name for row, name in was.items() if row not in there}


def _rows(answer: str) -> dict[tuple[str, int, str], str]:
    return {(catalogue, oid, version): name for catalogue, oid, version, name in json.loads(answer)}


# What is recorded of a dump, and what goes beside it.

ROLES = "select jsonb_object_agg(oid, rolname) from pg_roles;"
# As pg_dumpall writes a role that may do nothing.
BARE = (
    "CREATE ROLE {0};\n"
    "ALTER ROLE {0} WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB NOLOGIN NOREPLICATION NOBYPASSRLS;"
)


@dataclass(frozen=True)
class Dumped:
    """What one attempt left in `dump/`."""

    point: datetime
    skew: float
    standby: bool
    inventory: Inventory
    warnings: tuple[FreeText, ...]
    broken: references.Broken
    roles: Mapping[str, str]  # by OID, in the snapshot


@dataclass(frozen=True)
class Read:
    """What a dump holds. `files` lie elsewhere than in the captured directory, `more` is for the manifest."""

    tables: Mapping[str, TableFact]
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


def contents_of(database: str, dumped: Dumped, read: Read, schema: Schema) -> dict[str, object]:
    """For the manifest."""
    return {
        **as_recorded(dumped.inventory.facts),
        "source": database,
        "standby": dumped.standby,
        "role_passwords": dumped.inventory.superuser,
        "tables": {key: {"rows": t.rows, "bytes": t.bytes, "sha256": t.sha256} for key, t in read.tables.items()},
        "schema_sha256": schema.sha256,
        "broken_keys": dumped.broken.rows,
        **read.more,
    }


def write_roles(
    place: Place, env: Mapping[str, str], database: str, into: Path, dumped: Dumped, schema: Schema
) -> list[str]:
    """`globals.sql` is for people who restore a whole server; `roles.sql` is what the sandbox loads. pg_dumpall sees
    the present: roles of the snapshot that were dropped since, and that the dump may name, are added as they can be,
    bare, and are returned. The dump has the number of one in whose place there is nobody when a grant is read."""
    inventory, flags = dumped.inventory, {"globals.sql": "--globals-only", "roles.sql": "--roles-only"}
    for name, flag in flags.items():
        argv = ["pg_dumpall", "-w", flag, "-l", conninfo(database), "-f", place.path(into / name)]
        if not inventory.superuser:
            argv.append("--no-role-passwords")  # only a superuser may read them
        place.run(argv, env=env, what=f"pg_dumpall {flag}")
    there = json.loads(answer(place, env, ROLES, "asking for the roles again"))
    gone = {oid: role for oid, role in dumped.roles.items() if oid not in there}
    dropped = [role for role in gone.values() if role not in there.values()]
    dropped += [oid for oid in gone if f'"{oid}"' in schema.text]
    for name in flags:
        known = (into / name).read_text("utf-8", "surrogateescape")
        bare = (BARE.format(quote_ident(role)) for role in dropped if f"CREATE ROLE {quote_ident(role)};" not in known)
        with (into / name).open("a", encoding="utf-8") as file:  # pg_dumpall leaves these out
            file.writelines(f"{statement}\n" for statement in (*inventory.role_all_settings, *bare))
    return sorted(dropped)


def left_out(inventory: Inventory) -> Iterator[Finding]:
    """What a restore will lack, as findings."""
    subscriptions = inventory.facts["subscriptions"]
    if subscriptions and not inventory.superuser:
        text = (
            f"the subscriptions {', '.join(subscriptions)} are not in the dump, and a restore test will miss them: "
            "pg_dump takes them for a superuser alone"
        )
        yield Finding(text, f"subscriptions {', '.join(subscriptions)}")
    if detaching := inventory.facts["detaching"]:
        text = (
            f"the partitions {', '.join(detaching)} wait to be detached, and a restore has them whole in their table "
            "again: end it by `ALTER TABLE … DETACH PARTITION … FINALIZE`"
        )
        yield Finding(text, f"partitions {', '.join(detaching)}")


def dropped_since(dropped: list[str]) -> Iterator[str]:
    if dropped:
        yield f"dropped at the source while it was dumped, and back as roles that may do nothing: {', '.join(dropped)}"


def notes_of(dumped: Dumped) -> list[str]:
    notes = [f"pg_dump warns: {warning.answer or 'see what it says'}" for warning in dumped.warnings]
    if prepared := dumped.inventory.facts["prepared"]:
        many = so_many(prepared, "transaction")
        notes.append(f"{many} prepared and not yet ended: not in the dump, and lost if it has to come back from there")
    if fired := dumped.inventory.facts["login_triggers"]:
        notes.append(
            f"each session of a backup fires the source's login event trigger {', '.join(fired)}: as a superuser: "
            "ALTER ROLE … SET event_triggers = off"
        )
    notes += unfilled.notes(dumped.inventory.facts, live=False)
    if dumped.standby:
        notes.append("taken from a standby: it has no rows of unlogged tables")
    if not dumped.inventory.facts["system_identifier"]:
        notes.append("which server it is, is not known: the role may not execute pg_control_system()")
    if not dumped.inventory.superuser:
        notes.append(
            "taken by a role that is no superuser: roles come back without their passwords, and settings that it may "
            "not read are not known"
        )
        if dumped.inventory.facts["user_mappings"]:
            notes.append("user mappings come back without their options, which only a superuser may read")
    return notes


# A session is held open beside pg_dump, which uses its exported snapshot. TRUNCATE and ALTERs that rewrite a table do
# not respect snapshots: one that commits before pg_dump has locked the table leaves it empty in the dump, though it
# was never empty for anybody; so does one that gives a table's or column's name to another. Nor do most definitions
# are, as is told above. A session that sees the present tells, and the capture is made again; what waits for pg_dump's
# locks, and is done as soon as they go, is none of that (`locks.py`).

SESSION_PATIENCE = 60.0  # seconds; the session asks for nothing that waits on others
ATTEMPTS = 6
UTF8 = {"PGCLIENTENCODING": "UTF8"}
# A partition or a view that was dropped while the dump began.
_UNDERFOOT = re.compile(
    r"does not exist|could not open relation|cache lookup failed|returned no data|appears to be empty"
)
_NO_UTF8 = re.compile(r'invalid byte sequence for encoding "UTF8"')
# Of several connections each locks what it dumps once more, and does not wait: not behind one who waits to truncate it.
_WANTED_MEANWHILE = re.compile(r"could not obtain lock on relation")
_OF_ITS_OWN = re.compile(r"(?!(DATABASE|SCHEMA|EXTENSION|ACL|COMMENT|SECURITY LABEL|DEFAULT ACL) )")
_WARNING = re.compile(r"^pg_dump: warning: (.*)$", re.MULTILINE)


class _Rewritten(Exception):
    """What was another one before pg_dump had locked or read it."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = sorted(names)


@dataclass(frozen=True)
class Dumper:
    """One database, through one place. `env` is libpq's; it holds no password."""

    place: Place
    env: Mapping[str, str]
    database: str
    jobs: int
    tools: Tools
    leave_out: tuple[str, ...] = ()

    def capture(self, into: Path) -> Capture:
        """Everything into the empty directory `into`; BackupFailed where no attempt gave a true copy."""
        if re.search(r"[\r\n]", self.database):
            raise BackupFailed("pg_dump names no database with a line break in its name", hint="rename the database")
        dumper = self
        for attempt in range(1, ATTEMPTS + 1):
            try:
                dumped = dumper._dump(into / "dump")
            except _Rewritten as error:
                if attempt == ATTEMPTS:
                    which = ", ".join(error.names[:5])
                    raise BackupFailed(
                        f"what it holds was truncated, defined anew or renamed while the dump began: {which}",
                        hint="that is altered more often than a dump can begin: back up at another time",
                    ) from None
            except CommandFailed as error:
                if error.stderr.search(_NO_UTF8):
                    raise BackupFailed(
                        "a name, a definition or a setting of the database is not UTF-8, as its encoding is SQL_ASCII",
                        hint="give it one that is (docs/reference/postgres.md, dump), or use `method: physical`",
                    ) from None
                if attempt == ATTEMPTS or error.stalled:
                    raise
                if error.stderr.search(_WANTED_MEANWHILE):
                    dumper = replace(dumper, jobs=1)
                elif not error.stderr.search(_UNDERFOOT):
                    raise
            else:
                return self._described(dumped, into)
            shutil.rmtree(into / "dump", ignore_errors=True)
        raise AssertionError("the last attempt returns or raises")

    @cached_property
    def version(self) -> str:
        """The client's, whose major version is the server's."""
        output = self.place.run(["pg_dump", "--version"]).stdout
        return output.split("\n")[0].split(")")[1].split()[0]

    def _env(self, more: str) -> dict[str, str]:
        """libpq's variables, with these options beside those of every session of ours."""
        wait = int(self.tools.lock_wait * 1000)
        options = (
            f"{OWN_OPTIONS}{newer_options(self.version)} -c lock_timeout={wait} -c client_min_messages=warning "
            "-c client_connection_check_interval=2s "  # a dump that was stopped must not go on waiting for a lock
        )
        return {**self.env, "PGOPTIONS": options + more}  # a dump keeps its database's encoding

    def _dump(self, dump: Path) -> Dumped:
        clock, place = self.tools.clock, self.place
        env, other = ({**self._env(pinned), **UTF8} for pinned in (PINNED, references.OPTIONS))
        with (
            place.session(PSQL, env=other) as beside,
            place.session(STRICT, env=env) as session,
            place.session(STRICT, env=env) as present,
        ):
            for one in (
                beside,
                session,
                present,
            ):  # all are there: from the snapshot on, the less time passes the better
                _ask(one, NO_TIMEOUTS)
            before = clock.now()
            snapshot, answer = _ask(session, OPEN_SNAPSHOT).strip(), _ask(session, CLOCK).strip()
            after = clock.now()
            source_clock, standby, replayed = answer.split("|")
            inventory, roles = read_inventory(_ask(session, INVENTORY)), json.loads(_ask(session, ROLES))
            # In the database's own encoding, whatever client_encoding it or the role has set.
            argv = ["-w", "-Z0", "--no-sync", f"--snapshot={snapshot}", f"--encoding={inventory.encoding}"]
            argv.append(f"--lock-wait-timeout={int(self.tools.lock_wait * 1000)}")
            if standby == "t":
                argv.append("--no-unlogged-table-data")  # a standby has none
            known = locks.tables_of(_ask(session, ALL_TABLES))
            now = partial(_ask, present)
            with threads(1) as pool:
                changed = pool.submit(_ask, session, server_objects.CHANGED)
                held = locks.Locks(known, lambda: redefined(lambda sql: pool.submit(_ask, session, sql).result(), now))
                try:
                    out, broken = self._beside(present, beside, snapshot, argv, dump, held)
                finally:  # an error of the session's, whose snapshot pg_dump then lacks, goes before pg_dump's
                    made = server_objects.read_objects(changed.result())
            altered = redefined(partial(_ask, session), now, copying=held.copying)
            if names := altered.union(held.rewritten, held.changed(locks.tables_of(now(ALL_TABLES)))):
                raise _Rewritten(names)
        ahead = skew(before, after, float(source_clock))
        warnings = tuple(FreeText(line) for line in _WARNING.findall(out.stderr.reveal()))
        point = before if standby == "f" else _replayed(before, replayed, ahead)
        inventory = Inventory({**inventory.facts, "server_objects": made})
        return Dumped(point, ahead, standby == "t", inventory, warnings, broken, roles)

    def _beside(
        self, present: Session, beside: Session, snapshot: str, argv: Sequence[str], dump: Path, held: locks.Locks
    ) -> tuple[Output, references.Broken]:
        """Have pg_dump run, and look meanwhile at what its locks keep, and at the source's foreign keys."""
        app = f"ccdr-dump-{secrets.token_hex(6)}"

        def cancel(pid: int) -> object:
            return _ask(present, f"select pg_cancel_backend({pid});")

        with references.looked_at(beside, snapshot, cancel) as broken:
            try:
                with locks.watched(held, lambda sql: _ask(present, sql), app, self.tools.lock_wait):
                    out = self._written(argv, dump, {**self._dump_env(), "PGAPPNAME": app})
            except (BackupFailed, CommandFailed) as error:
                if held.rewritten:
                    raise _Rewritten(held.rewritten) from None
                if held.holder is not None:
                    raise self._kept_out(held.holder, error) from None
                raise
        return out, broken

    def _kept_out(self, holder: locks.Holder, error: BackupFailed | CommandFailed) -> BackupFailed:
        in_time = isinstance(error, CommandFailed) and not error.stalled
        waited = f"for {self.tools.lock_wait:g} s" if in_time else "and made no progress,"
        return BackupFailed(
            f"pg_dump waited {waited} for its lock on {holder.table}, which {holder} keeps from it",
            hint="have that one end its transaction, back up at another time, or wait longer: `limits: {lock_wait: …}`",
        )

    def _written(self, argv: Sequence[str], dump: Path, env: Mapping[str, str]) -> Output:
        """Have pg_dump write it, with these options and the form's own."""
        form = ["-Fd", f"-j{self.jobs}", "-f", self.place.path(dump)]
        return self.place.run(["pg_dump", *form, *argv], env=env, watch=dump.parent, what="pg_dump")

    def _dump_env(self) -> dict[str, str]:
        return self._env(DUMP_OPTIONS)

    def _described(self, dumped: Dumped, into: Path) -> Capture:
        data = [str(p.relative_to(into)) for p in sorted(into.rglob("*.dat"))]
        with threads(1) as pool:
            # What the client tells in small answers, while the data is hashed.
            listed = pool.submit(self._told, into, dumped)
            files = self.tools.digest(into, data, lines=True)
            toc, schema, dropped = listed.result()
        settings = server_settings.captured(self.place, self.env, into)
        (into / "toc.list").write_text(toc.text, "utf-8", "surrogateescape")
        read = self._read(into, toc, files)
        small = [str(p.relative_to(into)) for p in sorted(into.rglob("*")) if p.is_file() and p.suffix != ".dat"]
        files |= {**self.tools.digest(into, small), **read.files}
        if not any(_OF_ITS_OWN.match(rest) for _, rest in toc.entries):
            raise BackupFailed(
                f"the dump of {self.database} holds no object of its own",
                hint="is it the right database, and may the user see what is in it?",
            )
        return Capture(
            consistent_point=dumped.point,
            clock_skew_s=round(dumped.skew, 6),
            contents={
                **contents_of(self.database, dumped, read, schema),
                "settings": settings,
                "left_out": list(self.leave_out),
                "dropped_roles": dropped,
            },
            files=files,
            bytes=sum(d.bytes for d in files.values()),
            tools={"pg_dump": self.version},
            notes=[*notes_of(dumped), *dropped_since(dropped)],
            findings=[*dumped.broken.findings(), *left_out(dumped.inventory)],
            words=sum(dumped.warnings, NO_WORDS),
            left_out=list(self.leave_out),
        )

    def _told(self, into: Path, dumped: Dumped) -> tuple[Toc, Schema, list[str]]:
        toc, schema = self._defined(into)
        return toc, schema, write_roles(self.place, {**self._dump_env(), **UTF8}, self.database, into, dumped, schema)

    def _defined(self, into: Path) -> tuple[Toc, Schema]:
        return read_toc(self.place, into / "dump"), schema(self.place, into / "dump")

    def _read(self, into: Path, toc: Toc, files: Mapping[str, FileDigest]) -> Read:
        """What the dump holds, by its table of contents and the digests of its files."""
        return Read(tables(toc, {n.removeprefix("dump/"): d for n, d in files.items()}))


def _ask(session: Session, sql: str) -> str:
    return told(session, sql, patience=SESSION_PATIENCE)


def _replayed(now: datetime, replayed: str, skew: float) -> datetime:
    """A standby's data is true for its newest replayed commit's time, by this host's clock."""
    if not replayed:
        raise BackupFailed(
            "the standby cannot tell the time of its newest replayed commit",
            hint="back it up once a commit has been replayed since its start, or use the primary",
        )
    return now + timedelta(seconds=min(0.0, float(replayed) - skew - now.timestamp()))
