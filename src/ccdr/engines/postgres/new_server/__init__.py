"""A new PostgreSQL server, made ready of what was captured: of a base backup, or of a dump."""

from ccdr.engines.postgres.new_server.maker import PostgresMaker

__all__ = ["PostgresMaker"]
