"""Restores one asset's snapshot into a sandbox, checks what came back, measures it, destroys it, records it.

`once.py` is the use-case, from its lock to its record; `work.py` is what is done between, on a `course.py` that the
parts share: `selection.py` chooses the snapshot, `sandboxed.py` restores and checks it, `objectives.py` says at the end
what was reached, `advice.py` what to do next. `result.py` is what goes into the ledger; `turns.py` is which rule
chooses the snapshot where a plan names several.
"""

from ccdr.jobs.restore_test.once import restore_test
from ccdr.jobs.restore_test.result import RestoreTest
from ccdr.jobs.restore_test.turns import next_turn
from ccdr.model.values import AT

__all__ = ["AT", "RestoreTest", "next_turn", "restore_test"]
