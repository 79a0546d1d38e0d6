"""The log's positions, segments and timelines: what they are called, how they lie in a spool, and what their pages
tell.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.model.forks import Fork
from ccdr.ports.log import Segment

# Positions in the write-ahead log, as PostgreSQL writes them.


def number(position: str) -> int:
    """`16/B374D848` as bytes since the log began."""
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"


# Timelines: what a history file tells of those that lead to its own, and when one was begun.
#
# A history file has a line for each timeline that was left: its number, where, and why in words. The server writes it
# when it ends its recovery; the first record behind that place is of the very moment.

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


PARTIAL = ".partial"
SEGMENT_BYTES = 16 * 2**20  # unless initdb was told otherwise
SEGMENT = re.compile(r"(?P<timeline>[0-9A-F]{8})(?P<log>[0-9A-F]{8})(?P<segment>[0-9A-F]{8})")
_LONG = struct.Struct(
    "=24xQII"
)  # a segment's first page begins with: the cluster's identifier, bytes of segment, of page
_PAGE = struct.Struct("=8xQ")  # every page begins with its own place in the log
_FIRST = struct.Struct("=16xI")  # ... and with how many bytes it holds of a record that began before it
_SEGMENTS_RECORD = struct.Struct("=I4xQ8x")  # a record begins with its length and where the one before it began
DIGITS = 16  # of a digest
HISTORY = re.compile(r"[0-9A-F]{8}\.history")


def segments_in(spool: Path) -> list[Segment]:
    """As `ShippedLog.segments`."""
    names = sorted(p.name for p in spool.iterdir())
    whole = {n for n in names if SEGMENT.fullmatch(n)}
    segments = [Segment(n, n, whole=True) for n in whole]
    segments += [Segment(n, n, whole=True, beside=True) for n in names if HISTORY.fullmatch(n)]
    segments += [
        Segment(bare, n, whole=False)
        for n in names
        if n.endswith(PARTIAL) and SEGMENT.fullmatch(bare := n.removesuffix(PARTIAL)) and bare not in whole
    ]
    return sorted(segments, key=lambda s: _order(s.name))


def made_whole(spool: Path) -> None:
    """A receiver that was killed while it made room for a segment, with zeros, leaves a file that no later one takes:
    "has 11100160 bytes, should be 0 or 16777216". It is received from its beginning in any case."""
    for segment in segments_in(spool):
        file = spool / segment.file
        if not segment.whole and file.stat().st_size < SEGMENT_BYTES:
            os.truncate(file, SEGMENT_BYTES)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def page_begun(file: Path, last: int) -> bool:
    """Is the page written that holds this byte of the log? A segment has its full length from the start, all zeros."""
    try:
        with file.open("rb") as segment:
            start = segment.read(_LONG.size)
            if len(start) < _LONG.size or not (bytes_ := _LONG.unpack(start)[2]):
                return False
            page = last - last % bytes_
            segment.seek(page % SEGMENT_BYTES)
            header = segment.read(_PAGE.size)
    except FileNotFoundError:  # renamed since
        return False
    return len(header) == _PAGE.size and _PAGE.unpack(header)[0] == page


def timeline_of(segment: str) -> int:
    return int(segment[:8], 16) if SEGMENT.fullmatch(segment) else 1


def segment_name(timeline: int, number: int) -> str:
    return f"{timeline:08X}{number // (2**32 // SEGMENT_BYTES):08X}{number % (2**32 // SEGMENT_BYTES):08X}"


def number_of(match: re.Match[str]) -> int:
    return int(match["log"], 16) * (2**32 // SEGMENT_BYTES) + int(match["segment"], 16)


def _order(name: str) -> tuple[str, str]:
    """By number, then timeline; a history file before the segments of its timeline."""
    match = SEGMENT.fullmatch(name)
    return (name[8:], name[:8]) if match else ("", name)


def head_of(file: Path) -> str | None:
    """The cluster's identifier, which each segment tells, and digests of how it goes on: up to its first record's
    sum, which holds for the whole record and its place in the log, and of the whole first page. Each is told once
    it is there: a segment has its full length from the start, all zeros, so its first page is full once there is a
    second one. Where a disk was put back within a segment, that one begins as before, and is not told apart: what
    is received last is the source's own history, whole, and what was stored of the other is written over."""
    try:
        with file.open("rb") as segment:
            start = segment.read(_LONG.size)
            if len(start) < _LONG.size or not any(start):
                return None
            identifier, _, bytes_ = _LONG.unpack(start)
            page = start + segment.read(max(0, bytes_ - len(start)))
            behind = segment.read(_PAGE.size)
    except FileNotFoundError:  # renamed since
        return None
    head = str(identifier)
    if not bytes_ or len(page) < bytes_:
        return head
    record = len(start) + (_FIRST.unpack_from(page)[0] + 7) // 8 * 8
    ends = record + _SEGMENTS_RECORD.size
    if ends <= len(page) and _SEGMENTS_RECORD.unpack_from(page, record)[0]:
        head += f".{_digest(page[:ends])}"
    if len(behind) == _PAGE.size and _PAGE.unpack(behind)[0] == _PAGE.unpack_from(page)[0] + bytes_:
        head += f"{'' if '.' in head else '.'}.{_digest(page)}"
    return head


def anything_behind(file: Path, position: int) -> bool:
    """A segment has its full length from the start, all zeros."""
    try:
        with file.open("rb") as segment:
            segment.seek(position % SEGMENT_BYTES)
            return any(any(chunk) for chunk in iter(lambda: segment.read(2**16), b""))
    except FileNotFoundError:  # renamed since
        return False


def forks_in(files: Path) -> tuple[Fork, ...]:
    """Of the newest timeline, and of each that does not lead there."""
    forks_of: dict[int, Fork] = {}
    for path in sorted(p for p in files.iterdir() if HISTORY.fullmatch(p.name)):
        with contextlib.suppress(OSError, ValueError):
            listed = forks(int(path.name[:8], 16), path.read_text("utf-8", "replace"))
            forks_of |= {fork.branch: fork for fork in listed}
    return tuple(replace(fork, at=_began(files, fork)) for _, fork in sorted(forks_of.items()))


def _began(files: Path, fork: Fork) -> datetime | None:
    """As its first segment tells, whether it is whole or not."""
    name = segment_name(fork.branch, number(fork.position) // SEGMENT_BYTES)
    mine = [p for p in files.glob(f"{name}*") if p.name.removesuffix(PARTIAL).removesuffix(".open") == name]
    times = [begun(path, fork.position, SEGMENT_BYTES) for path in sorted(mine)]
    return next((when for when in times if when is not None), None)


def flaw_of(file: Path) -> str | None:
    """As `ShippedLog.flaw`."""
    if HISTORY.fullmatch(file.name):
        try:
            forks(int(file.name[:8], 16), file.read_text("utf-8", "replace"))
        except ValueError:
            return f"{file.name} is no timeline's history"
    elif (size := file.stat().st_size) != SEGMENT_BYTES:
        return f"{file.name} has {size} bytes, and a segment {SEGMENT_BYTES}"
    return None
