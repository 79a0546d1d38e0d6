"""Takes the dump and what goes beside it, all true for one instant.

A session is held open beside pg_dump, which uses its exported snapshot. TRUNCATE and ALTERs that rewrite a table do
not respect snapshots: one that commits before pg_dump has locked the table leaves it empty in the dump, though it
was never empty for anybody. The session sees it afterwards, and the capture is made again.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.answers import NO_WORDS, FreeText
from ccdr.engines.postgres.connection import PSQL
from ccdr.engines.postgres.dump import identity
from ccdr.engines.postgres.inventory import (
    CLOCK,
    INVENTORY,
    NO_TIMEOUTS,
    OPEN_SNAPSHOT,
    REWRITTEN,
    Inventory,
    conninfo,
    read_inventory,
)
from ccdr.errors import BackupFailed, CommandFailed
from ccdr.interfaces import Capture, Output, Place, Session, Tools
from ccdr.interrupts import threads
from ccdr.model import FileDigest

SESSION_PATIENCE = 60.0  # seconds; the session asks for nothing that waits on others
ATTEMPTS = 3
# A partition that was dropped while the dump began.
_UNDERFOOT = re.compile(r"does not exist|could not open relation|cache lookup failed")
_WARNING = re.compile(r"^pg_dump: warning: (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Dumped:
    """What one attempt left in `dump/`."""

    point: datetime
    skew: float
    standby: bool
    inventory: Inventory
    rewritten: tuple[str, ...]
    warnings: tuple[FreeText, ...]


@dataclass(frozen=True)
class Read:
    """What a dump holds. `files` lie elsewhere than in the captured directory, `more` is for the manifest."""

    tables: Mapping[str, identity.TableFact]
    files: Mapping[str, FileDigest] = field(default_factory=dict)
    more: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Dumper:
    """One database, through one place. `env` is libpq's; it holds no password."""

    place: Place
    env: Mapping[str, str]
    database: str
    jobs: int
    tools: Tools

    def capture(self, into: Path) -> Capture:
        """Everything into the empty directory `into`; BackupFailed where no attempt gave a true copy."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                dumped = self._dump(into / "dump")
            except CommandFailed as error:
                if attempt == ATTEMPTS or error.stalled or not error.stderr.search(_UNDERFOOT):
                    raise
            else:
                if not dumped.rewritten:
                    return self._described(dumped, into)
                if attempt == ATTEMPTS:
                    raise BackupFailed(
                        f"tables were truncated or rewritten while the dump began: {', '.join(dumped.rewritten[:5])}",
                        hint="back up at another time, or use a longer `limits: lock_wait`",
                    )
            shutil.rmtree(into / "dump", ignore_errors=True)
        raise AssertionError("the last attempt returns or raises")

    def _options(self) -> str:
        wait = int(self.tools.lock_wait * 1000)
        return (
            f"-c lock_timeout={wait} -c statement_timeout=0 -c client_min_messages=warning -c role=none "
            "-c client_connection_check_interval=2s"  # a dump that was stopped must not go on waiting for a lock
        )

    def _dump(self, dump: Path) -> Dumped:
        clock, place = self.tools.clock, self.place
        env = {**self.env, "PGOPTIONS": self._options(), "PGCLIENTENCODING": "UTF8"}
        with place.session([*PSQL, "-v", "ON_ERROR_STOP=1"], env=env) as session:
            _ask(session, NO_TIMEOUTS)
            before = clock.now()
            snapshot, said = _ask(session, OPEN_SNAPSHOT).strip(), _ask(session, CLOCK).strip()
            after = clock.now()
            source_clock, standby, replayed = said.split("|")
            inventory = read_inventory(_ask(session, INVENTORY))
            argv = ["-w", "-Z0", "--no-sync", f"--snapshot={snapshot}"]
            argv.append(f"--lock-wait-timeout={int(self.tools.lock_wait * 1000)}")
            if standby == "t":
                argv.append("--no-unlogged-table-data")  # a standby has none
            out = self._written(argv, dump)
            rewritten = tuple(_ask(session, REWRITTEN).split("\n")[:-1])
        skew = float(source_clock) - (before + (after - before) / 2).timestamp()
        warnings = tuple(FreeText(line) for line in _WARNING.findall(out.stderr.reveal()))
        point = before if standby == "f" else _replayed(before, replayed, skew)
        return Dumped(point, skew, standby == "t", inventory, rewritten, warnings)

    def _written(self, argv: Sequence[str], dump: Path) -> Output:
        """Have pg_dump write it, with these options and the form's own."""
        form = ["-Fd", f"-j{self.jobs}", "-f", self.place.path(dump)]
        return self.place.run(["pg_dump", *form, *argv], env=self._dump_env(), watch=dump.parent, what="pg_dump")

    def _dump_env(self) -> dict[str, str]:
        return {**self.env, "PGOPTIONS": f"{self._options()} {identity.DUMP_OPTIONS}"}

    def _described(self, dumped: Dumped, into: Path) -> Capture:
        data = [str(p.relative_to(into)) for p in sorted(into.rglob("*.dat"))]
        with threads(1) as pool:
            # What the client tells in small answers, while the data is hashed.
            told = pool.submit(lambda: (self._describe(into, dumped.inventory), *self._defined(into)))
            files = self.tools.digest(into, data, lines=True)
            version, toc, schema = told.result()
        (into / "toc.list").write_text(toc.text, "utf-8", "surrogateescape")
        read = self._read(into, toc, files)
        small = [str(p.relative_to(into)) for p in sorted(into.rglob("*")) if p.is_file() and p.suffix != ".dat"]
        files |= {**self.tools.digest(into, small), **read.files}
        if not read.tables:
            raise BackupFailed(
                f"the dump of {self.database} holds no table",
                hint="is it the right database, and may the user see its tables?",
            )
        contents = {
            **dumped.inventory.facts,
            "source": self.database,
            "standby": dumped.standby,
            "role_passwords": dumped.inventory.superuser,
            "tables": {key: {"rows": t.rows, "bytes": t.bytes, "sha256": t.sha256} for key, t in read.tables.items()},
            "schema_sha256": schema.sha256,
            **read.more,
        }
        return Capture(
            consistent_point=dumped.point,
            clock_skew_s=round(dumped.skew, 6),
            contents=contents,
            files=files,
            bytes=sum(d.bytes for d in files.values()),
            tools={"pg_dump": version},
            notes=_notes(dumped),
            words=sum(dumped.warnings, NO_WORDS),
        )

    def _defined(self, into: Path) -> tuple[identity.Toc, identity.Schema]:
        return identity.read_toc(self.place, into / "dump"), identity.schema(self.place, into / "dump")

    def _read(self, into: Path, toc: identity.Toc, files: Mapping[str, FileDigest]) -> Read:
        """What the dump holds, by its table of contents and the digests of its files."""
        return Read(identity.tables(toc, {n.removeprefix("dump/"): d for n, d in files.items()}))

    def _describe(self, into: Path, inventory: Inventory) -> str:
        """What goes beside the dump; the client's version. `globals.sql` is for people who restore a whole server;
        `roles.sql` is what the sandbox loads."""
        place, env = self.place, {**self._dump_env(), "PGCLIENTENCODING": "UTF8"}
        for name, flag in (("globals.sql", "--globals-only"), ("roles.sql", "--roles-only")):
            argv = ["pg_dumpall", "-w", flag, "-l", conninfo(self.database), "-f", place.path(into / name)]
            if not inventory.superuser:
                argv.append("--no-role-passwords")  # only a superuser may read them
            place.run(argv, env=env, what=f"pg_dumpall {flag}")
            with (into / name).open("a", encoding="utf-8") as file:  # pg_dumpall leaves these out
                file.writelines(f"{statement}\n" for statement in inventory.role_all_settings)
        said = place.run(["pg_dump", "--version"]).stdout
        return said.split("\n")[0].split(")")[1].split()[0]


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


def _notes(dumped: Dumped) -> list[str]:
    notes = [f"pg_dump warns: {warning.answer or 'see what it says'}" for warning in dumped.warnings]
    if dumped.standby:
        notes.append("taken from a standby: it has no rows of unlogged tables")
    if not dumped.inventory.superuser:
        notes.append("taken by a role that is no superuser: roles come back without their passwords")
        if dumped.inventory.facts.get("user_mappings"):
            notes.append("user mappings come back without their options, which only a superuser may read")
    return notes
