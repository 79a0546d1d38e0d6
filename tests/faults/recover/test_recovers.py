"""Everything of a plan brought back at once, into directories: in order, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import SQLITE_SMALL, Site, ask_sqlite
from tests.support.recovering import Watching, recovered
from tests.support.restored_files import listing
from tests.support.stored import settled_file

TWO = """
recordings:
  engine: files
  paths: [{root}/tree]
  settle: 1s
  backup: {{schedule: "15 * * * *"}}
  restore_test: {{schedule: "0 3 * * 0", checks: [recordings]}}
cdr:
  engine: sqlite
  path: {root}/cdr.db
  backup: {{schedule: "*/30 * * * *"}}
  restore_test: {{schedule: "0 3 * * *", checks: [cdr]}}
"""
CDR = "restore_test: cdr\nchecks:\n  - {kind: rows, table: call, at_least: 3000}\n"


@pytest.fixture
def centre(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    for number in range(20):
        settled_file(tmp_path / "tree" / f"{number:03}.wav", bytes([number]) * 3000, 1_700_000_000 + number)
    ask_sqlite(tmp_path / "cdr.db", SQLITE_SMALL)
    site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
    site.write("restore_tests/cdr.yaml", CDR)
    site.plan(TWO.format(root=tmp_path))
    site.backed_up()
    return site


def test_everything_is_brought_back_and_recorded(centre: Site) -> None:
    back, view = centre.root / "back", Watching()
    back.mkdir()
    result = recovered(centre, {"cdr": back / "cdr", "recordings": back / "recordings"}, {"recordings": ["cdr"]}, view)
    assert (result.state, result.exit_code) == ("done", 0), result
    assert listing(back / "recordings" / str(centre.root / "tree").lstrip("/")) == listing(centre.root / "tree")
    assert ask_sqlite(back / "cdr" / "cdr.db", "select count(*) from call") == [(3000,)]
    begun = [phase for phase in view.phases if phase[1] == "bringing"]
    assert begun == [("cdr", "bringing"), ("recordings", "bringing")]
    (start,), (end,) = centre.records("recover.start"), centre.records("recover.end")
    assert [a["after"] for a in start["assets"]] == [[], ["cdr"]]
    assert end["state"] == "done" and [a["state"] for a in end["assets"]] == ["done", "done"]
    assert {r["run"] for r in centre.records("restore.end")} == {a["run"] for a in end["assets"]}
    centre.ledger_holds()
