"""Real Redis and Valkey servers for tests, each reached by its Unix socket alone."""

from __future__ import annotations

import itertools
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ccdr.engines.redis.client import KINDS
from ccdr.engines.redis.server import ADMIN
from ccdr.model.values import Manifest
from ccdr.ports.place import Place
from tests.support.harness import Damage, Site, eventually
from tests.support.inside import inside

SERVERS = ("redis", "valkey")
PASSWORD = "correct horse 'of' the \\queue"
_numbers = itertools.count(1)
_WRONG = ("ERR ", "WRONGTYPE", "Invalid argument", "NOPERM", "NOAUTH", "READONLY", "error")


def image_of(server: str) -> str:
    """The official image where there is one, as ccdr itself chooses."""
    for name in KINDS[server].images("8"):
        if subprocess.run(["docker", "image", "inspect", name], capture_output=True, check=False).returncode == 0:
            return name
    pytest.fail(f"no sandbox image of {server}: run `make images`")


@dataclass(frozen=True)
class RedisSource:
    """One server in a container."""

    server: str
    container: str
    directory: Path  # of its socket; in /tmp, since a socket's path must be short
    guarded: bool = False  # asks for a password

    @property
    def socket(self) -> Path:
        return self.directory / "s"

    def cli(self, *words: str, stdin: str | None = None, check: bool = True, user: str = "default") -> str:
        login = ["--user", user, "-a", PASSWORD, "--no-auth-warning"] if self.guarded else []
        argv = [*inside(self.container), f"{self.server}-cli", "-s", "/sockets/s", *login]
        done = subprocess.run(
            [*argv, "-e", *words], input=stdin or "", capture_output=True, text=True, errors="replace", check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(done.stderr or done.stdout)
        return done.stdout.strip()

    def fill(self, commands: str, database: int = 0) -> None:
        """Commands as one types them, one a line."""
        said = self.cli("-n", str(database), stdin=textwrap.dedent(commands).strip() + "\n")
        assert not any(word in said for word in _WRONG), said

    def kill(self) -> None:
        subprocess.run(["docker", "kill", self.container], capture_output=True, check=True)


@contextmanager
def redis_server(
    server: str, *options: str, guarded: bool = False, network: str = "none", mounts: tuple[str, ...] = ()
) -> Iterator[RedisSource]:
    """A server that answers, with nothing in it; it sends its RDB without waiting for more replicas."""
    directory = Path(tempfile.mkdtemp(prefix="ccdr-r-", dir="/tmp"))
    directory.chmod(0o777)
    container = f"ccdr-test-{server}-{directory.name[-8:]}-{next(_numbers)}"
    argv = ["docker", "run", "-d", "--rm", "--name", container, "--network", network, "--user", KINDS[server].user]
    argv += ["-v", f"{directory}:/sockets", *(word for mount in mounts for word in ("-v", mount))]
    argv += ["--entrypoint", f"{server}-server", image_of(server), "--port", "0", "--unixsocket", "/sockets/s"]
    argv += ["--unixsocketperm", "777", "--save", "", "--repl-diskless-sync-delay", "0", "--dir", "/tmp"]
    subprocess.run([*argv, *options], capture_output=True, check=True)
    source = RedisSource(server, container, directory, guarded)
    open_ = RedisSource(server, container, directory)
    try:
        assert eventually(lambda: open_.cli("PING", check=False) == "PONG")
        if guarded:
            open_.cli("CONFIG", "SET", "requirepass", PASSWORD)
        yield source
    finally:
        subprocess.run(["docker", "rm", "-f", container], capture_output=True, check=False)
        (directory / "s").unlink(missing_ok=True)
        directory.rmdir()


# One of everything that an RDB must bring back, and values that no record may hold.
SMALL = r"""
SET call:1 "Ștefan „Ion” \x00\xff"
SET counter 41
SETBIT seen 1000 1
PFADD callers a b c
RPUSH queue:sales call:1 call:2 "a voice mail"
SADD agents:free 7 8 9
SADD agents:named anna "Ștefan"
ZADD callbacks 1795000000 call:1 1795000600.5 call:2
GEOADD places 26.1 44.4 Bucharest
HSET agent:7 state ready queue sales note "a voice mail"
XADD events 1795000000000-0 call 1 what ringing
XADD events 1795000001000-0 call 1 what answered
XADD events 1795000002000-0 call 1 what lost
XGROUP CREATE events wallboard 0
XREADGROUP GROUP wallboard screen1 COUNT 2 STREAMS events >
XGROUP CREATECONSUMER events wallboard screen2
SET session:7 here EX 86400
HSET lock:1 by 7
EXPIRE lock:1 7200
EVAL "for i = 1, 700 do redis.call('HSET', 'large', 'f' .. i, i) redis.call('SADD', 'many', 'm' .. i) end" 0
FUNCTION LOAD "#!lua name=dialler\nredis.register_function('next_call', function(keys, args) return 1 end)"
ACL SETUSER dialler on ">correct horse" ~queue:* +@read +@list
"""
EXPIRING_FIELDS = """
HSET agent:8 state ready token x other y
HPEXPIREAT agent:8 1999999999000 FIELDS 1 token
"""


def small(source: RedisSource) -> None:
    """Fill a server with SMALL, and with what only this kind has."""
    source.fill(SMALL)
    source.fill("SET setting on\nRPUSH queue:other x", database=3)
    if source.server == "redis":
        source.fill(EXPIRING_FIELDS)
        source.fill("VADD near VALUES 3 0.1 0.2 0.3 one")


IDENTICAL = "restore_test: queues\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n"


def queues(
    site: Site, source: RedisSource, extra: str = "", checks: str = IDENTICAL, connection: str = "", **kwargs: Any
) -> Site:
    """A plan with one asset `queues`; `extra` is more YAML of it, one key a line."""
    more = "".join(f"\n  {line}" for line in textwrap.dedent(extra).strip().splitlines())
    secret = ""
    if source.guarded:
        site.write("plans/queues.pw", PASSWORD + "\n", mode=0o600)
        secret = ", password_file: queues.pw"
    site.write("restore_tests/queues.yaml", checks)
    reach = connection or f"host: {source.socket}"
    site.plan(
        f"queues:\n  engine: redis\n  connection: {{{reach}{secret}}}\n"
        f'  backup: {{schedule: "*/30 * * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [queues]}}{more}',
        **kwargs,
    )
    return site


def redis_damage(*commands: str) -> Damage:
    """Commands, as one types them, run in the restored server; it is a replica, and takes them all the same."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        cli = [f"{manifest.contents['server']}-cli", "-s", "/ccdr/run/s", "--user", ADMIN, "-a", "none"]
        stdin = "\n".join(("CONFIG SET replica-read-only no", *commands)) + "\n"
        said = box.run([*cli, "--no-auth-warning", "-e"], stdin=stdin).stdout
        assert not any(word in said for word in _WRONG), said

    return damage
