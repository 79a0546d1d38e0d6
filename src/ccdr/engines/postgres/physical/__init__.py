"""Method `physical`: `method.py` captures and restores, `capture.py` takes the base backup, `facts.py` asks what both
sides of a comparison are asked, `cluster.py` has the restored server run, `checks.py` compares, `rights.py` looks."""

from ccdr.engines.postgres.physical.method import Physical

__all__ = ["Physical"]
