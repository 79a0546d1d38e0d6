"""A site that tells people, a mailbox and a web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.listeners import Mailbox, Web, mail_server, web_server
from tests.support.told import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Backed up and tested: all is well."""
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    made = World(site)
    made.stored()
    made.tested()
    return made


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as running:
        yield running


@pytest.fixture
def web() -> Iterator[Web]:
    with web_server() as running:
        yield running
