"""Two days of backups, made once for modules that follow each other; each test gets them as they were."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.stored import again, pristine, two_days

_YOUNG = 180.0  # seconds: no test takes them for older than they were made


@pytest.fixture(scope="session")
def lately_made() -> list[tuple[float, Site, Path]]:
    return []


@pytest.fixture(scope="module")
def good(lately_made: list[tuple[float, Site, Path]], tmp_path_factory: pytest.TempPathFactory) -> Site:
    if not lately_made or time.monotonic() - lately_made[-1][0] > _YOUNG:
        site = two_days(tmp_path_factory.mktemp("good"))
        lately_made.append((time.monotonic(), site, pristine(site)))
    _, made, before = lately_made[-1]
    return again(made, before)


@pytest.fixture(scope="module")
def kept(good: Site, lately_made: list[tuple[float, Site, Path]]) -> Path:
    """A module may have a `good` of its own."""
    return next((before for _, made, before in lately_made if made.root == good.root), None) or pristine(good)


@pytest.fixture
def twin(good: Site, kept: Path) -> Site:
    return again(good, kept)
