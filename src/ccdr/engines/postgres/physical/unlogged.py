"""What a base backup leaves out: the rows of unlogged tables, which no log brings, and replication slots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.model.values import so_many

MOST_NAMED = 5


def emptied(contents: Mapping[str, Any]) -> str | None:
    """Of a manifest's contents: which tables of the database that was asked come back empty; None where none do. An
    older manifest has their number alone."""
    if not (count := int(contents.get("unlogged") or 0)):
        return None
    names = [str(name).replace(" ", ".", 1) for name in contents.get("unlogged_tables") or ()]
    more = ", …" if len(names) > MOST_NAMED or 0 < len(names) < count else ""
    named = f" ({', '.join(names[:MOST_NAMED])}{more})" if names else ""
    comes = so_many(count, "unlogged table comes", "unlogged tables come")
    return f"{comes} back empty{named}: a base backup leaves out their rows"


def slots_lost(contents: Mapping[str, Any]) -> Iterator[str]:
    """Of a manifest's contents: those of the server that are not ccdr's own."""
    if slots := contents.get("slots"):
        many = so_many(len(slots), "replication slot")
        yield f"{many} ({', '.join(slots)}) not in a base backup: make anew what is needed"
