"""MariaDB servers for a first plan, and beside what plans name: addresses, what they hold, an asset's lines."""

from __future__ import annotations

import contextlib
import getpass
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ccdr.engines.discovery import (
    DatabaseItem,
    Databases,
    Discovery,
    DiscoveryReport,
    Looking,
    NamedServer,
    RunningServer,
    client_of,
    connection_lines,
    database_checks,
    explained,
    most_rows,
    remark,
    so_many,
)
from ccdr.engines.mariadb import address as addresses
from ccdr.engines.mariadb import survey
from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.engine import MariaDB
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import human_bytes
from ccdr.ports.place import Place

NOWHERE = "information_schema"  # a database that every server has
# What the server said, and what to do about it. The command line or a file is wrong.
_REFUSED = (
    (r"using password: NO", "write the password into a file of mode 0600, and name it with --password-file FILE"),
    (r"ERROR (1045|1698)\b", "check the user's name, and its password in the first line of --password-file FILE"),
    (r"ERROR 1044\b", "as an administrator: GRANT SELECT ON … TO the user"),
    (r"ERROR 1049\b", "leave the database out of the URL: ccdr then finds all databases"),
    (r"ERROR 1130\b|is not allowed to connect", "make a user for this host: CREATE USER …@'THIS HOST'"),
    (
        r"certificate|TLS/SSL",
        "outside loopback ccdr verifies TLS: name the server as its certificate does, and name your own CA with"
        " ?ca_file=FILE",
    ),
)


class MariaServer(addresses.MariaAddress, NamedServer):
    """What `ccdr init` was given."""

    def engine(self, password_file: Path | None) -> MariaDB:
        connection = self.connection(password_file, self.database or NOWHERE)
        return MariaDB.model_validate({"engine": "mariadb", "connection": connection.model_dump()})

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[MariaItem]:
        """The server's databases, or the one that is named."""
        looking.progress.step(f"asking {self.shown}")
        engine, report = self.engine(password_file), looking.report
        with ask(engine, looking) as asked:
            server = asked.server
            report.contents.append(f"MariaDB {server.version} at {self.shown}, as {server.account}:")
            if not [d for d in server.databases if self.database in (None, d.name)]:
                if self.database:
                    raise UsageProblem(
                        f"{server.account} sees no database {self.database}: it is not there, or the user may not "
                        "see it",
                        hint=f"if it is there, as an administrator: {survey.grant(server.account, self.database)}",
                    )
                sql = survey.grant(server.account, "DATABASE")
                report.findings.append(f"{server.account} sees no database; as an administrator, for each: {sql}")
            return list(_Databases(self, engine, asked).items(self.database, looking))


