"""The log of changes between two backups: received and stored all the time, read back, fetched for a recovery.

Shipped: `ship.py` is the loop that receives into a spool, takes from there what a batch holds (`batch.py`) and stores
it (`storing.py`). It holds what it receives against the source's history, and what it believes against the repository
(`continuity.py`). What all of these work with is a `Shipment`.

Stored: a `LogArchive` is `StoredBatch`es in their order, along the log's branches, read from a repository of their own.

Recovered: `recovery.py` fetches what `choice.py` chooses: a base, and the log that leads on from it.
"""

from ccdr.evidence.log_standing import UNRECORDED, LogStanding, as_recorded, read_standing
from ccdr.jobs.shipping.log_archive import LogArchive, StoredBatch, archive_of, log_of, log_repository

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
