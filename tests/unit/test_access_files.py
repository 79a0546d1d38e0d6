"""`ccdr access review`: who may read the files that are backed up, where they lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site

from ccdr.jobs.access import reviews as files
from ccdr.jobs.access.reviews import files_of

PLAN = "rec: {{engine: files, paths: [{root}/recordings]}}\ncdr: {{engine: sqlite, path: {root}/cdr.sqlite3}}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Its recordings lie where every account comes to, unlike a test's own directory."""
    made = Site(tmp_path, bare=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as root:
        Path(root).chmod(0o755)
        (tree := Path(root, "recordings/2026")).mkdir(parents=True)
        for n in range(3):
            (tree / f"{n}.wav").write_bytes(b"RIFF")
            (tree / f"{n}.wav").chmod(0o644 if n else 0o600)
        (tree / "all.wav").symlink_to("0.wav")
        Path(root, "cdr.sqlite3").touch(0o640)
        made.plan(PLAN.format(root=root))
        yield made


def told(site: Site) -> tuple[dict[str, dict[str, Any]], list[str]]:
    lacking = list[str]()
    site.state.mkdir(exist_ok=True)
    found = files_of(site.loaded(), site.services().state.root, lambda what, _: lacking.append(what))
    return {one.what: one for one in found if one.what.startswith("source: ")}, lacking


def test_the_files_that_are_backed_up_are_told_with_their_modes(site: Site) -> None:
    found, lacking = told(site)
    assert found["source: cdr"].others_may == ["read"] and found["source: cdr"].mode == "0640"
    assert found["source: rec"].path.endswith("/recordings")
    open_ = "source: rec, 2 files that every account may read, below"
    assert found[open_].path == found["source: rec"].path and not lacking, "names may be numbers of callers"


def test_behind_a_directory_that_is_closed_nobody_reads_them(site: Site) -> None:
    tree = Path(told(site)[0]["source: rec"].path)
    (tree / "2026").chmod(0o700)
    assert set(told(site)[0]) == {"source: rec", "source: cdr"}
    (tree / "2026").chmod(0o755)
    tree.parent.chmod(0o750)
    assert set(told(site)[0]) == {"source: rec", "source: cdr"}


def test_a_source_that_is_not_there_or_too_large_is_said_to_be_lacking(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MOST_FILES", 1)
    found, lacking = told(site)
    assert len(lacking) == 1 and lacking[0].startswith("files of rec beyond the first")
    tree = Path(found["source: rec"].path)
    tree.rename(tree.with_name("away"))
    assert told(site)[1] == [f"source: rec ({tree})"]
