"""A database that came back as it was, from a dump in files and from one in a stream."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
from tests.support.postgres_restored import END, FACTS, MAIL, ROWS, TEXTS, Restored, Server, file_of, once_more, sha

from ccdr.engines.postgres.dump.identity import as_recorded


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    server = Server(tmp_path)
    server.again.texts = {name: once_more(text) for name, text in TEXTS.items()}
    contents = as_recorded(copy.deepcopy(FACTS))
    contents |= {
        "role_passwords": True,
        "tables": {k: {"rows": r.count("\n"), "sha256": sha(r + END)} for k, r in ROWS.items()},
    }
    (tmp_path / "restored/dump").mkdir(parents=True)
    small: dict[str, str | bytes] = {"roles.sql": TEXTS["roles.sql"], "globals.sql": "", "toc.list": "list"}
    kept = {f"dump/{name}": content for name, content in server.captured.files.items()} | small
    for name, content in kept.items():
        (tmp_path / "restored" / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return Restored(server, contents, {name: file_of(content) for name, content in kept.items()})


@pytest.fixture
def streamed(restored: Restored) -> Restored:
    """The same, stored as a stream: one file, and digests in the manifest."""
    for path in (restored.top / "restored/dump").iterdir():
        path.unlink()
    (restored.top / "restored/dump").rmdir()
    (restored.top / "restored/dump").write_text("PGDMP")
    kept = {name: one for name, one in restored.files.items() if "/" not in name}
    restored.files = {**kept, "dump": file_of("PGDMP")}
    restored.contents["large_objects"] = {"4242": sha(MAIL)}
    return restored
