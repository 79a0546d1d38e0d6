"""PostgreSQL: `engine.py` is the plan's configuration, each way to capture a server has a room of its own (`dump/`),
`inventory.py` asks what both sides of a comparison are asked, `server.py` is the sandbox's own server."""

from ccdr.engines.postgres.engine import Postgres

__all__ = ["Postgres"]
