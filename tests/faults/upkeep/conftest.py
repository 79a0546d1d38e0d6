"""Four backups, made once a session; each test gets them as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.stored import again, other_host, pristine, retained
from tests.support.upkeep import KEEP_ONE, known


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Four backups, the second and the last of them tested good; retention keeps one."""
    return retained(tmp_path_factory.mktemp("upkeep"), 4, 60_000, KEEP_ONE, passed={1, 3})


@pytest.fixture(scope="session")
def made_and_kept(made: Site) -> Path:
    return pristine(made)


@pytest.fixture
def site(made: Site, made_and_kept: Path) -> Site:
    return again(made, made_and_kept)


@pytest.fixture
def elsewhere(site: Site, tmp_path: Path) -> Site:
    """Another host, which knows all four snapshots."""
    other = other_host(site, tmp_path / "elsewhere")
    assert other.run("test", "p").code == 0 and len(known(other)) == 4
    return other
