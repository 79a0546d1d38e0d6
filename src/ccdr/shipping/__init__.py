"""The log of changes between two backups: received and stored all the time (`ship.py`), found again (`shelf.py`),
fetched for a recovery (`recovery.py`)."""

from ccdr.shipping.shelf import Batch, Shelf, log_of, log_repository, shelf_of
from ccdr.shipping.standing import UNRECORDED, Standing, as_recorded, read_standing

__all__ = [
    "UNRECORDED",
    "Batch",
    "Shelf",
    "Standing",
    "as_recorded",
    "log_of",
    "log_repository",
    "read_standing",
    "shelf_of",
]
