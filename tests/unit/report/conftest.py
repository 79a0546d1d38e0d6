"""A past to write, for each test of a report."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.past import Past


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)
