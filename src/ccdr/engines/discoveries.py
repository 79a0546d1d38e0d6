"""The registry of discoveries: a line for each engine, in the order in which they are asked what an argument names."""

from __future__ import annotations

from ccdr.engines.discovery import Discovery
from ccdr.engines.files.discovery import FilesDiscovery
from ccdr.engines.mariadb.discovery import MariaDiscovery
from ccdr.engines.postgres.discovery import PostgresDiscovery
from ccdr.engines.redis.discovery import RedisDiscovery
from ccdr.engines.sqlite.discovery import SqliteDiscovery

DISCOVERIES: tuple[Discovery, ...] = (
    PostgresDiscovery(),
    MariaDiscovery(),
    RedisDiscovery(),
    SqliteDiscovery(),
    FilesDiscovery(),  # takes any path that none of the others does
)
