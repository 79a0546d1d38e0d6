"""A source of its own for each test, and a site that ships its log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import _image
from tests.support.harness import Site
from tests.support.primary import Primary, primary
from tests.support.shipping import SMALL, plan


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Primary]:
    with primary(tmp_path / "source", _image(), "max_slot_wal_keep_size=1GB") as made:
        made.psql(SMALL)
        yield made


@pytest.fixture
def shipped(site: Site, source: Primary) -> Site:
    """Backed up once: its log leads on from there."""
    plan(site, source)
    site.backed_up()
    return site
