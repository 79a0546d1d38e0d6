"""A centre for each test of what `status` promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.asked import Centre


@pytest.fixture
def centre(tmp_path: Path) -> Centre:
    return Centre(tmp_path)
