"""PostgreSQL servers for a first plan, and beside what plans name: addresses, what they hold, an asset's lines."""

from __future__ import annotations

import contextlib
import getpass
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ccdr.engines.discovery import (
    DatabaseFound,
    DatabaseItem,
    Databases,
    Discovery,
    DiscoveryReport,
    LocalServer,
    Looking,
    NamedServer,
    RunningServer,
    absolute,
    connection_lines,
    database_checks,
    described,
    explained,
    scalar,
    so_many,
)
from ccdr.engines.postgres import address, grants, survey
from ccdr.engines.postgres.engine import Postgres
from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import human_bytes
from ccdr.ports.place import Place

SOCKETS = "/var/run/postgresql"
ALWAYS_THERE = ("postgres", "template1")  # databases to ask a server through when none is named
EXAMPLE = "give one like postgresql://user@host:5432/database or postgresql:///database?host=/var/run/postgresql"
_ELSEWHERE = re.compile(r'database "[^"]*" does not exist|permission denied for database|no pg_hba\.conf entry')
# What the server said, and what to do about it. The command line or a file is wrong.
_REFUSED = (
    (
        r"no password supplied",
        "write the password into a file of mode 0600, and name it with --password-file FILE",
    ),
    (
        r"password authentication failed",
        "check the user's name, and its password in the first line of --password-file FILE",
    ),
    (r"Peer authentication failed|Ident authentication failed", "name the user in the URL: postgresql://USER@host/"),
    (r'role "[^"]*" does not exist', "name a user that the server knows: postgresql://USER@host/"),
    (r'database "[^"]*" does not exist', "leave the database out of the URL: ccdr then finds all databases"),
    (r"permission denied for database", "as a superuser: {connect}"),
    (r"no pg_hba\.conf entry", "let this host and user in by a line in the server's pg_hba.conf"),
    (
        r"certificate|does not support SSL|root\.crt|SSL error",
        "outside loopback ccdr verifies TLS: name the server as its certificate does, and name your own CA with "
        "?sslrootcert=FILE",
    ),
)


class PostgresServer(NamedServer):
    """What `ccdr init` was given."""

    @property
    def shown(self) -> str:
        return f"{self.host} (port {self.port})" if self.host.startswith("/") else f"{self.host}:{self.port}"

    def engine(self, password_file: Path | None) -> Postgres:
        connection: dict[str, object] = {
            "host": self.host, "port": self.port, "user": self.user, "tls": self.tls, "ca_file": self.ca_file,
            "database": self.database or ALWAYS_THERE[0], "password_file": absolute(password_file),
        }  # fmt: skip
        return Postgres.model_validate({"engine": "postgres", "connection": connection})

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[PostgresItem]:
        looking.progress.step(f"asking {self.shown}")
        engine = self.engine(password_file)
        others = () if self.database else (*ALWAYS_THERE[1:], str(self.user))
        with ask(engine, others, looking) as asked:
            looking.report.contents.append(
                f"PostgreSQL {asked.server.version} at {self.shown}, as {asked.server.user}:"
            )
            return list(_Databases(self, engine, asked).items(self.database, looking))


