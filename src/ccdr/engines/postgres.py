"""PostgreSQL, method `dump`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.schema import Name, PlanPath, Text, WithPassword


class Connection(WithPassword):
    """How to reach the source. `host` may be a directory, for a Unix socket."""

    host: Text = "/var/run/postgresql"
    port: int = Field(5432, ge=1, le=65535)
    user: Text
    database: Text
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate")


class Postgres(EngineConfig):
    engine: Literal["postgres"]
    method: Literal["dump"] = "dump"
    connection: Connection
    server_settings: dict[Name, Text] = Field({}, description="settings the sandbox's server is started with")
    prepare_sql: tuple[Text, ...] = Field((), description="SQL run in the sandbox before the restore")
