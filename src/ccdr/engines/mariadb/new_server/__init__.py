"""A new MariaDB server, made of a dump or of a whole server's files: `maker.py` makes it, `own.py` says how it is set
up."""

from ccdr.engines.mariadb.new_server.maker import Maker

__all__ = ["Maker"]
