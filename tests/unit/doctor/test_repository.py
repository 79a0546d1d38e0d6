"""What `ccdr doctor` makes of a repository on a path. Every red line has its green twin."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.support.findings import FAIL, OK, WARN, backed_up, states
from tests.support.harness import Site

from ccdr.model.values import Health
from ccdr.setup.doctor import repository


def test_repository_beside_what_it_protects(plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    services = plain.services()
    missing, beside = repository.local_path(plain.loaded(), services)
    assert (missing.state, beside.state) == (WARN, WARN) and "recordings" in beside.answer
    plain.repo.mkdir()
    assert states(repository.local_path(plain.loaded(), services)) == [WARN]
    monkeypatch.setattr(repository, "_device", lambda _: -1)
    assert states(repository.local_path(plain.loaded(), services)) == [OK]


def test_where_a_known_repository_is_not_mounted_nothing_is_said_of_what_lies_there(plain: Site) -> None:
    backed_up(plain, 1.0)
    (missing,) = repository.local_path(plain.loaded(), plain.services())
    assert missing.state is FAIL and missing.do is not None and "makes no new repository" in missing.do


@pytest.mark.parametrize(
    ("free", "state"), [(2**40, OK), (2**28, OK), (2**28 - 1, WARN), (2**24 - 1, FAIL)], ids=lambda one: str(one)
)
def test_the_disk_of_a_repository_is_looked_at(
    plain: Site, monkeypatch: pytest.MonkeyPatch, free: int, state: Health
) -> None:
    asked: list[Path] = []
    usage = SimpleNamespace(free=free, total=2**41)
    monkeypatch.setattr(repository.shutil, "disk_usage", lambda path: asked.append(path) or usage)
    (probe,) = repository.disk(plain.loaded(), plain.services())
    assert probe.state is state and str(plain.repo) in probe.answer and asked == [plain.repo.parent]
    backed_up(plain, 1.0)
    assert not list(repository.disk(plain.loaded(), plain.services())), "it is not mounted: another disk says nothing"
