"""A MariaDB database that came back as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tests.support.maria_restored import (
    DEFINERS,
    GRANTS,
    NAMED,
    SETTINGS,
    TEXTS,
    USERS,
    Restored,
    Server,
    captured_rows,
)


@pytest.fixture(autouse=True)
def private() -> Iterator[None]:
    """Whatever our umask: the sandbox's user is not ours."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    (tmp_path / "restored/rows").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "inside").symlink_to("out")
    contents: dict[str, Any] = {
        "version": "11.8.9", "database": "crm", "settings": dict(SETTINGS), "charset": "utf8mb4",
        "collation": "utf8mb4_unicode_ci", "comment_sha256": sha256(b"the centre").hexdigest(), "rounded": [], "changed": {}, "left_out": [], "named_zones": False,
        "objects": dict(NAMED), "definers": dict(DEFINERS), "without_rows": [], "histories": False,
    }  # fmt: skip
    found = Restored(Server(tmp_path), contents, {})
    for name, text in {**TEXTS, "users.sql": USERS, "grants.sql": GRANTS, "database.sql": "CREATE DATABASE"}.items():
        found.file(name, text)
    tables = {}
    for table, text in captured_rows().items():
        found.file(f"rows/{table}.sql", text)
        rows = sum(line.startswith("(") for line in text.split("\n"))
        tables[table] = {
            "rows": rows,
            "sha256": sha256(text.encode()).hexdigest(),
            "file": f"rows/{table}.sql",
            "engine": "InnoDB",
        }
    contents["tables"] = tables
    return found
