"""A server as people write it: `mysql://user@host:port/database` or `mariadb://…`; a Unix socket by `?socket=`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.servers.connection import in_url, is_loopback
from ccdr.model.errors import UsageProblem

SCHEMES = ("mysql", "mariadb")
EXAMPLE = "write it like mysql://user@host:3306/database, or mysql://user@/database?socket=/run/mysqld/mysqld.sock"
SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")  # every server's own
SOCKETS = "/run/mysqld"
LONGEST = 64  # characters of a name in MariaDB
_OPTIONS = {"socket", "ca_file", "tls"}


@dataclass(frozen=True)
class Address:
    """A server, and one of its databases. `host` may be a Unix socket, or the directory it lies in."""

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
        return self.host if self.host.startswith("/") else f"{self.host}:{self.port}"

    def connection(self, password_file: Path | None, database: str) -> Connection:
        """UsageProblem where plans would not have it."""
        told: dict[str, object] = {
            "host": self.host, "port": self.port, "user": self.user, "database": database, "tls": self.tls,
            "password_file": password_file and password_file.absolute(), "ca_file": self.ca_file,
        }  # fmt: skip
        try:
            return Connection.model_validate(told)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UsageProblem(f"{self.shown}: the connection {said}", hint=EXAMPLE) from None


def parse(text: str) -> Address:
    """UsageProblem where it is no address. The text is never repeated, since it may hold a password. `user` is empty
    where none is named."""
    try:
        parts = urlsplit(text)
        port = parts.port or 3306
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) if parts.query else {}
    except ValueError:
        raise UsageProblem("the URL cannot be read", hint=EXAMPLE) from None
    if parts.password is not None or "password" in options:
        raise UsageProblem(
            "the URL holds a password, which other users of this machine can read",
            hint="take another password, write it into a file of mode 0600, and name it with --password-file FILE",
        )
    if wrong := sorted(options.keys() - _OPTIONS) or parts.fragment:
        raise UsageProblem(f"the URL's option {wrong[0]} is not known", hint=EXAMPLE)
    database = unquote(parts.path.removeprefix("/")) or None
    if database is not None and (len(database) > LONGEST or not database.isprintable() or "/" in parts.path[1:]):
        raise UsageProblem("the URL names a database that MariaDB cannot have", hint=EXAMPLE)
    if database is not None and database.lower() in SYSTEM:
        raise UsageProblem(f"the URL names {database}, which belongs to the server itself", hint="name another")
    host = _host(parts.netloc, parts.hostname)
    if options.get("socket") and host:
        raise UsageProblem("the URL names both a host and a socket", hint=EXAMPLE)
    host = options.get("socket") or host or SOCKETS
    if host.startswith("/") and not Path(host).exists():
        raise UsageProblem(f"there is no socket at {host}", hint="does the server run, and on this host?")
    return Address(
        host=host,
        port=port,
        user=unquote(parts.username or ""),
        database=database,
        tls="verify" if options.get("tls") == "verify" else "loopback",
        ca_file=Path(options["ca_file"]).absolute() if options.get("ca_file") else None,
    )


def _host(netloc: str, hostname: str | None) -> str | None:
    """A socket may stand there too, with %2F for its slashes; `hostname` would make it lower-case."""
    if "%2f" in netloc.lower():
        return unquote(netloc.rpartition("@")[2].partition(":")[0])
    return hostname


def shown(connection: Connection) -> str:
    """The URL again; no secret is in it."""
    user, database = in_url(connection.user), in_url(connection.database)
    if connection.socket is not None:
        return f"mysql://{user}@/{database}?socket={in_url(connection.host, plain='/')}"
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"mysql://{user}@{host}:{connection.port}/{database}"
