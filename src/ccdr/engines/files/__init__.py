"""File trees: recordings, configuration; restic reads them where they are."""

from ccdr.engines.files.engine import Files
from ccdr.engines.files.scan import LISTING, WAITING, TreeEntry, matching, read_listing

__all__ = ["LISTING", "WAITING", "Files", "TreeEntry", "matching", "read_listing"]