@dataclass(frozen=True)
class PostgresItem(DatabaseItem):
    """What is found of one."""

    superuser: bool
    facts: DatabaseFound

    @property
    def tables(self) -> int:
        return self.facts.tables

    @property
    def described(self) -> str:
        return described(self.facts, self.bytes)

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        yield f"# PostgreSQL {self.version}, {human_bytes(self.bytes)}, {so_many(self.tables, 'table')}"
        if extensions := self.facts.extensions:
            named = ", ".join(f"{name} {version}" for name, version in extensions.items() if name.isprintable())
            yield f"# extensions, which the sandbox's image must have too (else name one with `image:`): {named}"
        yield "engine: postgres"
        yield "method: dump"
        a = self.address
        advice = (
            f"{scalar(str(a.user))} is a superuser, but a backup only reads. Better use a role of its own:",
            "  CREATE ROLE ccdr_backup LOGIN BYPASSRLS; GRANT pg_read_all_data TO ccdr_backup;",
        )
        told_of = {"port": a.port, "user": a.user, "database": self.database}
        yield from connection_lines(a, told_of, password_file, advice if self.superuser else ())

    def check_lines(self, now: float) -> Iterator[str]:
        return database_checks(self.facts)

    def as_json(self) -> dict[str, object]:
        return {"engine": "postgres", "database": self.database, "tables": self.tables, "bytes": self.bytes,
                "version": self.version, "extensions": dict(self.facts.extensions)}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A server that answers: where its client runs, and what it holds."""

    place: Place
    env: Mapping[str, str]
    server: survey.ServerFound

    def env_of(self, database: str) -> Mapping[str, str]:
        return survey.gently(self.env, database)


@contextlib.contextmanager
def ask(engine: Postgres, others: Sequence[str], looking: Looking) -> Iterator[Asked]:
    """Ask the server of this connection, through its database or, where that cannot be had, one of `others`.

    UsageProblem where it refuses us, another CcdrError where it does not answer.
    """
    engines = (engine, *(_through(engine, name) for name in others))
    with looking.clients(engine.connection.host, *engines) as clients:
        for n, (one, client) in enumerate(zip(engines, clients, strict=True)):
            with contextlib.ExitStack() as opened:
                try:
                    source = opened.enter_context(client)
                    env = one.connection.environment(source.credentials)
                    server = survey.server(source.place, survey.gently(env, one.connection.database))
                except CommandFailed as error:
                    if n == len(others) or not error.stderr.search(_ELSEWHERE):
                        raise _explained(error, engine) from None
                    continue
                yield Asked(source.place, env, server)
                return


def _through(engine: Postgres, database: str) -> Postgres:
    return engine.model_copy(update={"connection": engine.connection.model_copy(update={"database": database})})


def _explained(error: CommandFailed, engine: Postgres) -> CcdrError:
    c = engine.connection
    where = f"{c.host}, port {c.port}, as {c.user}"
    refusals = ((pattern, hint.format(connect=grants.connect(c.database, c.user))) for pattern, hint in _REFUSED)
    return explained(error, where, refusals, "does a PostgreSQL server answer there, and can this host reach it?")


@dataclass(frozen=True)
class _Databases(Databases[survey.ListedDatabase, PostgresItem]):
    address: PostgresServer
    engine: Postgres
    asked: Asked

    def listed(self) -> Sequence[survey.ListedDatabase]:
        return self.asked.server.databases

    def closed(self, one: survey.ListedDatabase) -> tuple[str, str] | None:
        if one.connect and one.bytes is not None:
            return None
        server = self.asked.server
        sql = grants.connect(one.name, server.user) + (f" {server.to_read}" if server.to_read else "")
        return f"{server.user} may not connect to it", f"as a superuser: {sql}"

    def look_into(self, one: survey.ListedDatabase) -> PostgresItem:
        server = self.asked.server
        database = survey.database(self.asked.place, self.asked.env_of(one.name))
        return PostgresItem(self.address, one.name, server.version, one.bytes or 0, server.superuser, database)

    def explained(self, error: CommandFailed) -> CcdrError:
        return _explained(error, self.engine)

    def empty(self, name: str) -> UsageProblem:
        return UsageProblem(f"the database {name} has no table", hint="is it the right one?")

    def remarks(self, item: PostgresItem, report: DiscoveryReport) -> None:
        name, lacks = item.database, item.facts.lacks
        report.findings += [f"{name}: {lack.what}; as a superuser in that database: {lack.sql}" for lack in lacks]
        report.grants += [f"as a superuser in the database {name}: {lack.sql}" for lack in lacks]
        if lacks:
            report.notes.append(f"{name}: once it may read more, `ccdr init` with --force finds more to check")
        if "=" in name:
            report.findings.append(
                f"{name}: PostgreSQL's own tools take a name with = for a connection string: rename it"
            )


def _standing(server: PostgresServer, looking: Looking) -> RunningServer:
    """As whoever runs ccdr reaches it, by its socket."""
    with ask(server.engine(None), ALWAYS_THERE[1:], looking) as asked:
        return RunningServer(asked.server.identity, (), dict(_with_tables(asked, ())))


class PostgresDiscovery(Discovery):
    schemes = address.SCHEMES
    example = EXAMPLE
    sockets = Path(SOCKETS)

    def parse(self, text: str) -> PostgresServer:
        """As libpq reads it."""
        named = address.parse(text, address.OPTIONS, EXAMPLE)
        user = named.user or getpass.getuser()
        return PostgresServer(named.host or SOCKETS, named.port, user, named.database, named.tls, named.ca_file)

    def at(self, path: Path) -> None:
        if (path / "PG_VERSION").exists() and (path / "global").is_dir():
            raise UsageProblem(
                f"{path} is the data directory of a PostgreSQL server, and a copy of its files is no backup",
                hint=f"name the server: {EXAMPLE}",
            )

    def reached(self, engine: object) -> PostgresServer | None:
        if not isinstance(engine, Postgres):
            return None
        c = engine.connection
        return PostgresServer(c.host, c.port, c.user)

    def standing(self, engines: Sequence[Postgres], looking: Looking, *, others: bool) -> RunningServer:
        databases = {engine.connection.database for engine in engines}
        through = (*sorted(databases - {engines[0].connection.database}), *ALWAYS_THERE)
        with ask(engines[0], through, looking) as asked:
            with_tables = dict(_with_tables(asked, databases)) if others else {}
            return RunningServer(asked.server.identity, databases, with_tables)

    def local_servers(self, sockets: Path) -> Iterator[LocalServer]:
        for socket in sorted(sockets.glob(".s.PGSQL.*")):
            if (port := socket.suffix.removeprefix(".")).isdigit() and socket.is_socket():
                server = PostgresServer(str(sockets), int(port), getpass.getuser())
                yield LocalServer(server, f"PostgreSQL, port {server.port}", partial(_standing, server))


def _with_tables(asked: Asked, named: Collection[str]) -> Iterator[tuple[str, int | None]]:
    """The databases that are not in `named` and hold a table, or may hold one."""
    for listed in asked.server.databases:
        if listed.name in named:
            continue
        try:
            empty = listed.connect and survey.count_tables(asked.place, asked.env_of(listed.name)) == 0
        except CommandFailed:
            empty = False
        if not empty:
            yield listed.name, listed.bytes
