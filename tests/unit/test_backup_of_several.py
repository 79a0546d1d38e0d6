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


def test_the_second_of_two_at_once_does_nothing(tmp_path: Path) -> None:
    """Each would do what the other has not come to yet, and both end with 5."""
    site = Site(tmp_path)
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "one").write_text("one")
        os.utime(tmp_path / name / "one", (1_700_000_000, 1_700_000_000))
    site.plan("".join(f"{name}: {{engine: files, paths: [{tmp_path / name}]}}\n" for name in "ab"))
    state = site.services().state
    with state.lock("p", "b", "backup", whole=True):  # the first one is about to come to b
        second = site.run("backup", "p")
        assert (second.code, [one["result"] for one in second.json["backups"]]) == (5, ["LOCKED"] * 2), second
        assert not (site.state / "ledger").exists() or not site.records("backup.start")
    with state.lock("p", "b", "backup"):  # what `ccdr run` is at keeps nobody from the others
        beside = site.run("backup", "p")
        assert (beside.code, [one["result"] for one in beside.json["backups"]]) == (5, ["STORED", "LOCKED"]), beside
    assert site.run("backup", "p").code == 0
