"""One Redis server with an append-only file, backed up once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.redis_source import image_of, queues, redis_server, small
from tests.support.sites import copy_of


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("stored"))
    with redis_server("redis", "--appendonly", "yes") as source:
        small(source)
        queues(site, source, extra=f"image: {image_of('redis')}")
        site.backed_up()
    return site


@pytest.fixture
def captured_site(stored: Site, tmp_path: Path) -> Site:
    return copy_of(stored, tmp_path / "site")
