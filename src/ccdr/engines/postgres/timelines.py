"""Timelines: what a history file tells of those that lead to its own, and when one was begun.

A history file has a line for each timeline that was left: its number, where, and why in words. The server writes it
when it ends its recovery; the first record behind that place is of the very moment.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.engines.postgres.position import number
from ccdr.model.forks import Fork

_LINE = re.compile(r"\s*(?P<timeline>\d+)\s+(?P<position>[0-9A-F]+/[0-9A-F]+)", re.ASCII)
PAGE = 8192
LONG, SHORT = 40, 24  # bytes of the header of a segment's first page, and of any other
_RECORD = struct.Struct("=IIQBBxxI")  # length, transaction, the one before, what it is, whose, sum
_DATA = 255  # what a record's short data begins with: then their length, then they
SHUTDOWN, END_OF_RECOVERY = 0x00, 0x90  # what of the log's own manager (0)
_TIME_OF_CHECKPOINT = 64  # where it stands, as seconds since 1970 (PostgreSQL 14 to 18)
MOST = 8  # records that are looked at: a server may say something else first
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def forks(timeline: int, history: str) -> tuple[Fork, ...]:
    """What the history file of this timeline says. ValueError where it is none."""
    left = []
    for line in history.split("\n"):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if (match := _LINE.match(line)) is None:
            raise ValueError("not a line of a timeline's history")
        left.append((int(match["timeline"]), match["position"]))
    if not left or left != sorted(left) or left[-1][0] >= timeline:
        raise ValueError("not a timeline's history")
    later = [*(n for n, _ in left[1:]), timeline]
    return tuple(Fork(branch, n, position) for (n, position), branch in zip(left, later, strict=True))


def history(timeline: int, known: Iterable[Fork]) -> str:
    """A history file of this timeline, as far as the forks tell."""
    left = {fork.branch: fork for fork in known}
    lines: list[str] = []
    while (fork := left.pop(timeline, None)) is not None:
        lines.append(f"{fork.parent}\t{fork.position}\tas ccdr has it\n")
        timeline = fork.parent
    return "".join(reversed(lines))


def begun(segment: Path, position: str, segment_bytes: int) -> datetime | None:
    """When the timeline was begun whose log goes on from this position in its segment; None where that is not there
    yet, or of a shape that is not known."""
    at = number(position) % segment_bytes
    try:
        with segment.open("rb") as file:
            file.seek(at - at % PAGE)
            raw = file.read(PAGE * MOST)
    except FileNotFoundError:  # renamed since
        return None
    for what, data in _records(raw, at):
        if what == END_OF_RECOVERY and len(data) >= 8:
            return EPOCH + timedelta(microseconds=struct.unpack_from("=q", data)[0])
        if what == SHUTDOWN and len(data) >= _TIME_OF_CHECKPOINT + 8:
            return datetime.fromtimestamp(struct.unpack_from("=q", data, _TIME_OF_CHECKPOINT)[0], UTC)
    return None


def _records(raw: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """Of the log's own manager, from this place in the segment on: what each is, and its data. `raw` are whole pages
    from the one on which the place lies."""
    first = at - at % PAGE
    header = [LONG if first + n == 0 else SHORT for n in range(0, len(raw), PAGE)]
    bare = b"".join(raw[n * PAGE + skip : (n + 1) * PAGE] for n, skip in enumerate(header))
    place = max(0, at % PAGE - header[0]) if header else 0
    for _ in range(MOST):
        if place + _RECORD.size + 2 > len(bare):
            return
        length, _, _, what, whose, _ = _RECORD.unpack_from(bare, place)
        if length < _RECORD.size + 2 or place + length > len(bare):
            return
        begins = place + _RECORD.size
        if whose == 0 and bare[begins] == _DATA:
            yield what & 0xF0, bare[begins + 2 : begins + 2 + bare[begins + 1]]
        place += (length + 7) // 8 * 8
