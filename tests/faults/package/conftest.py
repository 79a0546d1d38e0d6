"""A site whose ledger a key signs, and whose newest restore test is FAIL."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.packages import Exporting, made


@pytest.fixture
def exporting(tmp_path: Path) -> Exporting:
    return made(tmp_path)
