"""A site whose log is shipped, and log that waits in its spool."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site

from ccdr.plans.job import Job


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.plan(
        "crm:\n  engine: postgres\n  method: physical\n  log_shipping: {interval: 60s}\n"
        "  connection: {host: /nowhere, user: postgres, database: postgres}"
    )
    return made


@pytest.fixture
def job(site: Site) -> Job:
    return Job(site.loaded(), "crm")
