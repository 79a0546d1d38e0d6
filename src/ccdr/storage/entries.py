"""An entry of the catalogue: a snapshot that counts, with its manifest, read at once."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from operator import attrgetter
from pathlib import Path

import msgspec

from ccdr.host.state_files import StateFile, plain
from ccdr.model.values import (
    Snapshot,
)

SUFFIX = ".json"  # of an entry
FORMAT = 3  # of an entry
_BEGIN, _THEN = b'{"format": %d, "snapshot": ' % FORMAT, b', "manifest": "'
HEAD = 8192  # bytes; an entry's snapshot is nearly always shorter
NO_ENTRY = (OSError, ValueError, KeyError, TypeError, RecursionError)  # what reading one that is none may raise


class Entry(StateFile, frozen=True, tag_field="format", tag=FORMAT):
    """A whole one: the snapshot, and its manifest's text."""

    snapshot: Snapshot
    manifest: str


def entry_text(snapshot: Snapshot, text: str) -> str:
    """The entry of a snapshot with this manifest."""
    return json.dumps(plain(Entry(snapshot, text))) + "\n"


def entry_files(directory: str) -> Iterator[os.DirEntry[str]]:
    """By their names: they need not be whole."""
    with contextlib.suppress(OSError), os.scandir(directory) as there:
        for entry in there:
            if entry.name.endswith(SUFFIX):
                yield entry


def read_head(path: str | Path) -> Snapshot:
    """The entry's snapshot, without reading its manifest, which may be a hundred times longer; one of `NO_ENTRY` where
    it is not whole. `status` reads thousands: with `Path.open` and `json` it took three times as long."""
    file = os.open(path, os.O_RDONLY)
    try:
        start = os.read(file, HEAD)
        end = start if len(start) < HEAD else os.pread(file, 2, os.fstat(file).st_size - 2)
    finally:
        os.close(file)
    if not start.startswith(_BEGIN) or not end.rstrip().endswith(b"}"):
        raise ValueError("not a whole entry")
    try:
        snapshot = _DECODE(start[len(_BEGIN) : start.find(_THEN)])
    except ValueError:  # a source with many long paths, or with one that is not UTF-8
        snapshot = msgspec.convert(json.loads(Path(path).read_text("utf-8"))["snapshot"], Snapshot)
    point, usable = snapshot.consistent_point, snapshot.usable_at
    there = snapshot.arrived or usable
    if point.tzinfo is UTC and usable.tzinfo is UTC and there.tzinfo is UTC:  # as we write them
        return snapshot
    if point.tzinfo is None or usable.tzinfo is None or there.tzinfo is None:
        raise ValueError("a time without a zone")
    at_home = replace(snapshot, consistent_point=point.astimezone(UTC), usable_at=usable.astimezone(UTC))
    return at_home if snapshot.arrived is None else replace(at_home, arrived=there.astimezone(UTC))


BY_TIME = attrgetter("consistent_point", "usable_at", "id")
_DECODE = msgspec.json.Decoder(Snapshot).decode
