"""Is a database file somewhere without its directory? SQLite's log lies beside the name that an application opens: of a
file that is mounted by itself (`-v /srv/cdr.db:/data/cdr.db`) it lies in another directory, and whoever reads the file
misses what the log holds. And is it in the layer of a container? Whoever has it open there has it through an overlay,
and neither sees the locks of the other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class MountLine:
    """A line of /proc/PID/mountinfo: `root` is what of the file system `device` is seen at `point`; `upper` is the
    directory in which an overlay keeps what is written to it."""

    device: str
    root: PurePosixPath
    point: PurePosixPath
    writable: bool
    upper: PurePosixPath | None = None


_UPPER = re.compile(r" - overlay .*\bupperdir=([^,]+)")


def read(text: str) -> list[MountLine]:
    mounts = []
    for line in text.splitlines():
        _, _, device, root, point, options, *_ = line.split(" ")
        upper = _UPPER.search(line)
        writable = "rw" in options.split(",")
        mounts.append(MountLine(device, _path(root), _path(point), writable, _path(upper[1]) if upper else None))
    return mounts


def torn(path: Path, own: list[MountLine], others: Iterable[list[MountLine]]) -> str | None:
    """Where the file is without its directory, in a few words. `path` has no links in it; `own` is what this process
    sees, `others` what those in other mount namespaces do, each in the order of mountinfo. Pure."""
    device, place = _really(PurePosixPath(path), own)
    if _really(PurePosixPath(path).parent, own) != (device, place.parent):
        return "here"
    for mounts in others:
        for mount in mounts:
            alone = mount.writable and (mount.device, mount.root) == (device, place)
            if alone and _really(mount.point.parent, mounts) != (device, place.parent):
                return f"in a container, as {mount.point}"
    return None


def torn_at(path: Path) -> str | None:
    """As `torn`, by what this user may see of other processes: as root, all."""
    own = Path("/proc/self/ns/mnt").readlink()
    return torn(Path(os.path.realpath(path)), read(Path("/proc/self/mountinfo").read_text("utf-8")), _others(own))


def over(path: Path, mounts: Iterable[MountLine]) -> PurePosixPath | None:
    """Where the overlay is mounted whose layer `path` (without links) lies in; None where there is none. Pure."""
    place = PurePosixPath(path)
    return next((m.point for m in mounts if m.upper is not None and place.is_relative_to(m.upper)), None)


def layer(path: Path) -> PurePosixPath | None:
    """As `over`, by what this user may see of other processes."""
    own = Path("/proc/self/ns/mnt").readlink()
    seen = (read(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")), *_others(own))
    return next((point for mounts in seen if (point := over(Path(os.path.realpath(path)), mounts))), None)


def _others(own: Path) -> Iterator[list[MountLine]]:
    seen = {own}
    for process in Path("/proc").iterdir():
        with suppress(OSError):  # it has ended, or is not ours to look at
            if process.name.isdigit() and (space := (process / "ns/mnt").readlink()) not in seen:
                seen.add(space)
                yield read((process / "mountinfo").read_text("utf-8", "surrogateescape"))


def _really(path: PurePosixPath, mounts: list[MountLine]) -> tuple[str, PurePosixPath]:
    """The file system that a path leads to, and where in it."""
    over = [mount for mount in mounts if path.is_relative_to(mount.point)]
    mount = max(enumerate(over), key=lambda pair: (len(pair[1].point.parts), pair[0]))[1]
    return mount.device, mount.root / path.relative_to(mount.point)


def _path(text: str) -> PurePosixPath:
    return PurePosixPath(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), text))
