"""The log of changes between two backups: received and stored all the time (`ship.py`), found again (`shelf.py`),
fetched for a recovery (`recovery.py`)."""

from ccdr.shipping.shelf import Batch, Shelf, log_of, log_repository, shelf_of
from ccdr.shipping.standing import Standing, read_standing

__all__ = ["Batch", "Shelf", "Standing", "log_of", "log_repository", "read_standing", "shelf_of"]
