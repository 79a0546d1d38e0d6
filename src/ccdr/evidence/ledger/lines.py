"""What one line of a ledger says, and what readers fold of one that nothing can be taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import orjson

from ccdr.evidence.ledger.places import broken, line_as_record
from ccdr.evidence.older import CLOSED, closed, sensible
from ccdr.evidence.records import (
    VERSIONS,
    Record,
    Unread,
    decode,
    newer,
)
from ccdr.model.values import TOLD_BY

# Readers fold mappings, older records as they are. Where nothing of one can be counted on, there is only where it
# stands and what it is about, and under this key why: a later ccdr wrote it, or none did.
PASSED_OVER = "passed_over"
OF_READERS = (b'"passed_over"', b'"told_by"')  # no line says that of itself
NEWER, WRONG = "newer", "wrong"
ENVELOPE = frozenset(Record.__struct_fields__)

T = TypeVar("T")


def passed_over(record: Mapping[str, Any], why: str) -> dict[str, Any]:
    """What readers fold of a record that nothing can be taken from: where it stands, and what it is about."""
    return {key: record[key] for key in ENVELOPE if key in record} | {PASSED_OVER: why}


def folded(line: bytes) -> dict[str, Any]:
    """A line that another process verifies, as readers fold it."""
    record: dict[str, Any] = orjson.loads(line)
    version = record.get("version", 1)
    if type(version) is int and CLOSED < version <= VERSIONS.get(record["kind"], 0):
        return record  # as a rule; what follows is for older ones, and for a later ccdr's
    record = closed(record)
    if newer(record):
        return passed_over(record, NEWER)
    return passed_over(record, WRONG) if _senseless(record) else record


def typed_lines(line: bytes) -> dict[str, Any]:
    """What was written before there were definitions is taken as far as it goes."""
    return as_read(line, decode(line))


def as_read(line: bytes, record: Record) -> dict[str, Any]:
    view = _view(line)
    if isinstance(record, Unread) and record.newer:
        return passed_over(view, NEWER)
    return passed_over(view, WRONG) if misfits(record) or _senseless(view) else view


def misfits(record: Record) -> bool:
    """Is it not as its kind is defined? What was written before had no definition to hold to."""
    return isinstance(record, Unread) and not record.newer and record.version > CLOSED


def _senseless(record: Mapping[str, Any]) -> bool:
    """Of a record from before there were definitions: has no ccdr written it so? What readers say of it (PASSED_OVER,
    TOLD_BY) no line says of itself."""
    readers_say = PASSED_OVER in record or TOLD_BY in record
    return bool(record.get("version", 1) <= CLOSED and (readers_say or not sensible(record)))


def _view(line: bytes) -> dict[str, Any]:
    """The same of a line that was found good."""
    try:
        return closed(orjson.loads(line))
    except ValueError:  # lone surrogates
        return line_as_record(line)


def parsed(
    path: Path, lines: Iterable[tuple[int, bytes]], *, last: bool, read: Callable[[bytes], T]
) -> Iterator[tuple[int, bytes, T]]:
    for offset, line in lines:
        try:
            record = read(line)
        except ValueError as why:
            if last and (not line.endswith(b"\n") or offset + len(line) >= path.stat().st_size):
                continue  # torn; the next append sets it aside
            raise broken(path, offset, why) from None
        yield offset, line, record
