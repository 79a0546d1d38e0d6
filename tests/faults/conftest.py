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
def kept(lately_made: list[tuple[float, Site, Path]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not lately_made or time.monotonic() - lately_made[-1][0] > _YOUNG:
        made = two_days(tmp_path_factory.mktemp("good"))
        lately_made.append((time.monotonic(), made, pristine(made)))
    return lately_made[-1][2]


@pytest.fixture(scope="module")
def good(lately_made: list[tuple[float, Site, Path]], kept: Path) -> Site:
    return again(lately_made[-1][1], kept)


@pytest.fixture
def twin(good: Site, kept: Path) -> Site:
    return again(good, kept)
