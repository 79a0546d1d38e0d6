"""A server as people write it: `mysql://user@host:port/database` or `mariadb://…`; a Unix socket by `?socket=`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError

from ccdr.engines.mariadb.connection import Connection
from ccdr.engines.servers.connection import Address, ca_file_of, host_of, in_url, read_url
from ccdr.model.errors import UsageProblem

SCHEMES = ("mysql", "mariadb")
EXAMPLE = "write it like mysql://user@host:3306/database, or mysql://user@/database?socket=/run/mysqld/mysqld.sock"
SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")  # every server's own
SOCKETS = "/run/mysqld"
LONGEST = 64  # characters of a name in MariaDB
_OPTIONS = {"socket", "ca_file", "tls"}


class MariaAddress(Address):
    """A `host` may be a Unix socket, or the directory it lies in."""

    def connection(self, password_file: Path | None, database: str) -> Connection:
        """UsageProblem where plans would not have it."""
        settings: dict[str, object] = {
            "host": self.host, "port": self.port, "user": self.user, "database": database, "tls": self.tls,
            "password_file": password_file and password_file.absolute(), "ca_file": self.ca_file,
        }  # fmt: skip
        try:
            return Connection.model_validate(settings)
        except ValidationError as error:
            problem = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise UsageProblem(f"{self.shown}: the connection {problem}", hint=EXAMPLE) from None


def parse(text: str) -> MariaAddress:
    """UsageProblem where it is no address. The text is never repeated, since it may hold a password. `user` is empty
    where none is named."""
    parts, port, options = read_url(text, _OPTIONS, EXAMPLE)
    if parts.fragment:
        raise UsageProblem("the URL has something behind a #", hint=EXAMPLE)
    database = unquote(parts.path.removeprefix("/")) or None
    if database is not None and (len(database) > LONGEST or not database.isprintable() or "/" in parts.path[1:]):
        raise UsageProblem("the URL names a database that MariaDB cannot have", hint=EXAMPLE)
    if database is not None and database.lower() in SYSTEM:
        raise UsageProblem(f"the URL names {database}, which belongs to the server itself", hint="name another")
    host = host_of(parts)
    if options.get("socket") and host:
        raise UsageProblem("the URL names both a host and a socket", hint=EXAMPLE)
    host = options.get("socket") or host or SOCKETS
    if host.startswith("/") and not Path(host).exists():
        raise UsageProblem(f"there is no socket at {host}", hint="does the server run, and on this host?")
    return MariaAddress(
        host=host,
        port=port or 3306,
        user=unquote(parts.username or ""),
        database=database,
        tls="verify" if options.get("tls") == "verify" else "loopback",
        ca_file=ca_file_of(options, "ca_file"),
    )


def shown(connection: Connection) -> str:
    """The URL again; no secret is in it."""
    user, database = in_url(connection.user), in_url(connection.database)
    if connection.socket is not None:
        return f"mysql://{user}@/{database}?socket={in_url(connection.host, plain='/')}"
    host = f"[{connection.host}]" if ":" in connection.host else connection.host
    return f"mysql://{user}@{host}:{connection.port}/{database}"
