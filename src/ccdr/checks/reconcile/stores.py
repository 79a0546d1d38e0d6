"""What each store says: the files by their snapshot's listing, the rows by the query's answer."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from ccdr.checks.reconcile.instants import instant_of
from ccdr.checks.reconcile.match import FileFact, RowFact
from ccdr.checks.reconcile.paths import resolve
from ccdr.checks.reconcile.rows import read_rows
from ccdr.engines.files import LISTING, read_listing
from ccdr.ports.check import CheckContext

MISMATCH = -1  # the size that a row says, where it says no number: that of no file
Column = Literal["path", "size", "sha256", "time"]


class OtherColumns(Exception):
    """The query gave another number of columns than the check names."""


def files_of(context: CheckContext, root: Path | None, match: Sequence[str]) -> Iterator[FileFact]:
    """The snapshot's listing; that all of it came back was seen when it was fetched. A file is looked at where it lies
    below `root` and its name matches."""
    patterns = tuple(pattern.lower() for pattern in match)
    below = "/" if root is None else f"{root}/"
    with (context.restored / LISTING).open(encoding="ascii") as lines:
        for entry in read_listing(lines):
            name = entry.path.rsplit("/", 1)[-1].lower()
            yield FileFact(
                path=os.fsencode(entry.path),
                kind=entry.type,
                size=entry.size,
                mtime=entry.mtime / 1e9,
                target=None if entry.target is None else os.fsencode(entry.target),
                looked_at=entry.path.startswith(below) and any(fnmatch.fnmatchcase(name, p) for p in patterns),
            )


def rows_of(exported: Path, columns: Sequence[Column], root: Path | None) -> Iterator[RowFact]:
    """What the query gave; relative paths are below `root`. OtherColumns where the query gave not these."""
    above = None if root is None else os.fsencode(root)
    with exported.open("rb") as lines:
        for values in read_rows(lines):
            if len(values) != len(columns):
                raise OtherColumns(f"{len(values)} columns")
            says = dict(zip(columns, values, strict=True))
            at = says.get("time")
            yield RowFact(
                reference=says["path"],
                path=resolve(says["path"], above),
                size=_size(says.get("size")),
                sha256=_sha256(says.get("sha256")),
                at=None if at is None else instant_of(at.decode("utf-8", "replace")),
            )


def _size(column: bytes | None) -> int | None:
    if column is None:
        return None
    text = column.strip()
    return int(text) if text.isdigit() and len(text) < 19 else MISMATCH


def _sha256(column: bytes | None) -> str | None:
    """In small letters; as PostgreSQL writes a bytea, too. What is no digest at all is that of no file."""
    if column is None:
        return None
    return column.decode("ascii", "replace").strip().lower().removeprefix("\\x")
