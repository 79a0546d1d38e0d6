"""A site whose ledger a key signs, and whose newest restore test is FAIL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.packages import Exporting
from tests.support.verified import World


@pytest.fixture
def exporting(tmp_path: Path) -> Exporting:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    world = World(site)
    world.lived()
    return Exporting(world, tmp_path)
