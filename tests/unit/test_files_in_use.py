"""Files in use that a backup leaves for the next one are counted, and what would be lost of them is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.stored import settled_file

AGO = 600.0  # seconds: within the settle time below


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six files; five are being written to."""
    settled_file(tmp_path / "tree" / "1.wav", b"a voice")
    for number in range(2, 7):
        (tmp_path / "tree" / f"{number}.wav").write_bytes(b"a voi")
        os.utime(tmp_path / "tree" / f"{number}.wav", (time.time() - AGO,) * 2)
    return tmp_path / "tree"


def told(tree: Path, settle: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The snapshot as it was recorded, and as status and the report tell of its asset."""
    site = Site(tree.parent)
    site.plan(f"recordings: {{engine: files, paths: [{tree}], settle: {settle}}}")
    assert site.run("backup", "p").code == 0
    (end,) = site.records("backup.end")
    return end["snapshot"], site.run("status").json["plans"][0]["assets"][0], site.run("report").json["assets"][0]


def test_what_was_left_for_the_next_backup_would_be_lost(tree: Path) -> None:
    recorded, now, report = told(tree, "1h")
    assert recorded["in_use"] == now["last_good_backup"]["snapshot"]["in_use"] == 5
    assert AGO <= recorded["missing_s"] < now["rpo"]["achieved_s"]
    assert min(report["exposure_completed"]["worst_s"], report["rpo_now"]["achieved_s"]) > AGO


def test_where_nothing_is_left_out_nothing_is_missing(tree: Path) -> None:
    recorded, now, _ = told(tree, "0s")
    assert (recorded["in_use"], recorded["missing_s"]) == (0, 0.0)
    assert now["last_good_backup"]["snapshot"]["in_use"] == 0
