"""The binary log's files as they lie in a spool, and what a base tells of the one that it goes on from."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from ccdr.engines.mariadb.logfile import head_of
from ccdr.model.values import Manifest, utc
from ccdr.ports.log import Segment

KEPT_BESIDE = ".kept"  # what was received of a file before its receiver was started again
SEGMENT = re.compile(r"(?P<base>.+)\.(?P<number>[0-9]{6,})")


def segments_in(spool: Path) -> list[Segment]:
    """As `ShippedLog.segments`: all but the last are written to no more."""
    there = {p.name.removesuffix(KEPT_BESIDE) for p in spool.iterdir()}
    names = sorted((name for name in there if SEGMENT.fullmatch(name)), key=number_of)
    whole = [Segment(name, name, whole=True) for name in names[:-1]]
    return whole + [Segment(name, _fullest(spool, name), whole=False) for name in names[-1:]]


def _fullest(spool: Path, name: str) -> str:
    """The file that holds the most of a segment: while it is received anew, what is kept of it. Once a later one has
    begun, it is as the source has it; a log that was begun anew is another one."""
    kept = spool / f"{name}{KEPT_BESIDE}"
    anew = head_of(spool / name)
    less = size_of(spool / name) < size_of(kept) and anew in (None, head_of(kept))
    return kept.name if less else name


def size_of(file: Path) -> int:
    """In bytes; 0 where there is none."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def started_at(manifest: Manifest) -> tuple[str, int]:
    """The file, and the position in it, from which on what is logged is not in the snapshot."""
    binlog = manifest.contents["binlog"]
    assert isinstance(binlog, dict)
    return str(binlog["file"]), int(binlog["position"])


def began(manifest: Manifest) -> str | None:
    """The head of that file; None in a base of the days before it was kept, or where it could not be read."""
    binlog = manifest.contents["binlog"]
    assert isinstance(binlog, dict)
    return binlog.get("head")


def gtids_of(manifest: Manifest) -> tuple[str, ...]:
    """The newest transaction of each domain that is in the snapshot."""
    binlog = manifest.contents["binlog"]
    assert isinstance(binlog, dict)
    return tuple(filter(None, str(binlog.get("gtid", "")).split(",")))


def until(manifest: Manifest) -> datetime:
    """From when on nothing more is in the snapshot; it agrees with a position that came after its consistent point."""
    binlog = manifest.contents["binlog"]
    assert isinstance(binlog, dict)
    return utc(str(binlog["until"])) if "until" in binlog else manifest.consistent_point


def base_of(name: str) -> str | None:
    match = SEGMENT.fullmatch(name)
    return match["base"] if match else None


def number_of(name: str) -> int:
    match = SEGMENT.fullmatch(name)
    return int(match["number"]) if match else -1
