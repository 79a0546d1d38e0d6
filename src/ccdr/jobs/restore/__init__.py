"""Restores one asset's snapshot for real: into a directory, onto a server, or as a new server.

`work.py` is the use-case, of a `request.py`: first `examination.py` decides, before anything is written, then the work
is done. `selection.py` chooses the snapshot; `sources.py` knows what must not be touched, and `guarded.py` refuses a
directory that would. `ways.py` says what a way to restore is, of three: `into_directory.py` (with what it needs in
`directory.py`), `onto_server.py`, and `new_server.py` (`site.py` looks at where it is to be, `left_server.py` is what
its files tell of it, `opening.py` starts it). `estimate.py` tells from measured tests how long it should take;
`result.py` is what goes into the ledger.
"""

from ccdr.evidence.history.kinds import RESTORE_END, RESTORE_START
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.result import RestoreResult
from ccdr.jobs.restore.work import Restoring, restoring

__all__ = ["RESTORE_END", "RESTORE_START", "Request", "RestoreResult", "Restoring", "restoring"]
