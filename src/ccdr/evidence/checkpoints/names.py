"""What files of checkpoints are called, in the state directory and in a package. Loads nothing that signs."""

from __future__ import annotations

CHECKPOINTS = "checkpoints"  # the folder: one below it for each ledger
ANCHORS = "anchors"  # … and below that one, for the receipts of anchors


def checkpoint_name(size: int) -> str:
    """Of so many records."""
    return f"{size:012}.txt"
