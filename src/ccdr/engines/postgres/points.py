"""Where in the log somebody has named a point (`pg_create_restore_point`): looked for before anything is restored,
since a server tells that it has not met one only once it has applied all of the log.

A record of that kind ends in its data: a length of 72 bytes, the time, and the name in a field of 64 (xlogdefs.h and
xlog_internal.h of PostgreSQL 14 to 18). Records lie across pages, each of which begins with a header.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from ccdr.engines.postgres.segments import LONG, SHORT

FIELD = 64  # bytes that a name has, with the zero at its end
DATA = bytes([255, 8 + FIELD])  # "short data", and its length
BEFORE = len(DATA) + 8  # bytes of that and the time, before the name
_PAGE_BYTES = struct.Struct("=36xI")  # stands in the long one


def named(segments: Iterable[tuple[int, Path]], name: str, segment_bytes: int) -> Iterator[int]:
    """Positions of the points of this name, in order. `segments` are numbers and files, in the log's order."""
    wanted = name.encode("utf-8", "surrogateescape")
    if len(wanted) >= FIELD:
        return
    wanted += b"\0"  # behind which stands whatever stood there
    tail, number = b"", -1
    for n, file in segments:
        raw = file.read_bytes()
        size = _PAGE_BYTES.unpack_from(raw)[0] if len(raw) >= _PAGE_BYTES.size else 0
        if not size:
            continue  # nothing of it has come yet
        pages = (raw[at + (SHORT if at else LONG) : at + size] for at in range(0, len(raw), size))
        held = tail if n == number + 1 else b""  # what a record has begun with in the segment before
        data, begun = held + b"".join(pages), len(held)
        match_at = data.find(wanted)
        while match_at >= 0:
            if match_at + len(wanted) > begun and data[max(0, match_at - BEFORE) : match_at - 8] == DATA:
                yield n * segment_bytes + _place(max(0, match_at - begun), size)
            match_at = data.find(wanted, match_at + 1)
        tail, number = data[-(BEFORE + FIELD) :], n


def _place(offset: int, page: int) -> int:
    """Of so many bytes behind the headers: how many that are with them."""
    if offset < page - LONG:
        return offset + LONG
    pages, rest = divmod(offset - (page - LONG), page - SHORT)
    return (pages + 1) * page + SHORT + rest
