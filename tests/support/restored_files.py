"""Files restored for real: how it is asked for, how it ended, and what is there then."""

from __future__ import annotations

import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from tests.support.harness import Ran, Site


def go(site: Site, to: Path | str, *args: str, name: str | None = None) -> Ran:
    given = ["--yes-i-mean", Path(to).name if name is None else name]
    return site.run("restore", "p", "--asset", "recordings", "--to", str(to), *given, *args)


def listing(root: Path) -> list[tuple[str, int, int, int, float, bytes]]:
    """Everything below: name, mode, owner, time, contents."""
    found = []
    for path in sorted(root.rglob("*")):
        s = path.lstat()
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        time = 0.0 if path.is_symlink() else s.st_mtime
        found.append((str(path.relative_to(root)), s.st_mode, s.st_uid, s.st_gid, time, data))
    return found


def sums(directory: Path) -> dict[str, str]:
    files = (path for path in sorted(directory.rglob("*")) if path.is_file())
    return {str(path.relative_to(directory)): sha256(path.read_bytes()).hexdigest() for path in files}


def beside(site: Site) -> set[str]:
    return {p.name for p in site.root.iterdir()}


def end(site: Site) -> dict[str, object]:
    assert len(site.records("restore.start")) == len(site.records("restore.end"))
    return site.records("restore.end")[-1]


def mounted(path: Path, size: str) -> None:
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path]).returncode:
        pytest.skip("this host does not let us mount")
