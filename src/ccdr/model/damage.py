"""What a negative control does to a restored copy, which the checks must then find bad. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from ccdr.model.errors import TestBroken


class Damage(StrEnum):
    """The words of records and of the command line."""

    FILE_TRUNCATED = "file_truncated"
    FILE_REPLACED = "file_replaced"  # other bytes, of the same size and with the same time
    FILE_REMOVED = "file_removed"
    PAGE_DAMAGED = "page_damaged"  # a block of a file, its size as it was
    ROW_CHANGED = "row_changed"
    ROW_REMOVED = "row_removed"
    TABLE_DROPPED = "table_dropped"
    KEY_CHANGED = "key_changed"
    KEY_REMOVED = "key_removed"


# Done to what was fetched, before it is loaded: whatever the engine. All others are done to what was loaded.
OF_FILES = (Damage.PAGE_DAMAGED, Damage.FILE_TRUNCATED, Damage.FILE_REPLACED, Damage.FILE_REMOVED)
OF_TABLES = (Damage.ROW_CHANGED, Damage.ROW_REMOVED, Damage.TABLE_DROPPED)
OF_KEYS = (Damage.KEY_CHANGED, Damage.KEY_REMOVED)


class NothingToDamage(TestBroken):
    """There is nothing in the copy that this could be done to."""


def in_turn(possible: Sequence[Damage], tried: Mapping[str, int | float], missed: Sequence[str]) -> list[Damage]:
    """The order in which they are to be tried next. First what was `missed` when it was last done: until it is found,
    nothing else counts. Then what was never done, then what was done longest ago; `tried` has where the ledger tells of
    it."""
    first = [kind for kind in possible if kind in missed]
    rest = [kind for kind in possible if kind not in missed]
    return first + sorted(rest, key=lambda kind: tried.get(kind, 0))
