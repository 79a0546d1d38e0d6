"""Restores one asset's snapshot for real: into a directory, onto a server, or as a new server.

`work.py` is the use-case, of a `request.py`, which also has what goes into the ledger. First `examination.py` decides,
before anything is written: the snapshot, what must not be touched, how long it should take. `ways.py` says what a way
to restore is, of three: `into_directory.py` (with what it needs in `directory.py`), `onto_server.py`, and
`new_server.py` (`opening.py` looks at where it is to be, and starts it).
"""

from ccdr.evidence.history.kinds import RESTORE_END, RESTORE_START
from ccdr.jobs.restore.request import Request, RestoreResult
from ccdr.jobs.restore.work import Restoring, restoring

__all__ = ["RESTORE_END", "RESTORE_START", "Request", "RestoreResult", "Restoring", "restoring"]
