"""The log's segments: what they are called, how they lie in a spool, and what their pages tell."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ccdr.engines.postgres.position import number
from ccdr.engines.postgres.timelines import begun, forks
from ccdr.model.forks import Fork
from ccdr.ports.log import Segment

PARTIAL = ".partial"
SEGMENT_BYTES = 16 * 2**20  # unless initdb was told otherwise
SEGMENT = re.compile(r"(?P<timeline>[0-9A-F]{8})(?P<log>[0-9A-F]{8})(?P<segment>[0-9A-F]{8})")
_LONG = struct.Struct(
    "=24xQII"
)  # a segment's first page begins with: the cluster's identifier, bytes of segment, of page
_PAGE = struct.Struct("=8xQ")  # every page begins with its own place in the log
_FIRST = struct.Struct("=16xI")  # ... and with how many bytes it holds of a record that began before it
_RECORD = struct.Struct("=I4xQ8x")  # a record begins with its length and where the one before it began
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
    ends = record + _RECORD.size
    if ends <= len(page) and _RECORD.unpack_from(page, record)[0]:
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
