"""For modules whose tests copy whole servers: what they write lies in memory, where the host has room for it.

Such a copy is a thousand files, which every backup writes and every test fetches, puts together and removes: a busy
disk takes a millisecond or two for each, and nothing of what these tests prove is about the disk.
"""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")
ROOM = 4 << 30  # bytes; a module leaves about one


def room() -> str | None:
    """Where files lie in memory; None where there is not enough of it."""
    if not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    return str(MEMORY)


@contextmanager
def in_memory(factory: pytest.TempPathFactory) -> Iterator[pytest.TempPathFactory]:
    """The same, but for where its directories are."""
    with tempfile.TemporaryDirectory(prefix="ccdr-tests-", dir=room(), ignore_cleanup_errors=True) as own:
        Path(own).chmod(0o755)  # servers run as users of their own
        made = copy.copy(factory)
        made._basetemp = Path(own) / "tests"
        made._basetemp.mkdir()
        yield made
