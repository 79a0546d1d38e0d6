"""Method `dump`: `method.py` captures and loads, `capture.py` takes the dump, `toc.py`, `definitions.py` and
`archive.py` read one, `identity.py` compares what was restored with what was captured, `target.py` loads it onto a real
server.
"""

from ccdr.engines.postgres.dump.method import Dump
from ccdr.engines.postgres.dump.target import PostgresTarget

__all__ = ["Dump", "PostgresTarget"]
