"""What `ccdr doctor` makes of a repository on a path. Every red line has its green twin."""

from __future__ import annotations

import pytest
from tests.support.findings import FAIL, OK, WARN, backed_up, states
from tests.support.harness import Site

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
