"""Files in use that a backup leaves for the next one are counted, and what would be lost of them is."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.manifests import SAID
from tests.support.stored import settled_file

from ccdr.engines.files import capture
from ccdr.engines.files.scan import birth, walk
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest, utc
from ccdr.storage.manifest import snapshot_of


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Six files; five are being written to."""
    settled_file(tmp_path / "tree" / "1.wav", b"a voice")
    for number in range(2, 7):
        (tmp_path / "tree" / f"{number}.wav").write_bytes(b"a voi")
    return tmp_path / "tree"


@pytest.fixture
def site(tree: Path) -> Site:
    return Site(tree.parent)


def stored(site: Site, tree: Path, settle: str) -> dict[str, Any]:
    """The snapshot that a backup records."""
    site.plan(f"recordings: {{engine: files, paths: [{tree}], settle: {settle}}}")
    assert site.run("backup", "p").code == 0
    snapshot: dict[str, Any] = site.records("backup.end")[-1]["snapshot"]
    return snapshot


def told(site: Site) -> tuple[dict[str, Any], dict[str, Any]]:
    """As status and the report tell of the asset."""
    return site.run("status").json["plans"][0]["assets"][0], site.run("report").json["assets"][0]


def test_what_was_left_for_the_next_backup_is_missing_since_it_was_made(site: Site, tree: Path) -> None:
    made = min(birth(str(path)) for path in tree.iterdir() if path.name != "1.wav")
    recorded = stored(site, tree, "1h")
    now, report = told(site)
    assert recorded["in_use"] == now["last_good_backup"]["snapshot"]["in_use"] == 5
    assert recorded["missing_s"] == pytest.approx(utc(recorded["consistent_point"]).timestamp() - made, abs=0.01)
    assert recorded["missing_s"] < min(now["rpo"]["achieved_s"], report["rpo_now"]["achieved_s"])


def test_what_a_snapshot_held_and_the_next_one_lacks_is_missing_since_that_one(site: Site, tree: Path) -> None:
    """It is left out whole, however little was written to it."""
    first, second = stored(site, tree, "0s"), stored(site, tree, "1h")
    apart = utc(second["consistent_point"]) - utc(first["consistent_point"])
    assert (first["in_use"], first["missing_s"]) == (0, 0.0)
    assert second["missing_s"] == pytest.approx(apart.total_seconds(), abs=0.01)
    third = stored(site, tree, "1h")
    apart = utc(third["consistent_point"]) - utc(first["consistent_point"])
    assert third["missing_s"] == pytest.approx(apart.total_seconds(), abs=0.01), "nor does the one between hold it"


def test_of_a_file_that_no_snapshot_has_held_all_of_its_years_are_missing(
    monkeypatch: pytest.MonkeyPatch, tree: Path
) -> None:
    (entry, *_) = walk(str(tree), str(tree))
    monkeypatch.setattr(capture, "birth", lambda path: 1000.0)
    assert capture._in_no_snapshot_since(entry, None, 0.0) == 1000.0
    assert capture._in_no_snapshot_since(entry, None, 5000.0) == 1000.0, "the one before was not of this file"
    assert capture._in_no_snapshot_since(entry, entry, 5000.0) == 5000.0, "the one before has it"
    assert capture._in_no_snapshot_since(entry, entry.waiting(2000.0), 5000.0) == 2000.0, "nor had that one"
    assert birth(str(tree / "gone.wav")) >= birth(str(tree / "1.wav")), "nothing of what is gone is missing"


@pytest.mark.parametrize("wrong", ["x", None, True, [], -1.0, 1e30, math.nan])
def test_a_manifest_that_tells_no_length_of_time_is_bad(wrong: object) -> None:
    at = datetime(2026, 11, 24, tzinfo=UTC)
    told = Manifest(
        "p", "a", "r", "files", "scan", "h", at, 0.0, {}, {"source": "/s", "missing_s": wrong}, attested=SAID
    )
    with pytest.raises(BackupBad):
        snapshot_of(told, "", "1" * 64, "/r", at)
