"""Redis and Valkey servers for a first plan: their addresses, what they hold, and the asset's lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from ccdr.engines.redis import Redis
from ccdr.engines.redis.client import Client
from ccdr.engines.redis.kinds import Release
from ccdr.engines.redis.rights import setuser
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import Health, human_bytes
from ccdr.ports.place import Progress
from ccdr.setup.discover.names import remark, scalar, so_many

SCHEMES = ("redis", "rediss", "valkey", "valkeys")
EXAMPLE = (
    "give one like redis://user@host:6379, rediss://user@host?ca_file=FILE or redis:///run/redis/redis-server.sock"
)
NO_PROGRESS = 60.0  # seconds
_KEYS = re.compile(r"keys=(\d+),expires=(\d+)")


@dataclass(frozen=True)
class QueueAddress:
    """A server. A `host` that begins with a slash is a Unix socket; `tls` is what the URL asks for on loopback too."""

    host: str
    port: int
    user: str | None
    tls: bool = False
    ca_file: Path | None = None
    database: None = None  # an RDB holds all of them

    @property
    def shown(self) -> str:
        return self.host if self.host.startswith("/") else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class QueueAsset:
    """A server that becomes an asset. `keys` by database, `lasting` are those that do not expire; `bytes` is its
    memory."""

    address: QueueAddress
    release: Release
    bytes: int
    keys: Mapping[int, int]
    lasting: int
    writes: bool  # its user may do more than read

    @property
    def total(self) -> int:
        return sum(self.keys.values())


def parse(text: str) -> QueueAddress:
    """UsageProblem where it is no address; the text is never repeated, since it may hold a password."""
    try:
        parts = urlsplit(text)
        port = parts.port or 6379
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise UsageProblem("the URL cannot be read", hint=EXAMPLE) from None
    if parts.password is not None or "password" in options:
        hint = "take another password, write it into a file of mode 0600, and name it with --password-file FILE"
        raise UsageProblem("the URL holds a password, which other users of this machine can read", hint=hint)
    if options.keys() - {"ca_file"}:
        raise UsageProblem(f"the URL's option {min(options.keys() - {'ca_file'})} is not known", hint=EXAMPLE)
    path = unquote(parts.path)
    if parts.hostname and path.strip("/"):
        raise UsageProblem("the URL names a database, and a backup holds all of them", hint="leave it out")
    if not parts.hostname and not path.strip("/"):
        raise UsageProblem("the URL names no server", hint=EXAMPLE)
    return QueueAddress(
        host=parts.hostname or path,
        port=port,
        user=unquote(parts.username) if parts.username else None,
        tls=parts.scheme in ("rediss", "valkeys"),
        ca_file=Path(options["ca_file"]).absolute() if "ca_file" in options else None,
    )


def engine_of(address: QueueAddress, password_file: Path | None) -> Redis:
    connection: dict[str, object] = {"host": address.host, "port": address.port, "user": address.user}
    connection |= {"tls": "verify" if address.tls else "loopback", "ca_file": address.ca_file}
    connection["password_file"] = password_file and password_file.absolute()
    try:
        return Redis.model_validate({"engine": "redis", "connection": connection})
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageProblem(f"{address.shown}: the connection {said}", hint=EXAMPLE) from None


def look(
    address: QueueAddress, password_file: Path | None, services: Services, progress: Progress
) -> tuple[QueueAsset, list[str], list[str]]:
    """The server, what will make its backup fail, and what gives the rights that lack. UsageProblem where it refuses
    us, or is none to back up."""
    engine = engine_of(address, password_file)
    with services.state.run(services.clock) as run:
        credentials, into = run.directory("credentials"), run.directory("asked")
        services.write_credentials_of(engine, credentials, what=address.host)
        asking = services.lab.source(engine, run.id, into, credentials, NO_PROGRESS, progress, any_client=True)
        try:
            with asking as (source, _):
                info = Client(source.place, engine.connection, credentials).first_info()
                looks = list(engine.rights(source))
        except BackupFailed as error:
            raise UsageProblem(f"{address.shown}: {error}", hint=error.hint) from None
        except CommandFailed as error:
            raise _explained(error, engine, address) from None
    told = {int(name[2:]): _KEYS.match(line) for name, line in info.items() if re.fullmatch(r"db\d+", name)}
    keys = {database: int(counts[1]) for database, counts in told.items() if counts}
    lasting = sum(int(counts[1]) - int(counts[2]) for counts in told.values() if counts)
    failing = [look for look in looks if look.state is Health.FAIL]
    wrong = [f"{address.shown}: {look.found}; {look.do}" for look in failing]
    grants = list(dict.fromkeys(str(look.do) for look in failing if setuser(address.user) in str(look.do)))
    writes = any(look.what == "rights to write" and look.state is not Health.OK for look in looks)
    found = QueueAsset(address, Release.of(info), int(info.get("used_memory", 0)), keys, lasting, writes)
    return found, wrong, grants


def _explained(error: CommandFailed, engine: Redis, address: QueueAddress) -> CcdrError:
    said = f"{address.shown}: {error.stderr.answer or error}"
    if engine.refused(error.stderr):
        hint = "name its user in the URL, and its password's file with --password-file; the user needs: "
        return UsageProblem(said, hint=hint + setuser(address.user))
    return CcdrError(said, hint="does a Redis or Valkey server answer there, and can this host reach it?")


def described(found: QueueAsset) -> str:
    """For people: `Redis 8.0.2 at 127.0.0.1:6379: 12 MiB, 4,000 keys in 2 databases`."""
    keys = f"{so_many(found.total, 'key')} in {so_many(len(found.keys), 'database')}"
    return f"{found.release} at {found.address.shown}: {human_bytes(found.bytes)}, {keys}"


def asset_lines(found: QueueAsset, password_file: str | None) -> Iterator[str]:
    a = found.address
    yield f"# {found.release}, {human_bytes(found.bytes)} of memory, {so_many(found.total, 'key')}"
    yield "engine: redis"
    yield "method: rdb"
    yield "connection:"
    yield f"  host: {scalar(a.host)}"
    if not a.host.startswith("/"):
        yield f"  port: {a.port}"
    if a.user:
        yield f"  user: {scalar(a.user)}"
    if found.writes:
        yield "  # This user may do more than a backup needs. Better one of its own:"
        yield f"  #   {setuser(None)}"
    if password_file:
        yield f"  password_file: {scalar(password_file)}"
    if a.tls:
        yield "  tls: verify"
    if a.ca_file:
        yield f"  ca_file: {scalar(a.ca_file)}"
    if not found.total:
        yield remark("may_be_empty: true", "it held no key when this was written", column=33)


def check_lines(found: QueueAsset) -> Iterator[str]:
    yield "  # The file is sound from its first byte to its checksum."
    yield "  - {kind: integrity}"
    if found.lasting:
        yield "  # The backup of a flushed server is a faithful copy, and no use. Say what must always be there, such"
        yield '  # as {kind: keys, match: "agent:*", at_least: 50}.'
        check = "  - {kind: keys, at_least: 1}"
        yield remark(check, f"there were {found.lasting:,} that do not expire", column=61)
