"""Method `dump`: `capture.py` takes it, `files.py` says how it lies in files, `method.py` brings it back, `identity.py`
compares."""

from ccdr.engines.mariadb.dump.method import Dump

__all__ = ["Dump"]
