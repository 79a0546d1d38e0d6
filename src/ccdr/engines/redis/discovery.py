"""Redis and Valkey servers for a first plan: their addresses, what they hold, and the asset's lines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError

from ccdr.engines.discovery import (
    Discovery,
    Looking,
    NamedServer,
    absolute,
    client_of,
    connection_lines,
    name_from,
    remark,
    so_many,
)
from ccdr.engines.redis.client import Client, Release, databases_in
from ccdr.engines.redis.engine import Redis
from ccdr.engines.redis.rights import setuser
from ccdr.engines.servers.connection import ca_file_of, read_url
from ccdr.model.errors import BackupFailed, CcdrError, CommandFailed, UsageProblem
from ccdr.model.values import Health, human_bytes

SCHEMES = ("redis", "rediss", "valkey", "valkeys")
EXAMPLE = (
    "give one like redis://user@host:6379, rediss://user@host?ca_file=FILE or redis:///run/redis/redis-server.sock"
)


class RedisServer(NamedServer):
    """What `ccdr init` was given: all of its databases, since an RDB holds them."""

    def engine(self, password_file: Path | None) -> Redis:
        connection: dict[str, object] = {
            "host": self.host, "port": self.port, "user": self.user, "tls": self.tls, "ca_file": self.ca_file,
            "password_file": absolute(password_file),
        }  # fmt: skip
        try:
            return Redis.model_validate({"engine": "redis", "connection": connection})
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UsageProblem(f"{self.shown}: the connection {problem}", hint=EXAMPLE) from None

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[RedisItem]:
        """The server, what will make its backup fail, and what gives the rights that lack."""
        looking.progress.step(f"asking {self.shown}")
        engine, report = self.engine(password_file), looking.report
        try:
            with client_of(looking, self.host, engine) as source:
                info = Client(source.place, engine.connection, source.credentials).first_info()
                probes = list(engine.rights(source))
        except BackupFailed as error:
            raise UsageProblem(f"{self.shown}: {error}", hint=error.hint) from None
        except CommandFailed as error:
            raise self._explained(error, engine) from None
        writes = any(probe.what == "rights to write" and probe.state is not Health.OK for probe in probes)
        item = _item(self, info, writes=writes)
        report.contents.append(item.described)
        failing = [probe for probe in probes if probe.state is Health.FAIL]
        report.findings += [f"{self.shown}: {probe.answer}; {probe.do}" for probe in failing]
        report.grants += dict.fromkeys(str(probe.do) for probe in failing if setuser(self.user) in str(probe.do))
        return [item]

    def _explained(self, error: CommandFailed, engine: Redis) -> CcdrError:
        problem = f"{self.shown}: {error.stderr.answer or error}"
        if engine.refused(error.stderr):
            hint = "name its user in the URL, and its password's file with --password-file; the user needs: "
            return UsageProblem(problem, hint=hint + setuser(self.user))
        return CcdrError(problem, hint="does a Redis or Valkey server answer there, and can this host reach it?")


def _item(server: RedisServer, info: dict[str, str], *, writes: bool) -> RedisItem:
    counted = databases_in(info)
    keys = {database: counts["keys"] for database, counts in counted.items()}
    lasting = sum(counts["keys"] - counts["expires"] for counts in counted.values())
    return RedisItem(server, Release.of(info), int(info.get("used_memory", 0)), keys, lasting, writes)


@dataclass(frozen=True)
class RedisItem:
    """A server that becomes an asset. `keys` by database, `lasting` are those that do not expire; `bytes` is its
    memory."""

    address: RedisServer
    release: Release
    bytes: int
    keys: Mapping[int, int]
    lasting: int
    writes: bool  # its user may do more than read
    tree: None = None

    @property
    def total(self) -> int:
        return sum(self.keys.values())

    @property
    def local(self) -> bool:
        return self.address.local

    @property
    def title(self) -> str:
        return str(self.release)

    @property
    def described(self) -> str:
        """For people: `Redis 8.0.2 at 127.0.0.1:6379: 12 MiB, 4,000 keys in 2 databases`."""
        keys = f"{so_many(self.total, 'key')} in {so_many(len(self.keys), 'database')}"
        return f"{self.release} at {self.address.shown}: {human_bytes(self.bytes)}, {keys}"

    def name(self, taken: Collection[str]) -> str:
        return name_from(self.release.kind.name, taken)

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        yield f"# {self.release}, {human_bytes(self.bytes)} of memory, {so_many(self.total, 'key')}"
        yield "engine: redis"
        yield "method: rdb"
        a = self.address
        advice = ("This user may do more than a backup needs. Better one of its own:", f"  {setuser(None)}")
        told_of = {"port": None if a.host.startswith("/") else a.port, "user": a.user}
        yield from connection_lines(a, told_of, password_file, advice if self.writes else ())
        if not self.total:
            yield remark("may_be_empty: true", "it held no key when this was written", column=33)

    def check_lines(self, now: float) -> Iterator[str]:
        yield "  # The file is sound from its first byte to its checksum."
        yield "  - {kind: integrity}"
        if self.lasting:
            yield (
                "  # The backup of a flushed server is a faithful copy, and no use. Say what must always be there, such"
            )
            yield '  # as {kind: keys, match: "agent:*", at_least: 50}.'
            check = "  - {kind: keys, at_least: 1}"
            yield remark(check, f"there were {self.lasting:,} that do not expire", column=61)

    def as_json(self) -> dict[str, object]:
        return {"engine": "redis", "server": str(self.release), "bytes": self.bytes, "keys": self.total}


class RedisDiscovery(Discovery):
    schemes = SCHEMES
    example = EXAMPLE

    def parse(self, text: str) -> RedisServer:
        parts, port, options = read_url(text, {"ca_file"}, EXAMPLE)
        path = unquote(parts.path)
        if parts.hostname and path.strip("/"):
            raise UsageProblem("the URL names a database, and a backup holds all of them", hint="leave it out")
        if not parts.hostname and not path.strip("/"):
            raise UsageProblem("the URL names no server", hint=EXAMPLE)
        return RedisServer(
            host=parts.hostname or path,
            port=port or 6379,
            user=unquote(parts.username) if parts.username else None,
            tls="verify" if parts.scheme in ("rediss", "valkeys") else "loopback",
            ca_file=ca_file_of(options, "ca_file"),
        )
