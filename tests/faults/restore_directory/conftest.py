"""A disk for restored files."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.restored_files import mounted


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    path = tmp_path / "disk"
    mounted(path, "24m")
    yield path
    subprocess.run(["umount", path], check=True)
