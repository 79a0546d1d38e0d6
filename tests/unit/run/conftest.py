"""A plan of one asset that `ccdr run` sees to."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.runs import NEVER, ONE, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", "restore_test: c\nchecks:\n  - {kind: identical}\n")
    site.plan(ONE, extra=NEVER)
    return World(site)
