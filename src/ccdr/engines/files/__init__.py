"""File trees: recordings, configuration; restic reads them where they are."""

from ccdr.engines.files.engine import Files
from ccdr.engines.files.listing import LISTING, WAITING, Entry, matching, read_listing

__all__ = ["LISTING", "WAITING", "Entry", "Files", "matching", "read_listing"]
