"""A MariaDB server of its own for each test, and a site that ships its log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.mariadb_source import MariaSource, crm, data_directory, mariadb_server, whole_server
from tests.support.shipping_mariadb import CHECKS, SMALL


@pytest.fixture
def data() -> Path:
    return data_directory()


@pytest.fixture
def source(data: Path) -> Iterator[MariaSource]:
    with mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as made:
        made.sql(SMALL)
        yield made


@pytest.fixture
def shipped(site: Site, source: MariaSource, data: Path) -> Site:
    """Backed up once: its log leads on from there."""
    crm(site, source, "crm", whole_server(data, "{interval: 2s, canary: {every: 1s}}"), checks=CHECKS)
    site.backed_up()
    return site
