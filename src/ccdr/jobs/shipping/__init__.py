"""The log of changes between two backups: received and stored all the time (`ship.py`), found again (`shelf.py`),
fetched for a recovery (`recovery.py`)."""

from ccdr.evidence.log_standing import UNRECORDED, LogStanding, as_recorded, read_standing
from ccdr.jobs.shipping.shelf import Batch, Shelf, log_of, log_repository, shelf_of

__all__ = [
    "UNRECORDED",
    "Batch",
    "LogStanding",
    "Shelf",
    "as_recorded",
    "log_of",
    "log_repository",
    "read_standing",
    "shelf_of",
]
