"""MariaDB servers for a first plan: their addresses, what they hold, and the asset's lines."""

from __future__ import annotations

import contextlib
import dataclasses
import getpass
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines import MariaDB
from ccdr.engines.found import DatabaseFound
from ccdr.engines.mariadb import address as addresses
from ccdr.engines.mariadb import survey
from ccdr.engines.mariadb.client import Login
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import human_bytes
from ccdr.ports.place import Place, Progress
from ccdr.setup.discover.names import remark, scalar, so_many

SCHEMES = addresses.SCHEMES
NO_PROGRESS = 60.0  # seconds
NOWHERE = "information_schema"  # a database that every server has
# What the server said, and what to do about it. The command line or a file is wrong.
_REFUSED = (
    (r"using password: NO", "write the password into a file of mode 0600, and name it with --password-file FILE"),
    (r"ERROR (1045|1698)\b", "is it the right user, and its password the first line of --password-file FILE?"),
    (r"ERROR 1044\b", "as an administrator: GRANT SELECT ON … TO the user"),
    (r"ERROR 1049\b", "leave the database out of the URL, and all that there are will be found"),
    (r"ERROR 1130\b|is not allowed to connect", "make a user for this host: CREATE USER …@'THIS HOST'"),
    (
        r"certificate|TLS/SSL",
        "elsewhere than on loopback TLS is verified: name the server as its certificate does, and a CA of your own with"
        " ?ca_file=FILE",
    ),
)


@dataclass(frozen=True)
class MariaAddress(addresses.Address):
    """An address whose `database` is None for all of them."""


@dataclass(frozen=True)
class MariaAsset:
    """A database that becomes an asset."""

    address: MariaAddress
    database: str
    version: str
    bytes: int
    look: survey.DatabaseLook

    @property
    def found(self) -> DatabaseFound:
        return self.look.found


@dataclass
class Looked:
    """What a server told: assets, lines for people, notes, findings, and what has to be granted."""

    assets: list[MariaAsset] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    grants: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A server that answers: where its client runs, and what it holds."""

    place: Place
    login: Login
    server: survey.ServerFound


def parse(text: str) -> MariaAddress:
    parsed = addresses.parse(text)
    return MariaAddress(**(dataclasses.asdict(parsed) | {"user": parsed.user or getpass.getuser()}))


def engine_of(address: addresses.Address, password_file: Path | None) -> MariaDB:
    connection = address.connection(password_file, address.database or NOWHERE)
    return MariaDB.model_validate({"engine": "mariadb", "connection": connection.model_dump()})


@contextlib.contextmanager
def ask(engine: MariaDB, services: Services, progress: Progress) -> Iterator[Asked]:
    """UsageProblem where the server refuses us or is none that can be backed up, another CcdrError where it does not
    answer."""
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("asked")
        services.write_credentials_of(engine, credentials, what=engine.connection.host)
        asking = services.lab.source(engine, run.id, into, credentials, NO_PROGRESS, progress, any_client=True)
        with contextlib.ExitStack() as opened:
            try:
                source, _ = opened.enter_context(asking)
                login = engine.connection.login(credentials)
                server = survey.server(source.place, login)
            except BackupFailed as error:
                raise UsageProblem(str(error), hint=error.hint) from None
            except CommandFailed as error:
                raise explained(error, engine) from None
            yield Asked(source.place, login, server)


def explained(error: CommandFailed, engine: MariaDB) -> CcdrError:
    """Why the server did not answer, with the next step."""
    c = engine.connection
    where = c.host if c.socket else f"{c.host}, port {c.port}"
    message = f"{where}, as {c.user}: {error.stderr.answer or error}"
    for pattern, hint in _REFUSED:
        if error.stderr.search(pattern):
            return UsageProblem(message, hint=hint)
    hint = "does a MariaDB server answer there, and can this host reach it?"
    if c.host == "localhost":  # which MariaDB's own clients take for its socket
        hint += " By its socket it is mariadb://USER@/DATABASE?socket=/run/mysqld/mysqld.sock"
    return CcdrError(message, hint=hint)


def look(address: MariaAddress, password_file: Path | None, services: Services, progress: Progress) -> Looked:
    """The server's databases, or the one that is named."""
    engine, looked = engine_of(address, password_file), Looked()
    with ask(engine, services, progress) as asked:
        server = asked.server
        looked.found.append(f"MariaDB {server.version} at {address.shown}, as {server.account}:")
        listed = [d for d in server.databases if address.database in (None, d.name)]
        if not listed and address.database:
            raise UsageProblem(
                f"{server.account} sees no database {address.database}: it is not there, or the user may not see it",
                hint=f"if it is there, as an administrator: {survey.grant(server.account, address.database)}",
            )
        if not listed:
            sql = survey.grant(server.account, "DATABASE")
            looked.findings.append(f"{server.account} sees no database; as an administrator, for each: {sql}")
        for one in listed:
            progress.step(f"looking at {one.name}")
            _database(address, engine, asked, one, looked)
    return looked


