"""Takes the dump and what goes beside it, all true for one instant.

A session is held open beside pg_dump, which uses its exported snapshot. TRUNCATE and ALTERs that rewrite a table do
not respect snapshots: one that commits before pg_dump has locked the table leaves it empty in the dump, though it
was never empty for anybody; so does one that gives a table's or column's name to another. Nor do most definitions
(`redefined.py`). A session that sees the present tells, and the capture is made again; what waits for pg_dump's locks,
and is done as soon as they go, is none of that (`locks.py`).
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property, partial
from pathlib import Path

from ccdr.engines.postgres import captured_settings
from ccdr.engines.postgres.connection import DUMP_OPTIONS, OWN_OPTIONS, PSQL, newer_options
from ccdr.engines.postgres.dump import locks, references, server_objects
from ccdr.engines.postgres.dump.definitions import Schema, schema
from ccdr.engines.postgres.dump.described import (
    ROLES,
    Dumped,
    Read,
    contents_of,
    dropped_since,
    left_out,
    notes_of,
    write_roles,
)
from ccdr.engines.postgres.dump.redefined import redefined
from ccdr.engines.postgres.dump.toc import Toc, read_toc, tables
from ccdr.engines.postgres.inventory import (
    ALL_TABLES,
    CLOCK,
    INVENTORY,
    NO_TIMEOUTS,
    OPEN_SNAPSHOT,
    PINNED,
    Inventory,
    read_inventory,
)
from ccdr.host.interrupts import threads
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.errors import BackupFailed, CommandFailed
from ccdr.model.measure import skew
from ccdr.model.values import FileDigest
from ccdr.ports.capture import Capture, Tools
from ccdr.ports.place import Output, Place, Session

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
            place.session([*PSQL, "-v", "ON_ERROR_STOP=1"], env=env) as session,
            place.session([*PSQL, "-v", "ON_ERROR_STOP=1"], env=env) as present,
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
        settings = captured_settings.captured(self.place, self.env, into)
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
    return session.ask(f"{sql}\n\\echo answered\n", "answered", timeout=SESSION_PATIENCE)


def _replayed(now: datetime, replayed: str, skew: float) -> datetime:
    """A standby's data is true for its newest replayed commit's time, by this host's clock."""
    if not replayed:
        raise BackupFailed(
            "the standby cannot tell the time of its newest replayed commit",
            hint="back it up once a commit has been replayed since its start, or use the primary",
        )
    return now + timedelta(seconds=min(0.0, float(replayed) - skew - now.timestamp()))
