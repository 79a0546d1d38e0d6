"""The source's client, of Redis or of Valkey, and how a server is reached. Its password goes from a file to its
standard input: never into arguments or environments.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ccdr.engines.servers.connection import Peer
from ccdr.model.errors import CommandFailed
from ccdr.model.schema import PlanPath, Text, WithPassword
from ccdr.ports.place import Output, Place

# Redis and Valkey: one protocol, one file format until their ways parted, and programs of different names.

OLDEST = 7  # the first major version with functions, exact expiry times and a client that tells errors by its exit code


@dataclass(frozen=True)
class Product:
    """One of the two: its programs, the user its image runs the server as, its official image, majors best first."""

    name: str
    title: str
    official: str
    supported: tuple[str, ...]

    @property
    def cli(self) -> str:
        return f"{self.name}-cli"

    @property
    def server(self) -> str:
        return f"{self.name}-server"

    @property
    def check(self) -> str:
        return f"{self.name}-check-rdb"

    @property
    def user(self) -> str:
        return self.name

    def images(self, major: str) -> tuple[str, ...]:
        """The official image, then the one that `make images` builds."""
        return (f"{self.official}:{major}", f"ccdr-sandbox/{self.name}:{major}")


REDIS = Product("redis", "Redis", "redis", ("8", "7"))
VALKEY = Product("valkey", "Valkey", "valkey/valkey", ("8", "9", "7"))
KINDS = {kind.name: kind for kind in (REDIS, VALKEY)}


@dataclass(frozen=True)
class Release:
    """Which server, and its version. Files of the one are not for the other, so `major` names both."""

    kind: Product
    version: str

    @classmethod
    def of(cls, info: dict[str, str]) -> Release:
        """From what INFO says: Valkey calls itself redis_version 7.2.4, for old clients' sake."""
        if "valkey_version" in info:
            return cls(VALKEY, info["valkey_version"])
        return cls(REDIS, info["redis_version"])

    @property
    def number(self) -> int:
        return int(self.version.split(".")[0])

    @property
    def major(self) -> str:
        """`redis 8`, `valkey 8`: what image, client and snapshot must have in common."""
        return f"{self.kind.name} {self.number}"

    def __str__(self) -> str:
        return f"{self.kind.title} {self.version}"


def images(major: str | None) -> tuple[str, ...]:
    """Images that serve, best first; for either server where `major` is None."""
    if major is None:
        return tuple(name for kind in KINDS.values() for m in kind.supported for name in kind.images(m))
    name, _, number = major.partition(" ")
    return KINDS[name].images(number)


def release_in(output: str) -> Release | None:
    """From `redis-cli 8.0.2`, `valkey-cli 8.1.1`, `Redis server v=8.0.2 sha=…`; None where it is neither."""
    match = re.search(r"\b(redis|valkey)(?:-cli| server)\s+(?:v=)?(\d+\.\d[\d.]*)", output, re.IGNORECASE)
    return Release(KINDS[match[1].lower()], match[2]) if match else None


# How a server is reached. TLS is verified off loopback, by a CA that the plan names.


class Connection(Peer, WithPassword):
    """How to reach the source. `host` may be the path of a Unix socket."""

    host: Text = Field("127.0.0.1", description="name, address, or path of the Unix socket")
    port: int = Field(6379, ge=1, le=65535, description="where `host` is no Unix socket: its TCP port")
    user: Text | None = Field(None, description="ACL user; left out, the server's `default`")
    tls: Literal["verify", "loopback"] = Field(
        "loopback", description="`verify` asks for verified TLS on loopback too; elsewhere it always is"
    )
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate, and no other server's")
    cert_file: PlanPath | None = Field(None, description="our certificate, where the server asks clients for one")
    key_file: PlanPath | None = Field(None, description="its key")

    @model_validator(mode="after")
    def _verifiable(self) -> Self:
        """The clients verify a certificate's chain and not its name: with the system's CAs, anybody who has a
        certificate for anything would pass for this server."""
        if self.verified_tls and self.ca_file is None:
            raise ValueError(
                "leaves the machine without a ca_file, expected the CA of this server alone: "
                "the client compares no names, so the system's CAs would verify nothing"
            )
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("has one of cert_file and key_file, expected both")
        return self

    @property
    def mounts(self) -> tuple[Path, ...]:
        """What of this host a client in a container must see, read-only. The socket's directory: a server that was
        started anew has a new socket."""
        files = (self.ca_file, self.cert_file, self.key_file) if self.verified_tls else ()
        return (*([self.socket.parent] if self.socket else []), *(path for path in files if path))

    @property
    def named(self) -> str:
        return str(self.socket) if self.socket else f"{self.host}:{self.port}"

    @property
    def options(self) -> list[str]:
        """For the client's command line; no secret is among them."""
        options = ["-s", self.host] if self.socket else ["-h", self.host, "-p", str(self.port)]
        if self.verified_tls:
            options += ["--tls", "--cacert", str(self.ca_file), "--sni", self.host]
            if self.cert_file is not None:
                options += ["--cert", str(self.cert_file), "--key", str(self.key_file)]
        return options


SECRET = "redis-password"  # noqa: S105 - a file's name
ANSWER = 30.0  # seconds for the first answer of all
LOOK_EVERY = 10.0  # seconds between two questions how far the server has come
ASKING = "asking the source"
_FROM_FILE = 'secret=$1; shift; exec "$@" <"$secret"'
_BEFORE = 'secret=$1; shift; cat -- "$secret" - | "$@"'  # what follows the password are commands
# The client says so, goes on as `default`, leaves out what else it was to do first (`-n`), and ends with 0.
_NOT_LET_IN = re.compile(r"^AUTH failed: WRONGPASS", re.MULTILINE)
_COUNT = re.compile(r"(\w+)=(\d+)")
_NOT_FOR_US = re.compile(r"NOPERM|unknown (sub)?command", re.IGNORECASE)
# Either program can ask either server.
_FIRST = 'for cli in redis-cli valkey-cli; do command -v "$cli" >/dev/null && break; done; exec "$cli" "$@"'