def _database(
    address: MariaAddress, engine: MariaDB, asked: Asked, listed: survey.ListedDatabase, looked: Looked
) -> None:
    name, server = listed.name, asked.server
    if not name.isprintable():
        looked.findings.append(f"the database {name!a} is left out: its name cannot stand in a plan")
        return
    if listed.bytes is None:
        sql = survey.grant(server.account, name)
        looked.findings.append(f"the database {name} is left out: {server.account} may not read it: {sql}")
        return
    try:
        found = survey.database(asked.place, asked.login, server.account, name)
    except CommandFailed as error:
        if address.database:
            raise explained(error, engine) from None
        looked.findings.append(f"the database {name} is left out: {explained(error, engine)}")
        return
    if not found.found.tables:
        if address.database:
            raise UsageProblem(
                f"the database {name} has no table that {server.account} may see",
                hint=f"is it the right one? else, as an administrator: {survey.grant(server.account, name)}",
            )
        looked.notes.append(f"the database {name} is left out: it has no table")
        return
    looked.assets.append(MariaAsset(address, name, server.version, listed.bytes, found))
    looked.found.append(f"  {name}: {described(found, listed.bytes)}")
    for lack in found.found.lacks:
        grant = f"as an administrator: {lack.sql}"
        said = f"{lack.what}; {grant}"
        looked.findings += [said] if said not in looked.findings else []
        looked.grants += [grant] if grant not in looked.grants else []
    if found.elsewhere:
        looked.findings.append(
            f"{name}: {', '.join(found.elsewhere[:3])} keeps its rows elsewhere, and a backup is refused: drop it, or"
            " move it to a database of its own"
        )


def described(found: survey.DatabaseLook, size: int) -> str:
    text = f"{human_bytes(size)}, {so_many(found.found.tables, 'table')}"
    if found.found.largest:
        rows = ", ".join(
            f"{t.name.strip('`')} {'' if t.exact else 'about '}{t.rows:,} rows" for t in found.found.largest[:3]
        )
        text += f" ({rows})"
    if found.locked:
        text += f", not transactional: {', '.join(f'{n} {engine}' for engine, n in found.locked.items())}"
    for kind, n in found.code.items():
        text += f", {so_many(n, kind)}"
    return text


def asset_lines(item: MariaAsset, password_file: str | None) -> Iterator[str]:
    yield f"# MariaDB {item.version}, {human_bytes(item.bytes)}, {so_many(item.found.tables, 'table')}"
    if item.look.locked:
        kinds = ", ".join(item.look.locked)
        count = so_many(sum(item.look.locked.values()), "table")
        yield f"# not transactional: {count} ({kinds}), locked while they are dumped, so"
        yield "# that they are not torn. Where that takes too long: a quiet hour, a replica, or `method: physical`"
        if "MEMORY" in item.look.locked:
            yield "# (which has no rows of MEMORY tables: they are in no file, and only a dump has them)."
    yield "engine: mariadb"
    yield "method: dump"
    yield "connection:"
    a = item.address
    yield f"  host: {scalar(a.host)}"
    if not a.host.startswith("/"):
        yield f"  port: {a.port}"
    yield f"  user: {scalar(a.user)}"
    yield f"  database: {scalar(item.database)}"
    if item.look.everything:
        yield "  # This user may do everything on the server, and a backup only reads. Better one of its own:"
        yield "  # docs/reference/mariadb.md has the statements."
    if password_file:
        yield f"  password_file: {scalar(password_file)}"
    if a.tls == "verify":
        yield "  tls: verify"
    if a.ca_file:
        yield f"  ca_file: {scalar(a.ca_file)}"
    if item.look.locked:
        yield remark("non_transactional: lock", "or `refuse`", column=33)
