"""Redis and Valkey: `capture.py` fetches the RDB, `server.py` is a server of our own on one, `description.py` says what
it holds, `identity.py` compares what was restored with what was captured."""

from ccdr.engines.redis.engine import Redis

__all__ = ["Redis"]
