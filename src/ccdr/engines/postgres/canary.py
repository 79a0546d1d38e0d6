"""The canary: a row that ccdr renews on the source, so that what a restore reached can be read from it."""

from __future__ import annotations

from collections.abc import Callable

from ccdr.engines.postgres.connection import Connection
from ccdr.model.errors import BackupFailed, CommandFailed

CANARY = """\
create schema if not exists ccdr;
create table if not exists ccdr.heartbeat (id int primary key check (id = 1), at timestamptz not null);
insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();
"""
# "If not exists" looks before it makes: of two who do at the same time one is told by these.
_MEANWHILE = r"pg_namespace_nspname_index|pg_type_typname_nsp_index|pg_class_relname_nsp_index"
MAY_COLLIDE = 3  # the schema, the table's type, the table: each once
BEAT = "insert into ccdr.heartbeat values (1, clock_timestamp()) on conflict (id) do update set at = clock_timestamp();"


def make_canary(ask: Callable[[str], object], connection: Connection) -> None:
    """Its table, and the first beat; `ask` carries out SQL. BackupFailed where the role may not."""
    try:
        for left in range(MAY_COLLIDE, -1, -1):
            try:
                ask(CANARY)
                break
            except CommandFailed as error:
                if not left or not error.stderr.search(_MEANWHILE):
                    raise
    except CommandFailed as error:
        if "permission denied" not in error.stderr:
            raise
        raise BackupFailed(
            f"the canary cannot be kept: {error}; as a superuser: {canary_grant(connection)}",
            hint="or leave `canary:` out of `log_shipping:`",
        ) from None


def canary_grant(connection: Connection) -> str:
    """Asked for even where its schema is there already."""
    return f"GRANT CREATE ON DATABASE {connection.database} TO {connection.user};"
