"""What becomes of data on the disk that a directory lies on: is it encrypted there, or in memory alone?"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ccdr.host.nearby import Mount, mount_here

MEMORY = ("tmpfs", "ramfs")
UNTOLD = (
    "overlay",
    "zfs",
    "btrfs",
    "nfs",
    "nfs4",
    "cifs",
    "fuse",
    "9p",
    "virtiofs",
)  # their encryption is not seen here


class Kept(StrEnum):
    """How data lies there."""

    IN_MEMORY = "memory"
    ENCRYPTED = "encrypted"
    PLAIN = "plain"
    UNKNOWN = "unknown"  # this host cannot see it


@dataclass(frozen=True)
class AtRest:
    """Where a directory lies. `mount` is None where this host does not tell."""

    kept: Kept
    mount: Mount | None


def at_rest(path: Path) -> AtRest:
    """Of what is there of a path."""
    mount = mount_here(path)
    if mount is None:
        return AtRest(Kept.UNKNOWN, None)
    if mount.kind in MEMORY:
        return AtRest(Kept.IN_MEMORY, mount)
    if encrypted(mount.device):
        return AtRest(Kept.ENCRYPTED, mount)
    return AtRest(Kept.UNKNOWN if mount.kind.split(".")[0] in UNTOLD else Kept.PLAIN, mount)


def encrypted(device: str, sys: Path = Path("/sys/dev/block")) -> bool:
    """Is a block device dm-crypt, or does it lie on one (LVM on LUKS)?"""
    try:
        if (sys / device / "dm" / "uuid").read_text("ascii").startswith("CRYPT-"):
            return True
    except OSError:
        pass
    below = sys / device / "slaves"
    try:
        parts = [(entry / "dev").read_text("ascii").strip() for entry in below.iterdir()]
    except OSError:
        return False
    return bool(parts) and all(encrypted(part, sys) for part in parts)
