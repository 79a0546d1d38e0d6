"""Where a restore is to go: `postgresql://user@host:port/database`."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import ValidationError

from ccdr.engines.postgres.connection import Connection
from ccdr.engines.servers.connection import in_url
from ccdr.model.errors import UsageProblem

EXAMPLE = "write it like postgresql://postgres@db2.example:5432/crm, the password in --password-file"
PORT = 5432
LONGEST = 63  # bytes of a name in PostgreSQL
RESERVED = ("postgres", "template0", "template1")


def parse(url: str, password_file: Path | None, ca_file: Path | None) -> Connection:
    """The connection that a target's URL names; UsageProblem where it is not well formed. The URL is never quoted in
    an error: it may hold a password. A socket's directory is `?host=/dir` or percent-encoded, as libpq has it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise UsageProblem("--to is no URL", hint=EXAMPLE) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise UsageProblem("--to is neither a directory nor a postgresql:// URL", hint=EXAMPLE)
    login, _, address = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if colon or "password" in query:
        raise UsageProblem("--to holds a password, which other users of this host could read", hint=EXAMPLE)
    if unknown := sorted(query.keys() - {"host", "port"}) or parts.fragment:
        raise UsageProblem(f"--to has {unknown}, which is not understood", hint=EXAMPLE)
    host, port = _host(address)
    host, port = query.get("host", unquote(host)), query.get("port", port)
    database = unquote(parts.path.removeprefix("/"))
    if not user or not host or not database or "/" in parts.path[1:]:
        raise UsageProblem("--to does not name a user, a host and a database", hint=EXAMPLE)
    if len(database.encode()) > LONGEST or "\0" in database or "\n" in database:
        raise UsageProblem("--to names a database that PostgreSQL cannot have", hint=EXAMPLE)
    if database in RESERVED:
        raise UsageProblem(f"--to names {database}, which belongs to the server itself", hint="name a new database")
    try:
        return Connection(
            host=host,
            port=int(port or PORT),
            user=unquote(user),
            database=database,
            password_file=password_file,
            ca_file=ca_file,
        )
    except (ValidationError, ValueError):
        raise UsageProblem("--to has a port that is none", hint=EXAMPLE) from None


def _host(address: str) -> tuple[str, str]:
    """Host and port of `host:port`, `[::1]:port` or `host`."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = address.partition(":")
    return host, port


def shown(connection: Connection) -> str:
    """The URL again; no secret is in it."""
    host, user, database = connection.host, in_url(connection.user), in_url(connection.database)
    if host.startswith("/"):
        port = f"&port={connection.port}" if connection.port != PORT else ""
        return f"postgresql://{user}@/{database}?host={in_url(host, plain='/')}{port}"
    return f"postgresql://{user}@{f'[{host}]' if ':' in host else host}:{connection.port}/{database}"
