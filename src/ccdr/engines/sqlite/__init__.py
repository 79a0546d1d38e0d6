"""SQLite: one database file, which its application may have open."""

from ccdr.engines.sqlite.engine import Sqlite

__all__ = ["Sqlite"]
