"""Goes through servers and trees, and keeps what a first plan is made of and what people should know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines import Postgres, Sqlite
from ccdr.engines.filetree import TreeFound
from ccdr.engines.found import DatabaseFound
from ccdr.engines.postgres import grants, survey
from ccdr.engines.sqlite.survey import FileFound, look
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, UsageProblem
from ccdr.model.schema import zone_of
from ccdr.model.values import human_bytes, human_seconds
from ccdr.ports.place import Progress, Source
from ccdr.setup.discover import machine, maria, queues
from ccdr.setup.discover.address import Address, AnyAddress
from ccdr.setup.discover.asking import ALWAYS_THERE, NO_PROGRESS, Asked, ask, explained
from ccdr.setup.discover.draft import DatabaseAsset, Item
from ccdr.setup.discover.maria import MariaAddress
from ccdr.setup.discover.names import so_many
from ccdr.setup.discover.queues import QueueAddress

SETTLE = 60.0  # seconds, as the plan says


@dataclass
class Search:
    """`found` and `notes` are for people; a finding is something left out, or that will make a backup fail; `grants`
    are what has to be typed, and where, before one can succeed."""

    services: Services
    progress: Progress
    password_file: Path | None
    items: list[Item] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)

    def server(self, address: AnyAddress) -> None:
        self.progress.step(f"asking {address.shown}")
        if isinstance(address, MariaAddress):
            looked = maria.look(address, self.password_file, self.services, self.progress)
            self.items += looked.assets
            self.found += looked.found
            self.notes += looked.notes
            self.findings += looked.findings
            self.grants += looked.grants
            return
        if isinstance(address, QueueAddress):
            found, wrong, grants = queues.look(address, self.password_file, self.services, self.progress)
            self.items.append(found)
            self.found.append(queues.described(found))
            self.findings += wrong
            self.grants += grants
            return
        engine = _engine(address, self.password_file)
        others = () if address.database else (*ALWAYS_THERE[1:], address.user)
        with ask(engine, others, self.services, self.progress) as asked:
            self.found.append(f"PostgreSQL {asked.server.version} at {address.shown}, as {asked.server.user}:")
            for listed in asked.server.databases:
                if address.database in (None, listed.name):
                    self._database(address, engine, asked, listed)

    def _database(self, address: Address, engine: Postgres, asked: Asked, listed: survey.ListedDatabase) -> None:
        name = listed.name
        if not name.isprintable():
            self.findings.append(f"the database {name!a} is left out: its name cannot stand in a plan")
            return
        if not listed.connect or listed.bytes is None:
            sql = grants.connect(name, asked.server.user)
            sql += f" {asked.server.to_read}" if asked.server.to_read else ""
            self.findings.append(f"the database {name} is left out: {asked.server.user} may not connect to it: {sql}")
            return
        self.progress.step(f"looking at {name}")
        try:
            found = survey.database(asked.place, asked.env_of(name))
        except CommandFailed as error:
            if address.database:
                raise explained(error, engine) from None
            self.findings.append(f"the database {name} is left out: {explained(error, engine)}")
            return
        if not found.tables:
            if address.database:
                raise UsageProblem(f"the database {name} has no table", hint="is it the right one?")
            self.notes.append(f"the database {name} is left out: it has no table")
            return
        self.items.append(
            DatabaseAsset(address, name, asked.server.version, listed.bytes, asked.server.superuser, found)
        )
        self.found.append(f"  {name}: {_described(found, listed.bytes)}")
        self.findings += [f"{name}: {lack.what}; as a superuser in that database: {lack.sql}" for lack in found.lacks]
        self.grants += [f"as a superuser in the database {name}: {lack.sql}" for lack in found.lacks]
        if found.lacks:
            self.notes.append(f"{name}: once it may read more, `ccdr init` with --force finds more to check")
        if "=" in name:
            self.findings.append(
                f"{name}: PostgreSQL's own tools take a name with = for a connection string: rename it"
            )

    def file(self, path: Path, now: float) -> None:
        """A SQLite database, which its application may have open."""
        self.progress.step(f"looking at {path}")
        engine = Sqlite.model_validate({"engine": "sqlite", "path": path})
        place = self.services.host.with_(no_progress=NO_PROGRESS)
        try:
            engine.probe(Source(place, path))
            found = look(place, path, now, zone_of(machine.timezone()))
        except BackupFailed as error:
            raise CcdrError(str(error), hint=error.hint) from None
        if not found.database.tables:
            raise UsageProblem(f"{path} holds no table", hint="is it the right file?")
        self.items.append(found)
        self.found.append(f"{path}: SQLite, {_described(found.database, found.bytes)}")

    def tree(self, found: TreeFound, now: float) -> None:
        self.items.append(found)
        more = "" if found.whole else "more than "
        audio = "".join(f", {n:,} .{suffix}" for suffix, n in found.audio.most_common())
        newest = f", newest {human_seconds(max(0.0, now - found.newest))} old" if found.newest is not None else ""
        self.found.append(
            f"{found.path}: {more}{so_many(found.files, 'file')}, {human_bytes(found.bytes)}{audio}{newest}"
        )
        if found.unreadable:
            self.findings.append(f"{found.path}: {found.unreadable:,} entries cannot be read: run ccdr as who may")
        named = {item.path for item in self.items if isinstance(item, FileFound)}
        if left := [path for path in found.databases if path not in named]:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            self.findings.append(
                f"{left[0]}{more} in {found.path} is a SQLite database: a copy of the file may be torn while it is in"
                f" use; name it too, as sqlite:{left[0]}"
            )
        if found.oldest is not None and abs(now - found.oldest) < SETTLE:
            self.notes.append(
                f"{found.path}: all files are younger than a minute, and a backup waits until they settle"
            )
        if found.silent:
            self.notes.append(f"{found.path}: {found.silent:,} audio files are empty, so decoding is not checked yet")
        if found.audio and not found.decodable:
            self.notes.append(f"{found.path}: its audio has no header, so that it cannot be checked by decoding")


def _engine(address: Address, password_file: Path | None) -> Postgres:
    connection: dict[str, object] = {
        "host": address.host, "port": address.port, "user": address.user, "tls": address.tls,
        "database": address.database or ALWAYS_THERE[0],
        "password_file": password_file and password_file.absolute(), "ca_file": address.ca_file,
    }  # fmt: skip
    return Postgres.model_validate({"engine": "postgres", "connection": connection})


def _described(found: DatabaseFound, size: int) -> str:
    text = f"{human_bytes(size)}, {so_many(found.tables, 'table')}"
    if found.largest:
        rows = ", ".join(f"{t.name} {'' if t.exact else 'about '}{t.rows:,} rows" for t in found.largest[:3])
        text += f" ({rows})"
    if found.newest:
        text += f", newest row {human_seconds(min(n.age for n in found.newest))} old"
    if found.extensions:
        text += f", extensions {', '.join(found.extensions)}"
    return text
