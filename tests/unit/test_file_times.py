"""Whether anybody has written to a tree since: by the times of its files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ccdr.host.file_times import Times


def tree(root: Path) -> Path:
    for name in ("a", "below/b", "below/c"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"as it was")
    time.sleep(0.02)  # a clock's tick
    return root


def quietly(path: Path) -> None:
    """Damage of the same size, under the same time of its last change."""
    status = path.stat()
    path.write_bytes(b"as it waS")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("harm", "changed"),
    [
        (lambda root: None, []),
        (lambda root: (root / "a").read_bytes(), []),
        (lambda root: quietly(root / "below/b"), ["below/b"]),
        (lambda root: (root / "below/c").chmod(0o600), ["below/c"]),
        (lambda root: (root / "below/new").write_bytes(b"x"), ["below/new"]),
    ],
    ids=["nothing", "read", "damaged", "mode", "new"],
)
def test_whoever_wrote_is_seen(tmp_path: Path, harm: Callable[[Path], object], changed: list[str]) -> None:
    before = Times.of(tree(tmp_path), moved=False)
    harm(tmp_path)
    assert Times.read(before.as_facts()) == before
    assert before.changed(tmp_path, moved=False) == changed


def test_where_a_clock_was_set_back_all_are_suspected(tmp_path: Path) -> None:
    before = Times.of(tree(tmp_path), moved=False)
    ahead = Times(before.digest, before.newest + 3600 * 10**9)  # by the clock as it was
    assert ahead.changed(tmp_path, moved=False) == [], "the twin: nobody wrote"
    quietly(tmp_path / "below/b")
    assert ahead.changed(tmp_path, moved=False) == ["a", "below/b", "below/c"]


def test_what_was_moved_to_its_name_one_by_one_is_suspected_alone(tmp_path: Path) -> None:
    before = Times.of(tree(tmp_path), moved=True)
    (tmp_path / "a").rename(tmp_path / "z")
    (tmp_path / "z").rename(tmp_path / "a")
    assert before.changed(tmp_path, moved=True) == ["a"]
