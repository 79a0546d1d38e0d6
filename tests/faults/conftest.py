"""Two days of backups, made once a module; each test gets them as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.stored import again, pristine, two_days


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return two_days(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def kept(good: Site) -> Path:
    return pristine(good)


@pytest.fixture
def twin(good: Site, kept: Path) -> Site:
    return again(good, kept)
