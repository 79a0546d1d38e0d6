"""The log of changes between two backups: received and stored all the time (`ship.py`), read back (`log_archive.py`),
fetched for a recovery (`recovery.py`)."""

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
