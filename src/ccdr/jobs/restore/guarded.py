"""Where a restore must not go: a directory that is, holds or lies in a source or a repository, however it is named."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.model.errors import UsageProblem

MOUNTS = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Guarded:
    """A path that a restore must stay away from, and what it is."""

    path: Path
    what: str


@dataclass(frozen=True)
class MountPoint:
    point: str
    device: str  # major:minor
    root: str  # what of the file system is mounted there


def mounts(table: Path = MOUNTS) -> list[MountPoint]:
    """The kernel's table; empty where it cannot be read."""
    mounted = []
    with contextlib.suppress(OSError):
        for line in table.read_text("utf-8", "surrogateescape").splitlines():
            fields = line.split(" ")
            mounted.append(MountPoint(_plain(fields[4]), fields[2], _plain(fields[3])))
    return mounted


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def refuse_sources(target: Path, guarded: Sequence[Guarded]) -> None:
    """UsageProblem where the target is, holds or lies in a guarded path: by name, through links, by device and
    inode, or through a bind mount of any part of it."""
    table = mounts()
    for one in guarded:
        if how := _overlap(target, one.path, table):
            raise UsageProblem(
                f"{target} {how} {one.path}, {one.what}",
                hint="name a directory elsewhere; look at what was restored, then move it yourself",
            )


def _overlap(target: Path, path: Path, table: Sequence[MountPoint]) -> str | None:
    for mine in _positions(target, table):
        for theirs in _positions(path, table):
            if mine == theirs:
                return "is"
            if mine[: len(theirs)] == theirs:
                return "lies in"
            if theirs[: len(mine)] == mine:
                return "holds"
    if inode_of(path) in {inode_of(p) for p in (target, *target.parents)} - {None}:
        return "lies in"
    if inode_of(target) in {inode_of(p) for p in (path, *path.parents)} - {None}:
        return "holds"
    return None


def _positions(path: Path, table: Sequence[MountPoint]) -> set[tuple[str, ...]]:
    """All the places that a path is: as written, as resolved, and on its file system, whatever that is mounted as."""
    real = Path(os.path.realpath(path))
    positions = {("", *Path(os.path.normpath(path.absolute())).parts), ("", *real.parts)}
    on = [m for m in table if real == Path(m.point) or Path(m.point) in real.parents]
    if on:
        mount = max(enumerate(on), key=lambda pair: (len(Path(pair[1].point).parts), pair[0]))[1]
        inside = Path(mount.root) / real.relative_to(mount.point)
        positions.add((mount.device, *inside.parts))
    return positions


def inode_of(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
