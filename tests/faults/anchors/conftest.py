"""One S3 server with evidence buckets for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.evidence_server import EvidenceServer, evidence_server


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EvidenceServer]:
    running = evidence_server(tmp_path_factory.mktemp("evidence"))
    yield running
    running.store.stop()
