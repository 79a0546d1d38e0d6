"""What a file of the binary log tells of itself: when it was begun, and which transactions it holds."""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from ccdr.model.errors import LogStops

MAGIC, DESCRIPTION = b"\xfebin", 15  # what a file begins with, and the kind of its first event
_BEGIN = struct.Struct("<4sIBI")  # the first word, the first event's second, its kind, its server
_EVENT = struct.Struct("<4xBII6x")  # an event begins with its kind, its server, its length
TRANSACTION = 162  # the kind of the event that a transaction begins with
_LIST = 163  # the kind of the event that lists what came before
_COUNT, _COUNTED = struct.Struct("<I"), 2**28 - 1  # how many it lists, and flags above them
_ENTRY = struct.Struct("<IIQ")  # a domain, a server, and its last number there
_HEAD = 2**16  # bytes in which that list stands, behind the first event
_STATEMENT, _UNREADABLE = 2, (164, 165)  # a statement's kind; of what is encrypted, and of a compressed one
_DIRECTORY = re.compile(rb"""(?i:\b(?:data|index)\s+directory)\s*=?\s*(['"])(.*?)\1""", re.DOTALL)
_WORD = re.compile(rb"(?i)directory")
_GTID = struct.Struct("<QI")  # ... whose own begins with its number and its domain


def head_of(file: Path) -> str | None:
    """When it was begun, by the source's clock, and by which server: as its first event tells, to the second."""
    try:
        with file.open("rb") as log:
            start = log.read(_BEGIN.size)
    except FileNotFoundError:
        return None
    if len(start) < _BEGIN.size:
        return None
    magic, when, kind, server = _BEGIN.unpack(start)
    if magic != MAGIC or kind != DESCRIPTION:
        return None
    return head(datetime.fromtimestamp(when, UTC), server)


def head(when: datetime, server: int) -> str:
    return f"{when:%Y%m%dT%H%M%SZ}-{server}"


def begun(head: str) -> datetime:
    """When the file was begun that has this head."""
    return datetime.strptime(head.partition("-")[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def same_server(head: str, other: str) -> bool:
    return head.partition("-")[2] == other.partition("-")[2]


def transactions(file: Path) -> Iterator[str]:
    """The GTIDs of a file, in order."""
    for held, at, kind, server, _ in _events(file):
        if kind == TRANSACTION:
            sequence, domain = _GTID.unpack_from(held, at + _EVENT.size)
            yield f"{domain}-{server}-{sequence}"


def directories_in(file: Path, start: int) -> Iterator[str]:
    """The paths that statements from there on give as DATA DIRECTORY or INDEX DIRECTORY. LogStops where one may give
    others."""
    for held, at, kind, _, size in _events(file):
        if at < start or kind not in (_STATEMENT, *_UNREADABLE):
            continue
        text = held[at : at + size]
        paths = [path for _, path in _DIRECTORY.findall(text)]
        if kind != _STATEMENT or len(paths) != len(_WORD.findall(text)):
            raise LogStops("a statement in the log does not tell at which paths it makes files")
        yield from map(os.fsdecode, paths)


def _events(file: Path) -> Iterator[tuple[mmap.mmap, int, int, int, int]]:
    """The file, and where in it each begins, its kind, its server and its length."""
    if not file.stat().st_size:
        return
    with file.open("rb") as log, mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = len(MAGIC)
        while at + _EVENT.size + _GTID.size <= len(held):
            kind, server, size = _EVENT.unpack_from(held, at)
            if size < _EVENT.size:
                return  # it has not come yet
            yield held, at, kind, server, size
            at += size


def state_before(file: Path) -> dict[str, str]:
    """The last transaction before a file by each domain and server, as its own list at its beginning has it; nothing
    where there is no such list."""
    with file.open("rb") as log:
        begin = log.read(_HEAD)
    at = len(MAGIC)
    while at + _EVENT.size + _COUNT.size <= len(begin):
        kind, _, size = _EVENT.unpack_from(begin, at)
        if kind == _LIST:
            (count,) = _COUNT.unpack_from(begin, at + _EVENT.size)
            first = at + _EVENT.size + _COUNT.size
            places = range(first, first + (count & _COUNTED) * _ENTRY.size, _ENTRY.size)
            entries = [_ENTRY.unpack_from(begin, place) for place in places if place + _ENTRY.size <= len(begin)]
            return {f"{domain}-{server}": f"{domain}-{server}-{sequence}" for domain, server, sequence in entries}
        if size < _EVENT.size:
            break
        at += size
    return {}


def breaks_off(file: Path, behind: Path) -> str | None:
    """The transaction that a file lacks at its end, by what the one behind it says of what came before."""
    state = state_before(file)
    for gtid in transactions(file):
        state[gtid.rpartition("-")[0]] = gtid
    return next((gtid for whose, gtid in state_before(behind).items() if state.get(whose) != gtid), None)


def cut_short(file: Path) -> str | None:
    """What is wrong with a file that is written to no more: its events must fill it to its end. None where they do."""
    size = file.stat().st_size
    if size < len(MAGIC):
        return f"{file.name} has {size} bytes"
    with file.open("rb") as log, mmap.mmap(log.fileno(), 0, access=mmap.ACCESS_READ) as held:
        at = len(MAGIC)
        while at + _EVENT.size <= size:
            length = _EVENT.unpack_from(held, at)[2]
            if length < _EVENT.size or at + length > size:
                break
            at += length
    return None if at == size else f"{file.name} ends at {size}, within an event that begins at {at}"
