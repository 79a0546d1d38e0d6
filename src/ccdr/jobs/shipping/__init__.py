"""The log of changes between two backups: received and stored all the time, read back, fetched for a recovery.

Shipped: `ship.py` is the loop that receives (`receiving.py`) into a spool (`spool.py`), takes from there what a batch
holds (`batch.py`) and stores it (`storing.py`). It holds what it receives against the source's history
(`source_history.py`), what it believes against the repository (`continuity.py`), knows how far all is proven
(`proven.py`), and tells of it (`journal.py`, `tally.py`). What all of these work with is a `Shipment`.

Stored: a `LogArchive` is `StoredBatch`es in their order, read from a repository of their own (`log_repository.py`),
along the log's branches (`branches.py`). Up to when it is stored is asked of `stored_until.py`.

Recovered: `recovery.py` chooses a base and a way (`choice.py`, `which_branch.py`), and fetches it (`fetching_log.py`).
"""

from ccdr.evidence.log_standing import UNRECORDED, LogStanding, as_recorded, read_standing
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import archive_of, log_of, log_repository
from ccdr.jobs.shipping.stored_batch import StoredBatch

__all__ = [
    "UNRECORDED",
    "LogArchive",
    "LogStanding",
    "StoredBatch",
    "archive_of",
    "as_recorded",
    "log_of",
    "log_repository",
    "read_standing",
]
