"""`ccdr backup PLAN`: an asset that cannot begin keeps no other from it."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.harness import Site


def test_one_without_its_password_is_told_and_the_others_are_backed_up(tmp_path: Path) -> None:
    site = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    (one := tmp_path / "tree" / "one").write_text("one")
    os.utime(one, (1_700_000_000, 1_700_000_000))
    at = "{host: 127.0.0.1, user: u, database: d, password_file: nowhere}"
    site.plan(
        f"crm: {{engine: postgres, method: dump, connection: {at}}}\n"
        f"files: {{engine: files, paths: [{tmp_path / 'tree'}]}}\n"
        f"cdr: {{engine: postgres, method: dump, connection: {at}}}\n"
    )
    done = site.run("backup", "p")
    assert done.code == 2, done
    crm, files, cdr = done.json["backups"]
    assert files["result"] == "STORED" and [crm["asset"], cdr["asset"]] == ["crm", "cdr"]
    assert "nowhere" in crm["error"] and "nowhere" in cdr["error"], done.json
    alone = site.run("backup", "p", "--asset", "crm")
    assert alone.code == 2 and alone.json["exit"] == 2, "alone, it is an error as any other"
    twin = site.run("backup", "p", "--asset", "files")
    assert twin.code == 0 and twin.json["result"] == "STORED", twin
