"""Reads what `Engine.export` wrote: one row a line, values apart by tabs, as bytes; a line at a time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

NULL = rb"\N"
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_MEANS = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"0": b"\0"}


def read_rows(lines: Iterable[bytes]) -> Iterator[list[bytes | None]]:
    """Each row's values, None for NULL."""
    for line in lines:
        yield [_value(field) for field in line.removesuffix(b"\n").split(b"\t")]


def _value(field: bytes) -> bytes | None:
    if field == NULL:
        return None
    return _ESCAPED.sub(lambda escape: _MEANS.get(escape[1], escape[1]), field) if b"\\" in field else field
