"""A site, two hosts that share a repository, and every command that reads their ledgers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.chronicle import digest
from tests.support.harness import Site
from tests.support.population import PLAN, Everybody, Listed, Pair, services_of

from ccdr.cli.settings import Settings
from ccdr.jobs.services import Services


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, bare=True)
    made.write("restore_tests/t.yaml", "restore_test: t\nchecks:\n  - {kind: identical}\n")
    made.plan(PLAN)
    return made


@pytest.fixture
def pair(site: Site) -> Pair:
    return Pair(site)


@pytest.fixture
def everybody(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Everybody]:
    def of(tested: str) -> Everybody:
        monkeypatch.setattr(Settings, "services", lambda _: services_of(site))
        monkeypatch.setattr(Services, "repository", lambda self, *_, **__: Listed(self))
        monkeypatch.setattr("ccdr.setup.doctor.machine.docker", lambda _: (None, []))
        return Everybody(site, digest(tested))

    return of
