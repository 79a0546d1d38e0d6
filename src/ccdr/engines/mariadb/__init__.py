"""MariaDB: `engine.py` holds what a plan says, `dump/` captures and brings back, `server.py` is the sandbox's server,
`inventory.py` asks what a dump does not hold."""

from ccdr.engines.mariadb.engine import MariaDB

__all__ = ["MariaDB"]
