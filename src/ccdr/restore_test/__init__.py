"""Restores one asset's snapshot into a sandbox, checks what came back, measures it, destroys it, records it.

`once.py` is the use-case, from its lock to its record; `work.py` is what is done between; `result.py` is what goes into
the ledger.
"""

from ccdr.restore_test.once import restore_test
from ccdr.restore_test.result import RestoreTest
from ccdr.restore_test.work import AT

__all__ = ["AT", "RestoreTest", "restore_test"]
