"""Restores one asset's snapshot into a sandbox, checks what came back, measures it, destroys it, records it.

`job.py` is the use-case, from its lock to its record, with what is said at the end of objectives and of what to do
next; `course.py` is what its parts share: the snapshot is chosen, restored and checked in a sandbox. `result.py` is
what goes into the ledger, and which rule chooses the snapshot where a plan names several.
"""

from ccdr.jobs.restore_test.job import restore_test
from ccdr.jobs.restore_test.result import RestoreTest, next_turn
from ccdr.model.values import AT

__all__ = ["AT", "RestoreTest", "next_turn", "restore_test"]
