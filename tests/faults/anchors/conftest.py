"""A site whose ledger a key signs, a time-stamping authority that anchors it, and one S3 server with evidence buckets
for all of these tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.evidence_server import EvidenceServer, evidence_server
from tests.support.harness import Ran, Site
from tests.support.recorded import backup
from tests.support.recorded import test as recorded_test
from tests.support.tsa import Authority, Served, new_authority, serving

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.comparison import beginning
from ccdr.host.clock import SystemClock
from ccdr.host.state import State


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Authority]:
    """Two that know nothing of each other."""
    at = tmp_path_factory.mktemp("authorities")
    return new_authority(at / "one"), new_authority(at / "other")


@pytest.fixture
def authority(authorities: tuple[Authority, Authority], tmp_path: Path) -> Authority:
    """A copy: what a test does to it is its own."""
    shutil.copytree(authorities[0].at, tmp_path / "authority")
    config = tmp_path / "authority" / "ts.cnf"
    config.write_text(config.read_text().replace(str(authorities[0].at), str(tmp_path / "authority")))
    return Authority(tmp_path / "authority")


@pytest.fixture
def tsa(authority: Authority) -> Iterator[Served]:
    with serving(authority) as served:
        yield served


@dataclass
class Anchored:
    """A site with some records, a key and anchors.yaml."""

    site: Site
    tsa: Served
    pin: str = ""

    @property
    def ledger(self) -> Ledger:
        state = State(self.site.state)
        return Ledger(state.ledger, SystemClock(), begin=beginning(state, "db1"))

    @property
    def receipts(self) -> Path:
        (there,) = (self.site.state / "checkpoints").iterdir()
        return there / "anchors"

    def configured(self, *anchors: str) -> None:
        listed = "".join(f"  - {{{one}}}\n" for one in anchors)
        self.site.write("anchors.yaml", f"anchors:\n{listed}" if anchors else "anchors: []\n")

    def by_tsa(self, **more: str) -> str:
        extra = "".join(f", {key}: {value}" for key, value in more.items())
        return f'name: tsa, kind: rfc3161, url: "{self.tsa.url}", ca_file: {self.tsa.authority.ca}{extra}'

    def works(self) -> None:
        backup(self.ledger, f"b{len(self.site.records())}", "recordings")

    def fails(self) -> None:
        recorded_test(self.ledger, f"t{len(self.site.records())}", "recordings-b0", "FAIL", "recordings")

    def checkpoint(self, *words: str) -> Ran:
        return self.site.run("ledger", "checkpoint", *words)

    def verify(self, *words: str) -> tuple[int, str | None, list[str]]:
        done = self.site.run("ledger", "verify", *words)
        return done.code, done.json["says"], [one["code"] for one in done.json["findings"]]

    def by_tsa_and_pin(self, ca: Path | None = None) -> tuple[int, str | None, list[str]]:
        return self.verify("--pin", self.pin, "--tsa", str(ca or self.tsa.authority.ca))

    def kinds(self, of: str = "ledger.") -> list[Any]:
        return [one["kind"] for one in self.site.records() if one["kind"].startswith(of)]


@pytest.fixture
def anchored(tmp_path: Path, tsa: Served) -> Anchored:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    made = Anchored(site, tsa)
    made.works()
    made.pin = str(site.run("ledger", "key", "create").json["key"])
    made.configured(made.by_tsa())
    return made


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvidenceServer]:
    running = evidence_server(tmp_path_factory.mktemp("evidence"))
    yield running
    running.store.stop()
