"""SQLite databases to capture, and what was captured of one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import SQLITE_SMALL, ask_sqlite
from tests.support.sqlite_source import captured

from ccdr.ports.capture import Capture


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "pbx" / "cdr.sqlite3"
    path.parent.mkdir()
    ask_sqlite(path, SQLITE_SMALL)
    return path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Capture, Path]:
    root = tmp_path_factory.mktemp("sqlite")
    ask_sqlite(root / "cdr.sqlite3", SQLITE_SMALL)
    (root / "cdr.sqlite3").chmod(0o640)
    return captured(root / "cdr.sqlite3", root / "into"), root / "into"
