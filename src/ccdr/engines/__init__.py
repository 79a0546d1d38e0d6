"""One store, one file. To add an engine: write its class, add it to the union, join the contract suite."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ccdr.engines.base import EngineConfig
from ccdr.engines.files import Files
from ccdr.engines.mariadb import MariaDB
from ccdr.engines.postgres import Postgres
from ccdr.engines.redis import Redis
from ccdr.engines.sqlite import Sqlite

AnyEngine = Annotated[Files | MariaDB | Postgres | Redis | Sqlite, Field(discriminator="engine")]

__all__ = ["AnyEngine", "EngineConfig", "Files", "MariaDB", "Postgres", "Redis", "Sqlite"]