@dataclass(frozen=True)
class MariaItem(DatabaseItem):
    """What is found of one."""

    facts: survey.DatabaseFacts

    @property
    def tables(self) -> int:
        return self.facts.database.tables

    @property
    def described(self) -> str:
        text = f"{human_bytes(self.bytes)}, {so_many(self.tables, 'table')}{most_rows(self.facts.database, '`')}"
        if locked := self.facts.locked:
            text += f", not transactional: {', '.join(f'{n} {engine}' for engine, n in locked.items())}"
        return text + "".join(f", {so_many(n, kind)}" for kind, n in self.facts.code.items())

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        yield f"# MariaDB {self.version}, {human_bytes(self.bytes)}, {so_many(self.tables, 'table')}"
        locked = self.facts.locked
        if locked:
            count = so_many(sum(locked.values()), "table")
            yield f"# not transactional: {count} ({', '.join(locked)}), locked while they are dumped, so"
            yield "# that they are not torn. Where that takes too long: a quiet hour, a replica, or `method: physical`"
            if "MEMORY" in locked:
                yield "# (which has no rows of MEMORY tables: they are in no file, and only a dump has them)."
        yield "engine: mariadb"
        yield "method: dump"
        a = self.address
        advice = (
            "This user may do everything on the server, and a backup only reads. Better one of its own: plan.md",
            "(A MariaDB database) has the statements.",
        )
        told_of = {"port": None if a.host.startswith("/") else a.port, "user": a.user, "database": self.database}
        yield from connection_lines(a, told_of, password_file, advice if self.facts.everything else ())
        if locked:
            yield remark("non_transactional: lock", "or `refuse`", column=33)

    def check_lines(self, now: float) -> Iterator[str]:
        return database_checks(self.facts.database)

    def as_json(self) -> dict[str, object]:
        return {"engine": "mariadb", "database": self.database, "tables": self.tables, "bytes": self.bytes,
                "version": self.version, "locked": dict(self.facts.locked)}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A server that answers: where its client runs, and what it holds."""

    place: Place
    login: Login
    server: survey.ServerFound


@contextlib.contextmanager
def ask(engine: MariaDB, looking: Looking) -> Iterator[Asked]:
    """UsageProblem where the server refuses us or is none that can be backed up, another CcdrError where it does not
    answer."""
    with contextlib.ExitStack() as opened:
        try:
            source = opened.enter_context(client_of(looking, engine.connection.host, engine))
            login = engine.connection.login(source.credentials)
            server = survey.server(source.place, login)
        except BackupFailed as error:
            raise UsageProblem(str(error), hint=error.hint) from None
        except CommandFailed as error:
            raise _explained(error, engine) from None
        yield Asked(source.place, login, server)


def _explained(error: CommandFailed, engine: MariaDB) -> CcdrError:
    c = engine.connection
    where = c.host if c.socket else f"{c.host}, port {c.port}"
    hint = "does a MariaDB server answer there, and can this host reach it?"
    if c.host == "localhost":  # which MariaDB's own clients take for its socket
        hint += " By its socket it is mariadb://USER@/DATABASE?socket=/run/mysqld/mysqld.sock"
    return explained(error, f"{where}, as {c.user}", _REFUSED, hint)


@dataclass(frozen=True)
class _Databases(Databases[survey.ListedDatabase, MariaItem]):
    address: MariaServer
    engine: MariaDB
    asked: Asked

    def listed(self) -> Sequence[survey.ListedDatabase]:
        return self.asked.server.databases

    def closed(self, one: survey.ListedDatabase) -> tuple[str, str] | None:
        if one.bytes is not None:
            return None
        account = self.asked.server.account
        return f"{account} may not read it", f"as an administrator: {survey.grant(account, one.name)}"

    def look_into(self, one: survey.ListedDatabase) -> MariaItem:
        asked = self.asked
        database = survey.database(asked.place, asked.login, asked.server.account, one.name)
        return MariaItem(self.address, one.name, asked.server.version, one.bytes or 0, database)

    def explained(self, error: CommandFailed) -> CcdrError:
        return _explained(error, self.engine)

    def empty(self, name: str) -> UsageProblem:
        account = self.asked.server.account
        return UsageProblem(
            f"the database {name} has no table that {account} may see",
            hint=f"is it the right one? else, as an administrator: {survey.grant(account, name)}",
        )

    def remarks(self, item: MariaItem, report: DiscoveryReport) -> None:
        for lack in item.facts.database.lacks:
            grant = f"as an administrator: {lack.sql}"
            finding = f"{lack.what}; {grant}"
            report.findings += [finding] if finding not in report.findings else []
            report.grants += [grant] if grant not in report.grants else []
        if elsewhere := item.facts.elsewhere:
            report.findings.append(
                f"{item.database}: {', '.join(elsewhere[:3])} keeps its rows elsewhere, and a backup is refused: drop "
                "it, or move it to a database of its own"
            )


class MariaDiscovery(Discovery):
    schemes = addresses.SCHEMES
    example = addresses.EXAMPLE

    def parse(self, text: str) -> MariaServer:
        parsed = addresses.parse(text)
        return MariaServer(**(asdict(parsed) | {"user": parsed.user or getpass.getuser()}))

    def reached(self, engine: object) -> MariaServer | None:
        if not isinstance(engine, MariaDB):
            return None
        c = engine.connection
        return MariaServer(c.host, c.port, c.user)

    def standing(self, engines: Sequence[MariaDB], looking: Looking, *, others: bool) -> RunningServer:
        """A whole server's backup leaves nothing out."""
        with ask(engines[0], looking) as asked:
            held = {d.name: d.bytes for d in asked.server.databases if d.tables or d.bytes is None}
            whole = any(engine.method == "physical" for engine in engines)
            named = held.keys() if whole else {engine.connection.database for engine in engines}
            return RunningServer(asked.server.identity, named, held if others else {})
