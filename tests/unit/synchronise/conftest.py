"""A repository whose list is in memory, and the catalogue that learns from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.listed import HOUR, NOW, Repository, synchronised

from ccdr.model.values import Snapshot
from ccdr.storage.catalogue import Catalogue


@pytest.fixture
def repo() -> Repository:
    return Repository()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "catalogue")


@pytest.fixture
def five(catalogue: Catalogue, repo: Repository) -> list[Snapshot]:
    """Five that are known, an hour apart, oldest first."""
    for number in range(1, 6):
        repo.backup(number, NOW - HOUR * (6 - number))
    assert synchronised(catalogue, repo).findings == ()
    return catalogue.snapshots("p", "crm")
