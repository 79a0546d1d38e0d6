"""A new MariaDB server, made of a dump or of a whole server's files: `maker.py` makes it, `private_server.py` starts
and ends it in its container, `memory_tables.py` keeps what is lost when it ends, `own.py` says how it is set up."""

from ccdr.engines.mariadb.new_server.maker import Maker

__all__ = ["Maker"]
