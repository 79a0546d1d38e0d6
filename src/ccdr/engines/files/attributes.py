"""Extended attributes: which there are, which of them a restore must bring back, and where they could not be kept."""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

ACCESS, DEFAULT, CAPABILITY = "system.posix_acl_access", "system.posix_acl_default", "security.capability"
# All others (security.selinux, security.ima …) are set by the system that the files come to, by its own rules.
KEPT = (ACCESS, DEFAULT, CAPABILITY)
KEPT_SPACES = ("user.", "trusted.")
NONE_HERE = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)
# The kernel's own formats. An ACL that says more than a mode: a user by number, and so a mask. No capability at all.
_NO_ID = 0xFFFFFFFF
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, _NO_ID), (2, 4, 1), (4, 4, _NO_ID), (16, 4, _NO_ID), (32, 0, _NO_ID))
)
_SAMPLES = {ACCESS: _ACL, DEFAULT: _ACL, CAPABILITY: struct.pack("<IIIII", 0x02000000, 0, 0, 0, 0)}


class Keeps(Enum):
    """Whether an attribute can be kept in a directory."""

    YES = "yes"
    FORBIDDEN = "this user may not set it"
    UNSUPPORTED = "its file system does not hold it"


def attributes_of(path: str) -> Mapping[str, str] | None:
    """The SHA-256 of each one's value, by name; None without any. Not through a link; OSError where it is gone."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in NONE_HERE:
            return None
        raise
    return dict(_digested(path, names)) or None if names else None


def _digested(path: str, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(names):
        try:
            yield name, hashlib.sha256(os.getxattr(path, name, follow_symlinks=False)).hexdigest()
        except OSError as error:
            if error.errno not in NONE_HERE:
                raise


def compared(name: str) -> bool:
    """Must a restore bring this one back as it was?"""
    return name in KEPT or name.startswith(KEPT_SPACES)


def kind(name: str) -> str:
    """What of an attribute's name a record may hold: users choose the rest."""
    space = name.partition(".")[0]
    return f"{space}.*" if f"{space}." in KEPT_SPACES else name


def keeps(directory: Path, name: str) -> Keeps:
    """Try it, on something of our own there that is removed at once. OSError where nothing can be made."""
    with tempfile.TemporaryDirectory(prefix="attributes-", dir=directory) as tried:
        on = Path(tried, "file")
        on.touch()
        try:
            os.setxattr(tried if name == DEFAULT else on, name, _SAMPLES.get(name, b"1"))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                return Keeps.FORBIDDEN
            if error.errno == errno.ENOTSUP:
                return Keeps.UNSUPPORTED
            raise
        return Keeps.YES
