"""PostgreSQL: `engine.py` captures and loads, `inventory.py` asks what a dump does not hold, `identity.py`
compares what was restored with what was captured."""

from ccdr.engines.postgres.engine import Postgres, images

__all__ = ["Postgres", "images"]
