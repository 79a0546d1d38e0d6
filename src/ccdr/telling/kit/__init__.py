"""The page to keep elsewhere: where each plan's address, key and credentials lie, with fingerprints, never values."""

from ccdr.telling.kit.page import html
from ccdr.telling.kit.sheet import Sheet, sheets

__all__ = ["Sheet", "html", "sheets"]
