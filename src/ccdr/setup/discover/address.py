"""What `ccdr init` is given: a server's URL as libpq writes it, or a path of this host."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from ccdr.engines.filetree import TreeFound, look
from ccdr.engines.servers.connection import is_loopback
from ccdr.engines.sqlite.survey import is_database
from ccdr.model.errors import UsageProblem
from ccdr.setup.discover import maria, queues
from ccdr.setup.discover.maria import MariaAddress
from ccdr.setup.discover.queues import QueueAddress

SOCKETS = "/var/run/postgresql"
_SCHEMES = ("postgresql", "postgres")
_FILE = "sqlite:"
_EXAMPLE = "give one like postgresql://user@host:5432/database or postgresql:///database?host=/var/run/postgresql"
_NOT_HERE = (
    "other users of this machine can read a command line: take another password, write it into a file of mode 0600,"
    " and name it with --password-file FILE"
)


@dataclass(frozen=True)
class Address:
    """A PostgreSQL server. `database` is None for all of them; `tls` and `ca_file` as in a plan's connection."""

    host: str
    port: int
    user: str
    database: str | None
    tls: str = "loopback"
    ca_file: Path | None = None

    @property
    def local(self) -> bool:
        """Is it a server of this machine?"""
        return self.host.startswith("/") or is_loopback(self.host)

    @property
    def shown(self) -> str:
        """For people: `127.0.0.1:5432`, or the socket's directory."""
        return f"{self.host} (port {self.port})" if self.host.startswith("/") else f"{self.host}:{self.port}"


AnyAddress = Address | QueueAddress | MariaAddress


@dataclass(frozen=True)
class Targets:
    """The servers, the SQLite databases, and the trees looked through."""

    servers: list[AnyAddress]
    files: list[Path]
    trees: list[TreeFound]


def targets(given: tuple[str, ...]) -> Targets:
    """What is named; UsageProblem for what is none of these, is empty, or is named twice.

    No text of an argument that may hold a password is repeated.
    """
    addresses: list[AnyAddress] = []
    files: list[Path] = []
    paths: list[Path] = []
    for text in given:
        if text.lower().startswith(_FILE):
            files.append(_database(text[len(_FILE) :]))
        elif text.split("://", 1)[0].lower() in queues.SCHEMES and "://" in text:
            addresses.append(queues.parse(text))
        elif text.split("://", 1)[0].lower() in maria.SCHEMES and "://" in text:
            addresses.append(maria.parse(text))
        elif "://" in text or text.split(":", 1)[0].lower() in _SCHEMES:
            addresses.append(_address(text))
        else:
            path = _path(text)
            (files if path.is_file() and is_database(path) else paths).append(path)
    if len(set(files)) < len(files):
        raise UsageProblem("a database is named twice", hint="name it once")
    for n, path in enumerate(paths):
        for other in paths[:n] + paths[n + 1 :]:
            if path == other or other in path.parents:
                raise UsageProblem(f"{path} is named twice, by itself or with {other}", hint="name the upper one alone")
    if len(set(addresses)) < len(addresses):
        raise UsageProblem("a server is named twice", hint="name it once")
    return Targets(addresses, files, [_tree(path) for path in paths])


def _database(text: str) -> Path:
    """`sqlite:/var/lib/pbx/cdr.db`, or as a URL with three slashes."""
    path = _path(text.removeprefix("//"))
    if not path.is_file() or not is_database(path):
        raise UsageProblem(
            f"{path} is no SQLite database, or an encrypted one", hint="name the file itself, as in sqlite:/path/cdr.db"
        )
    return path


def _address(text: str) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port
        if "://" not in text:
            raise ValueError
    except ValueError:
        raise UsageProblem("the URL cannot be read", hint=_EXAMPLE) from None
    if parts.scheme not in _SCHEMES:
        raise UsageProblem(f"{parts.scheme or 'this'}: is no address that ccdr knows yet", hint=_EXAMPLE)
    try:
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise UsageProblem("what follows ? in the URL cannot be read", hint=_EXAMPLE) from None
    if parts.password is not None or "password" in options:
        raise UsageProblem("the URL holds a password, which is never taken from there", hint=_NOT_HERE)
    known = {"host", "port", "user", "dbname", "sslmode", "sslrootcert"}
    if wrong := sorted(options.keys() - known):
        raise UsageProblem(f"the URL's option {wrong[0]} is not known", hint=f"it may have {', '.join(sorted(known))}")
    host = options.get("host") or _host(parts.netloc, parts.hostname) or SOCKETS
    if "," in parts.netloc or "," in host:
        raise UsageProblem("the URL names several hosts", hint="name the one that is to be backed up, a standby or not")
    try:
        number = int(options["port"]) if "port" in options else (port or 5432)
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise UsageProblem("the URL's port is no port", hint=_EXAMPLE)
    return Address(
        host=host,
        port=number,
        user=options.get("user") or unquote(parts.username or "") or getpass.getuser(),
        database=options.get("dbname") or unquote(parts.path.removeprefix("/")) or None,
        tls="verify" if options.get("sslmode") == "verify-full" else "loopback",
        ca_file=Path(options["sslrootcert"]).absolute() if options.get("sslrootcert") else None,
    )


def _host(netloc: str, hostname: str | None) -> str | None:
    """A socket's directory may stand there too, with %2F for its slashes; `hostname` would make it lower-case."""
    if "%2f" in netloc.lower():
        return unquote(netloc.rpartition("@")[2].partition(":")[0])
    return hostname


def _path(text: str) -> Path:
    if not text.isprintable() or not text:
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    try:
        path = Path(text).expanduser().absolute()
        real = path.resolve(strict=True)  # a plan names what a link points to
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "no such user"
        raise UsageProblem(f"{text}: {why}", hint=f"name a directory of this host, or a server: {_EXAMPLE}") from None
    if real == Path("/"):
        raise UsageProblem("/ is not something to back up as one tree", hint="name the directories that matter")
    if not str(real).isprintable():
        raise UsageProblem("a path with control characters cannot stand in a plan", hint="name a directory above it")
    if not (real.is_dir() or real.is_file()):
        raise UsageProblem(f"{real} is neither a directory nor a file", hint="name a directory")
    if (real / "PG_VERSION").exists() and (real / "global").is_dir():
        raise UsageProblem(
            f"{real} is the data directory of a PostgreSQL server, and a copy of its files is no backup",
            hint=f"name the server: {_EXAMPLE}",
        )
    return real


def _tree(path: Path) -> TreeFound:
    found = look(path)
    if not found.files:
        why = f"{found.unreadable} entries cannot be read" if found.unreadable else "an empty tree is no backup"
        raise UsageProblem(
            f"there is no file in {path} that this user can see: {why}",
            hint="is its file system mounted? run as a user who may read it",
        )
    return found
