"""A small centre: recordings and call records, backed up once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import SQLITE_SMALL, Site, ask_sqlite
from tests.support.sites import copy_of
from tests.support.stored import settled_file

TWO = """
recordings:
  engine: files
  paths: [{root}/tree]
  settle: 1s
  backup: {{schedule: "15 * * * *"}}
  restore_test: {{schedule: "0 3 * * 0", checks: [recordings]}}
cdr:
  engine: sqlite
  path: {root}/cdr.db
  backup: {{schedule: "*/30 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [cdr]}}
"""
CDR = "restore_test: cdr\nchecks:\n  - {kind: rows, table: call, at_least: 3000}\n"


@pytest.fixture(scope="session")
def stored_centre(tmp_path_factory: pytest.TempPathFactory) -> Site:
    root = tmp_path_factory.mktemp("centre")
    site = Site(root)
    for number in range(20):
        settled_file(root / "tree" / f"{number:03}.wav", bytes([number]) * 3000, 1_700_000_000 + number)
    ask_sqlite(root / "cdr.db", SQLITE_SMALL)
    site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
    site.write("restore_tests/cdr.yaml", CDR)
    site.plan(TWO.format(root=root))
    site.backed_up()
    return site


@pytest.fixture
def centre(stored_centre: Site, tmp_path: Path) -> Site:
    site = copy_of(stored_centre, tmp_path / "site")
    (site.root / "back").mkdir()
    return site


@pytest.fixture
def lost(stored_centre: Site) -> Path:
    """Where the centre's data was, and still is: a recovery must leave it as it is."""
    return stored_centre.root
