"""Tests the restore tests: a copy of the newest snapshot is damaged on purpose, and the asset's checks must find it.

`once.py` is the use-case, from its lock to its record: the same copy undamaged must pass in the same run, else nothing
was shown. `files.py` damages what was fetched; what was loaded is damaged by its engine. Repository and source are
only read.
"""

from ccdr.jobs.negative_control.once import negative_control
from ccdr.jobs.negative_control.result import NegativeControl

__all__ = ["NegativeControl", "negative_control"]
