"""What one line of a ledger says, and what readers fold of one that nothing can be taken from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import orjson

from ccdr.evidence.ledger.places import broken, line_as_record
from ccdr.evidence.records import (
    Record,
    Unread,
    decode,
    unknown,
)

# Readers fold mappings. Where nothing of one can be counted on, there is only where it stands and what it is about, and
# under this key why: it is of a version or a kind that this ccdr does not read, or no ccdr wrote it.
PASSED_OVER = "passed_over"
UNKNOWN, WRONG = "unknown", "wrong"
ENVELOPE = frozenset(Record.__struct_fields__)

T = TypeVar("T")


def passed_over(record: Mapping[str, Any], why: str) -> dict[str, Any]:
    """What readers fold of a record that nothing can be taken from: where it stands, and what it is about."""
    return {key: record[key] for key in ENVELOPE if key in record} | {PASSED_OVER: why}


def folded(line: bytes) -> dict[str, Any]:
    """A line that another process verifies, as readers fold it."""
    record: dict[str, Any] = orjson.loads(line)
    return passed_over(record, UNKNOWN) if unknown(record) else record


def typed_lines(line: bytes) -> dict[str, Any]:
    return as_read(line, decode(line))


def as_read(line: bytes, record: Record) -> dict[str, Any]:
    view = _view(line)
    if isinstance(record, Unread):
        return passed_over(view, UNKNOWN if record.unknown else WRONG)
    return view


def _view(line: bytes) -> dict[str, Any]:
    """The same of a line that was found good."""
    try:
        record: dict[str, Any] = orjson.loads(line)
        return record
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
