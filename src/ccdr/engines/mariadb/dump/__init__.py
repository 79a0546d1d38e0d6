"""Method `dump`: `capture.py` takes it, `files.py` says how it lies in files, `method.py` brings it back, `identity.py`
compares; `target.py` loads it onto a real server, and gives it its name there.
"""

from ccdr.engines.mariadb.dump.method import Dump

__all__ = ["Dump"]
