"""Redis and Valkey: `capture.py` fetches the RDB, says what it holds and loads one, `server.py` is a server of our own
on one, `identity.py` compares what was restored with what was captured.
"""

from ccdr.engines.redis.engine import Redis

__all__ = ["Redis"]
