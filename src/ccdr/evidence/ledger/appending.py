"""Bytes onto the end of a segment: all of them, durably, or none; and what a crash has left torn there."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.ledger.places import NOTHING, backwards, broken, line_as_record
from ccdr.host.files import sync_directory
from ccdr.model.values import RecordRef

_ZEROS = re.compile(rb"\0+")
_PAGE = 512  # bytes, which a disk writes at once; what a file system does is a multiple
_ASIDE = re.compile(r"torn-[0-9A-Za-z.-]{1,100}\.bin")


def end_of(segments: list[Path]) -> tuple[RecordRef, tuple[Path, int, bytes] | None]:
    """The last record, and what stands torn behind it: file, offset, bytes.

    A line can be torn and yet end in a newline, where a power cut kept its last page and lost an earlier one.
    """
    torn = None
    for path in reversed(segments):
        for offset, line in backwards(path):
            try:
                return RecordRef(line_as_record(line)["seq"], sha256(line).hexdigest()), torn
            except ValueError as why:
                if torn is not None:
                    raise broken(path, offset, why) from None
                torn = (path, offset, line)
    return NOTHING, torn


def lies_aside(directory: Path, name: str, digest: str) -> bool:
    """Are the bytes there that a record says were set aside in this file?"""
    if not _ASIDE.fullmatch(name):
        return False
    with suppress(OSError):
        return sha256((directory / name).read_bytes()).hexdigest() == digest
    return False


def torn_by_a_crash(offset: int, line: bytes) -> bool:
    """Can a crash have left it, where it begins so far into its segment? A line is written at once, its newline last:
    without that it was cut short. Where a power cut kept its last page and lost an earlier one, there are zeros in that
    one's place, from where the line or the page begins to where the page ends, and none elsewhere."""
    if not line.endswith(b"\n"):
        return True
    lost = [(offset + run.start(), offset + run.end()) for run in _ZEROS.finditer(line)]
    return bool(lost) and all((start == offset or start % _PAGE == 0) and end % _PAGE == 0 for start, end in lost)


def append_durably(path: Path, data: bytes) -> None:
    """Append all of `data` durably, or nothing: a full disk or an interrupt leaves no half line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before, rest = os.fstat(file).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
            if not before:
                sync_directory(path.parent)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(file, before)
                if not before:
                    path.unlink()
            raise
    finally:
        os.close(file)
