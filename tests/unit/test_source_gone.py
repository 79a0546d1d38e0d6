"""A source that is files of this host, and is not there: said apart from a backup that broke."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site

SOURCES = {"files": "{engine: files, paths: [%s]}", "sqlite": "{engine: sqlite, path: %s}"}


@pytest.mark.parametrize("engine", SOURCES)
def test_a_backup_records_that_its_files_are_gone(tmp_path: Path, engine: str) -> None:
    site = Site(tmp_path, bare=True)
    site.plan(f"lost: {SOURCES[engine] % (tmp_path / 'there.db')}")
    done = site.run("backup", "p")
    (end,) = site.records("backup.end")
    assert (done.code, end["source"]) == (1, "away")
