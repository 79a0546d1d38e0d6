"""A site whose newest restore test is FAIL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.verified import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    made = World(site)
    made.lived()
    return made
