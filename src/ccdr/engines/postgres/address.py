"""A PostgreSQL server as people write it: `postgresql://user@host:port/database`, as libpq reads it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from urllib.parse import unquote

from pydantic import ValidationError

from ccdr.engines.postgres.connection import Connection
from ccdr.engines.servers.connection import Address, ca_file_of, host_of, in_url, read_url
from ccdr.model.errors import UsageProblem

SCHEMES = ("postgresql", "postgres")
EXAMPLE = "write it like postgresql://postgres@db2.example:5432/crm, the password in --password-file"
PORT = 5432
LONGEST = 63  # bytes of a name in PostgreSQL
RESERVED = ("postgres", "template0", "template1")
OPTIONS = frozenset({"host", "port", "user", "dbname", "sslmode", "sslrootcert"})


def parse(text: str, known: Collection[str], example: str) -> Address:
    """UsageProblem where it is no address. The text is never repeated, since it may hold a password. `host` and `user`
    are empty where none is named. A socket's directory is `?host=/dir` or percent-encoded; `known` are the options that
    it may have."""
    parts, port, options = read_url(text, known, example)
    if parts.fragment:
        raise UsageProblem("the URL has something behind a #", hint=example)
    host = options.get("host") or host_of(parts) or ""
    if "," in parts.netloc or "," in host:
        raise UsageProblem("the URL names several hosts", hint="name the one that is meant, a standby or not")
    if "/" in parts.path[1:]:
        raise UsageProblem("the URL names a database with a slash in it", hint=f"write %2F for it; {example}")
    try:
        number = int(options["port"]) if "port" in options else PORT if port is None else port
    except ValueError:
        number = 0
    if not 1 <= number <= 65535:
        raise UsageProblem("the URL's port is no port", hint=example)
    return Address(
        host=host,
        port=number,
        user=options.get("user") or unquote(parts.username or ""),
        database=options.get("dbname") or unquote(parts.path.removeprefix("/")) or None,
        tls="verify" if options.get("sslmode") == "verify-full" else "loopback",
        ca_file=ca_file_of(options, "sslrootcert"),
    )


def target(url: str, password_file: Path | None, ca_file: Path | None) -> Connection:
    """The connection to what `--to` names: a database that may be made there. UsageProblem as `parse`, and where user,
    host and database are not all named."""
    if url.partition("://")[0].lower() not in SCHEMES:
        raise UsageProblem("--to is neither a directory nor a postgresql:// URL", hint=EXAMPLE)
    named = parse(url, {"host", "port"}, EXAMPLE)
    if not named.user or not named.host or not named.database:
        raise UsageProblem("--to does not name a user, a host and a database", hint=EXAMPLE)
    if len(named.database.encode()) > LONGEST or "\0" in named.database or "\n" in named.database:
        raise UsageProblem("--to names a database that PostgreSQL cannot have", hint=EXAMPLE)
    if named.database in RESERVED:
        raise UsageProblem(
            f"--to names {named.database}, which belongs to the server itself", hint="name a new database"
        )
    try:
        return Connection(
            host=named.host,
            port=named.port,
            user=named.user,
            database=named.database,
            password_file=password_file,
            ca_file=ca_file,
        )
    except ValidationError:
        raise UsageProblem("--to names what no connection can have", hint=EXAMPLE) from None


def shown(connection: Connection) -> str:
    """The URL again; no secret is in it."""
    host, user, database = connection.host, in_url(connection.user), in_url(connection.database)
    if host.startswith("/"):
        port = f"&port={connection.port}" if connection.port != PORT else ""
        return f"postgresql://{user}@/{database}?host={in_url(host, plain='/')}{port}"
    return f"postgresql://{user}@{f'[{host}]' if ':' in host else host}:{connection.port}/{database}"
