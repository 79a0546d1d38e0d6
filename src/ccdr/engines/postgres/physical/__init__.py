"""Method `physical`: `method.py` captures and restores, `capture.py` takes the base backup, `parents.py` says whether
it can be an increment, `facts.py` asks what both sides of a comparison are asked, `cluster.py` puts an increment and
what it builds upon together and has the restored server run, `checks.py` compares, `rights.py` looks.
"""

from ccdr.engines.postgres.physical.capture import BASE_FILE
from ccdr.engines.postgres.physical.method import Physical

__all__ = ["BASE_FILE", "Physical"]
