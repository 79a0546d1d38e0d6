"""What tests write lies in memory, where the host has room for it.

A copy of a server is a thousand files, and so is a repository after a few backups: a busy disk takes a millisecond or
two to make each, and little of what the tests prove is about the disk. What is takes a `disk` of its own.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 6 << 30  # bytes; four workers leave less than half of that


def room() -> str | None:
    """Where files lie in memory; None where there is not enough of it, or no program may be run from there."""
    try:
        free, flags = shutil.disk_usage(MEMORY).free, os.statvfs(MEMORY).f_flag
    except OSError:
        return None
    fit = free >= ROOM and not flags & os.ST_NOEXEC and os.access(MEMORY, os.W_OK)
    return str(MEMORY) if fit else None
