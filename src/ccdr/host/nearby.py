"""Does a repository lie where its source does? What destroys one then destroys both."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

DISK: Final = "disk"
MACHINE: Final = "machine"
Near = Literal["disk", "machine"]
WORDS: dict[str, str] = {
    DISK: "on the same disk as what it protects: one failure destroys both",
    MACHINE: "on the same machine as what it protects: one failure destroys both",
}
_ELSEWHERE = re.compile(r"nfs4?|cifs|smb3|9p|ceph|afs|glusterfs|lustre|fuse\..+")  # file systems of other machines


@dataclass(frozen=True)
class Mount:
    """The file system that a path lies on. `device` is `major:minor`, `root` what of it is mounted there."""

    point: Path
    kind: str
    source: str
    device: str
    root: Path = Path("/")


def mounts_in(table: Iterable[str]) -> Iterator[Mount]:
    """From the lines of /proc/self/mountinfo: `id parent device root point options … - kind source …`."""
    for line in table:
        left, dash, right = line.partition(" - ")
        fields, kinds = left.split(), right.split()
        if not dash or len(fields) < 5 or len(kinds) < 2:
            continue
        root, point = (Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), field)) for field in fields[3:5])
        yield Mount(point, kinds[0], kinds[1], fields[2], root)


def mounts_here() -> tuple[Mount, ...]:
    """None where this host does not tell."""
    try:
        with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="surrogateescape") as table:
            return tuple(mounts_in(table))
    except OSError:
        return ()


def mount_of(path: Path, mounts: Iterable[Mount]) -> Mount | None:
    """On which of them it lies."""
    nearest = None
    for mount in mounts:
        # A later one is mounted over an earlier one of the same point.
        if path.is_relative_to(mount.point) and (nearest is None or len(mount.point.parts) >= len(nearest.point.parts)):
            nearest = mount
    return nearest


def mount_here(path: Path) -> Mount | None:
    """That of a path, or of what is there of it; None where this host does not tell."""
    return mount_of(path.resolve(), mounts_here())


Places = Sequence[tuple[str, Path]]


def places(path: Path, mounts: Sequence[Mount]) -> Places:
    """Where it really lies: its path without links, and what of a file system that is. What is mounted at two places
    (`mount --bind`) is one."""
    real = Path(os.path.realpath(path))
    mount = mount_of(real, mounts)
    return [("", real), *([(mount.device, mount.root / real.relative_to(mount.point))] if mount is not None else [])]


def overlap(one: Places, other: Places) -> bool:
    """Does one lie in the other, or are they the same?"""
    return any(
        device == device_of_other and (path.is_relative_to(path_of_other) or path_of_other.is_relative_to(path))
        for device, path in one
        for device_of_other, path_of_other in other
    )


def on_this_machine(path: Path) -> bool:
    """Does a path lie on a file system of this machine's own, as far as that is known?"""
    mount = mount_here(path)
    return mount is not None and not _ELSEWHERE.fullmatch(mount.kind)


def near(repository: Path, paths: Sequence[Path], *, on_this_host: bool) -> Near | None:
    """DISK where a source's path lies on a disk of the repository's; MACHINE where the source is a server of this host,
    whose disk is not known; None where it lies elsewhere. A disk that is not to be seen is its file system."""
    mount = mount_here(repository)
    if mount is not None and _ELSEWHERE.fullmatch(mount.kind):
        return None
    its = _disks(repository)
    if any(its & _disks(path) for path in paths):
        return DISK
    return MACHINE if on_this_host and not paths else None


def _disks(path: Path) -> frozenset[str]:
    """The disks beneath a path's file system, or beneath that of what is there of it."""
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        device = path.stat().st_dev
    except OSError:
        return frozenset()
    number = f"{os.major(device)}:{os.minor(device)}"
    return _beneath(Path("/sys/dev/block") / number) or frozenset({number})


def _beneath(entry: Path) -> frozenset[str]:
    """A partition lies on its disk, a mapped device on those that it is made of."""
    if not entry.exists():
        return frozenset()
    device = entry.resolve()
    parts = list((device / "slaves").iterdir()) if (device / "slaves").is_dir() else []
    if parts:
        return frozenset().union(*(_beneath(part) for part in parts))
    return frozenset({device.parent.name if (device / "partition").exists() else device.name})