def fields(output: str) -> dict[str, str]:
    """Of what INFO prints."""
    lines = (line.partition(":") for line in output.splitlines())
    return {name: value for name, colon, value in lines if colon}


def read_answer(output: str, command: str, what: str | None) -> Any:
    """What `--json` prints; CommandFailed where it is no JSON."""
    try:
        return json.loads(output)
    except ValueError:
        raise CommandFailed([command], 0, "its answer cannot be read", what=what) from None


def as_map(told: Any) -> dict[str, Any]:
    """A map, which older servers tell as a list of names and values."""
    return told if isinstance(told, dict) else dict(zip(told[::2], told[1::2], strict=False))


def databases_in(info: Mapping[str, str]) -> dict[int, Mapping[str, int]]:
    """Of INFO, by the number of each database that holds anything: its `keys`, and how many of them `expires`."""
    lines = {int(name[2:]): facts for name, facts in info.items() if re.fullmatch(r"db\d+", name)}
    return {n: {word: int(count) for word, count in _COUNT.findall(facts)} for n, facts in sorted(lines.items())}


def _as_typed(word: str) -> str:
    """One word, whatever is in it, as the client takes it from a line."""
    held = word.encode("utf-8", "surrogateescape")
    return '"' + "".join(chr(b) if 0x20 <= b < 0x7F and b not in b'"\\' else f"\\x{b:02x}" for b in held) + '"'


@dataclass(frozen=True)
class Client:
    """One server, through one place. `kind` is None as long as nobody knows which of the two it is."""

    place: Place
    connection: Connection
    credentials: Path
    kind: Product | None = None

    def run(self, *words: str, what: str, watch: Path | None = None, pulse: Callable[[], object] | None = None) -> str:
        """What the client printed; CommandFailed for an error of the server too."""
        argv = [*self._argv(_FROM_FILE), *words]
        return self._let_in(self.place.run(argv, what=what, watch=watch, pulse=pulse), argv, what)

    def typed(self, words: Sequence[str], *, database: int, what: str) -> str:
        """As `run`, of one command whose words are nobody's to read: they go to its standard input."""
        command = " ".join(map(_as_typed, words))
        argv = [*self._argv(_BEFORE), "-n", str(database)]
        return self._let_in(self.place.run(argv, stdin=f"{command}\n", what=what), argv, what)

    @staticmethod
    def _let_in(answer: Output, argv: Sequence[str], what: str) -> str:
        if answer.stderr.search(_NOT_LET_IN):
            raise CommandFailed(argv, 1, answer.stderr, what=what)
        return answer.stdout

    def _argv(self, with_secret: str) -> list[str]:
        program = [self.kind.cli] if self.kind else ["sh", "-c", _FIRST, "redis-cli"]
        user = ["--user", self.connection.user] if self.connection.user else []
        argv = [*program, *self.connection.options, *user, "-e"]
        secret = self.credentials / SECRET
        if secret.exists():  # `--askpass` reads a line of standard input; without a terminal it prints nothing
            return ["sh", "-c", with_secret, "redis-cli", str(secret), *argv, "--askpass"]
        return argv

    def ask(self, *command: str, what: str) -> Any:
        """The server's answer to one command, as JSON has it."""
        return read_answer(self.run("--json", *command, what=what), command[0], what)

    def info(self, *sections: str) -> dict[str, str]:
        """INFO, by field."""
        return fields(self.run("INFO", *sections, what=ASKING))

    def first_info(self, *sections: str) -> dict[str, str]:
        """The same, before anything else: one that takes connections and never answers is not waited for as long as
        one that is at work for us."""
        since = time.monotonic()

        def answers() -> object:
            if time.monotonic() - since > ANSWER:
                problem = f"{self.connection.named} has not answered within {ANSWER:g} s: does it hang?"
                raise CommandFailed(["INFO"], -1, problem, stalled=True, what=ASKING)
            return time.monotonic()

        return fields(self.run("INFO", *sections, what=ASKING, pulse=answers))

    def allowed(self, *command: str, what: str) -> Any:
        """As `ask`; None where the user may not, or the server does not know the command."""
        try:
            return self.ask(*command, what=what)
        except CommandFailed as error:
            if not self.not_for_us(error):
                raise
            return None

    @staticmethod
    def not_for_us(error: CommandFailed) -> bool:
        """Did the server say that this user may not, or that it does not know the command?"""
        return not error.stalled and error.stderr.search(_NOT_FOR_US) is not None

    def fetch_rdb(self, into: Path, on_bytes: Callable[[int], object]) -> None:
        """Have the server send its RDB, as to a replica, into the new file `into`."""
        self.run("--rdb", self.place.path(into), what="fetching the RDB", pulse=_HowFar(self, into, on_bytes))


@dataclass
class _HowFar:
    """For the watchdog. Nothing arrives while the server writes its RDB to its own disk first: then its own count of
    keys tells that it gets on."""

    client: Client
    file: Path
    on_bytes: Callable[[int], object]
    _asked: float = field(default_factory=time.monotonic)
    _keys: str | None = None

    def __call__(self) -> object:
        size = self.file.stat().st_size if self.file.exists() else 0
        self.on_bytes(size)
        if not size and time.monotonic() - self._asked >= LOOK_EVERY:
            self._asked = time.monotonic()
            with contextlib.suppress(CommandFailed):  # no answer is no progress
                self._keys = self.client.info("persistence").get("current_save_keys_processed")
        return size, self._keys
