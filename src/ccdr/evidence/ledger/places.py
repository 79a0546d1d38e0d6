"""Where lines of a ledger stand in its segments: read forwards, backwards, by number, without what else is there."""

from __future__ import annotations

import errno
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.evidence.records import (
    envelope,
    strictly,
)
from ccdr.model.errors import CcdrError, LedgerBroken
from ccdr.model.values import RecordRef

_BLOCK = 64 * 1024  # how much of a segment's end is read at a time
READ_AHEAD = 256 * 1024  # bytes: line by line in the usual 8 KiB takes twice as long
NOTHING = RecordRef(0, "0" * 64)  # what the first record follows
SEGMENT = re.compile(r"[0-9]{12}\.jsonl")
_SEQ = re.compile(rb'\{"seq":([0-9]{1,18}),')  # how a line begins
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Extent = dict[str, int]  # how far a ledger is read: segments by name, in order, and their bytes


@dataclass(frozen=True)
class Mark:
    """A place in the ledger: behind the record `seq`, whose line stands from `start` to `end` in `segment`."""

    segment: str
    start: int
    end: int
    seq: int
    hash: str


BEGINNING = Mark("", 0, 0, 0, NOTHING.hash)


def extent_of(directory: Path) -> Extent:
    """The segments as they are now, in order, and their sizes in bytes. CcdrError where they cannot be read."""
    with telling("read", directory):
        return {path.name: path.stat().st_size for path in segments_in(directory)}


def lines(directory: Path, extent: Extent, since: Mark = BEGINNING) -> Iterator[bytes]:
    """Every line behind a mark, as far as the extent goes: unread, for who has another process verify them. What is
    torn is left out, and what was written meanwhile."""
    for name, size in extent.items():
        if name < since.segment:
            continue
        begin = since.end if name == since.segment else 0
        left = size - begin
        with (directory / name).open("rb", READ_AHEAD) as segment:
            segment.seek(begin)
            for line in segment:
                if left <= 0 or not line.endswith(b"\n"):
                    break
                left -= len(line)
                yield line


def line_as_record(line: bytes) -> dict[str, Any]:
    """A whole line as a mapping with its envelope; ValueError says what is wrong, without quoting data."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off: it does not end in a newline")
    record: dict[str, Any] = strictly(line)
    envelope(record)
    return record


class Numbered:
    """Lines by their number, in segments that are mapped once each."""

    def __init__(self, segments: list[Path]) -> None:
        self._segments, self._held = segments, dict[Path, mmap.mmap | bytes]()

    def find(self, seq: int) -> bytes | None:
        """ValueError where a line that is looked at is no record; the last one may be torn."""
        path = next((p for p in reversed(self._segments) if int(p.stem) <= seq), None)
        if path is None:
            return None
        held = self._mapped(path)
        low, high = 0, len(held)
        while low < high:  # its line begins in between
            start = held.rfind(b"\n", 0, (low + high) // 2) + 1
            end = held.find(b"\n", start) + 1 or len(held)
            line = held[start:end]
            try:
                number = _seq_of(line)
            except ValueError:
                if end < len(held):
                    raise
                high = start  # a crash's: what is before it is there as it was
                continue
            if number == seq:
                return line
            low, high = (low, start) if number > seq else (end, high)
        return None

    def _mapped(self, path: Path) -> mmap.mmap | bytes:
        if path not in self._held:
            self._held[path] = mapped(path)
        return self._held[path]


def mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as segment:
        size = os.fstat(segment.fileno()).st_size
        return mmap.mmap(segment.fileno(), size, access=mmap.ACCESS_READ) if size else b""


def _seq_of(line: bytes) -> int:
    match = _SEQ.match(line)
    return int(match[1]) if match and line.endswith(b"\n") else int(line_as_record(line)["seq"])


def files_in(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def segments_in(directory: Path) -> list[Path]:
    return [path for path in files_in(directory) if SEGMENT.fullmatch(path.name)]


def forwards(path: Path, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines and where they begin; ends after one without a newline, whatever is written meanwhile."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            yield offset, line
            if not line.endswith(b"\n"):
                return
            offset += len(line)


def holding(path: Path, words: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Of these lines the few that hold `words`, ten times as fast: the whole segment is searched at once."""
    with path.open("rb") as file:
        file.seek(offset)
        held = file.read()
    at = held.find(words)
    while at >= 0:
        start, end = line_around(held, at)
        yield offset + start, held[start:end]
        at = held.find(words, end)


def line_around(held: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    return held.rfind(b"\n", 0, at) + 1, held.find(b"\n", at) + 1 or len(held)


def backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """The same from the end, reading no more than is asked for."""
    held = b""
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        while start:
            end, start = start, max(0, start - _BLOCK)
            file.seek(start)
            held = file.read(end - start) + held
            stop = len(held)
            while (newline := held.rfind(b"\n", 0, stop - 1)) >= 0:
                yield start + newline + 1, held[newline + 1 : stop]
                stop = newline + 1
            held = held[:stop]
        if held:
            yield 0, held


def broken(path: Path, offset: int, why: ValueError) -> LedgerBroken:
    number = path.read_bytes()[:offset].count(b"\n") + 1
    hint = "`ccdr ledger verify` lists all damage; keep the directory as evidence, move it away to begin anew"
    return LedgerBroken(f"{path}:{number}: {why}", hint=hint)


@contextmanager
def telling(done: str, directory: Path) -> Iterator[None]:
    """An operating system's refusal, as an error that a person can act on."""
    try:
        yield
    except OSError as error:
        hint = "see its owner and mode with `ls -ld`; run as its owner, or name another place with --state"
        if error.errno in _FULL:
            hint = "make room there and run again; nothing of this record was kept"
        why = error.strerror or str(error)
        raise CcdrError(f"the ledger {directory} could not be {done}: {why}", hint=hint) from error
