"""A site and what is known of it, for each test of `status`."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.standing import World


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.recordings(tmp_path / "spool", extra="")
    return made


@pytest.fixture
def world(site: Site) -> World:
    return World(site)
