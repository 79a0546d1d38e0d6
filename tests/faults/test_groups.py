"""Assets captured together: what is whole counts as a whole, what is not is said, and nobody waits for ever."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Ran, Site, Source, eventually
from tests.support.stored import LONG_AGO, assert_clean, left, other_host, restic_of, settled_file, with_repository
from tests.support.wording import lines_with

from ccdr.host.state import State
from ccdr.model.values import utc

HOURLY = 'backup: {schedule: "0 * * * *"}'
TEST = 'restore_test: {schedule: "0 3 * * *", checks: [recordings]}'


def trees(site: Site, names: str = "ab", more: str = "") -> None:
    """A plan of file trees that belong together."""
    for name in names:
        settled_file(site.root / name / "one.wav", os.urandom(3000), LONG_AGO)
    site.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
    asset = "{n}: {{engine: files, group: calls, settle: 1s, paths: [{root}/{n}], {rest}}}\n"
    rest = f"{HOURLY}, {TEST}"
    site.plan("".join(asset.format(n=n, root=site.root, rest=rest) for n in names) + more)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    made = with_repository(Site(tmp_path / "site"))
    trees(made)
    return made


def the_group(done: Ran) -> dict[str, object]:
    (group,) = done.json["groups"]
    return dict(group)


def status(site: Site) -> dict[str, dict[str, object]]:
    return {a["asset"]: a for a in site.run("status").json["plans"][0]["assets"]}


def test_a_group_is_captured_together_and_every_host_can_tell(site: Site, tmp_path: Path) -> None:
    done = site.backed_up()
    group = the_group(done)
    points = {b["asset"]: utc(b["snapshot"]["consistent_point"]) for b in done.json["backups"]}
    assert (group["complete"], group["missing"]) == (True, [])
    assert group["skew_s"] == round(abs((points["a"] - points["b"]).total_seconds()), 3)
    assert {b["group"]["run"] for b in done.json["backups"]} == {group["run"]}
    (record,) = site.records("group")
    assert (record["run"], record["skew_s"], record["asset"]) == (group["run"], group["skew_s"], None)
    assert {r["group"]["run"] for r in site.records("backup.start")} == {group["run"]}
    # Neither was captured after the other was stored: they began together.
    starts = {r["asset"]: r["seq"] for r in site.records("backup.start")}
    assert max(starts.values()) < min(r["seq"] for r in site.records("backup.end"))
    there = other_host(site, tmp_path / "there")
    for host in (site, there):
        for snapshot in host.run("snapshots", "p").json["snapshots"]:
            assert (snapshot["group"]["run"], snapshot["group"]["skew_s"]) == (group["run"], group["skew_s"])
    assert status(site)["a"]["group"] == status(there)["b"]["group"]
    assert f'"group_run={group["run"]}"' in restic_of(site.root, "snapshots", "--json")
    assert_clean(site)


def test_a_database_and_files_are_captured_together(source: Source, database: str, site: Site) -> None:
    connection = f"{{host: {source.sockets}, user: postgres, database: {database}}}"
    trees(site, "a", f"crm: {{engine: postgres, group: calls, connection: {connection}, {HOURLY}}}\n")
    done = site.backed_up()
    assert (the_group(done)["complete"], [b["asset"] for b in done.json["backups"]]) == (True, ["a", "crm"])
    source.psql(f"drop database {database} with (force)", "postgres")
    source.psql(f"create database {database}", "postgres")
    broken = site.run("backup", "p")
    assert broken.code == 1 and the_group(broken)["missing"] == ["crm"]
    assert_clean(site)


def test_a_member_that_fails_makes_the_group_incomplete_and_the_others_count(site: Site) -> None:
    site.backed_up()
    (site.root / "b").rename(site.root / "unmounted")
    done = site.run("backup", "p")
    group = the_group(done)
    assert (done.code, group["complete"], group["missing"], group["skew_s"]) == (1, False, ["b"], None)
    assert [b["result"] for b in done.json["backups"]] == ["STORED", "FAILED"]
    found = status(site)
    assert found["a"]["rpo"]["verdict"] == "MET", "its own snapshot counts"
    (said,) = found["a"]["problems"][-1:]
    assert "whole: there is no snapshot of b" in said
    assert not any("captured whole" in p for p in found["b"]["problems"]) and any(
        "failed" in p for p in found["b"]["problems"]
    )
    assert found["a"]["group"]["missing"] == ["b"] and found["b"]["group"]["missing"] == []
    (site.root / "unmounted").rename(site.root / "b")
    site.backed_up()
    assert not any("captured whole" in p for p in status(site)["a"]["problems"])
    assert_clean(site)


def test_one_alone_is_backed_up_alone_and_says_so(site: Site, wording: SnapshotAssertion) -> None:
    done = site.run("backup", "p", "--asset", "a")
    assert done.code == 0 and done.json["group"] is None
    assert lines_with(done.json["notes"], "captured alone") == wording
    assert site.records("group") == []
    assert [s["group"] for s in site.run("snapshots", "p").json["snapshots"]] == [None]


def test_a_group_of_which_one_is_busy_is_left_alone(site: Site) -> None:
    with site.services().state.lock("p", "b", "backup"):
        done = site.run("backup", "p")
    assert done.code == 5 and [b["result"] for b in done.json["backups"]] == ["LOCKED", "LOCKED"]
    assert site.records() == []
    site.backed_up()


def test_a_member_whose_secret_is_gone_is_told_and_the_others_are_backed_up(source: Source, site: Site) -> None:
    connection = f"{{host: {source.sockets}, user: postgres, database: postgres, password_file: gone}}"
    trees(site, "a", f"crm: {{engine: postgres, group: calls, connection: {connection}, {HOURLY}}}\n")
    done = site.run("backup", "p")
    assert done.code in (1, 2), done
    assert the_group(done)["missing"] == ["crm"] and done.json["backups"][0]["result"] == "STORED"


def test_two_first_backups_create_one_repository(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    site = Site(tmp_path / "new")
    trees(site, "abcd")
    done = site.backed_up()
    assert the_group(done)["complete"]
    assert len(list((site.repo / "keys").iterdir())) == 1
    assert "no errors were found" in restic_of(site.root, "check", "--read-data")


def test_an_unmounted_repository_is_not_made_anew_by_any_of_them(site: Site) -> None:
    site.backed_up()
    shutil.move(site.repo, site.root / "elsewhere")
    done = site.run("backup", "p")
    assert done.code == 1 and not site.repo.exists()
    assert the_group(done)["missing"] == ["a", "b"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_stopped_while_one_waits_for_the_other(source: Source, database: str, site: Site, sign: int) -> None:
    """The database's dump waits for a lock that somebody holds; the tree is captured meanwhile."""
    connection = f"{{host: {source.sockets}, user: postgres, database: {database}}}"
    patient = "limits: {lock_wait: 10m, no_progress: 10m}"
    trees(site, "a", f"crm: {{engine: postgres, group: calls, connection: {connection}, {HOURLY}, {patient}}}\n")
    with source.session("begin; lock table call in access exclusive mode", database):
        process = site.start("backup", "p")
        assert eventually(lambda: [r["asset"] for r in site.records("backup.end")] == ["a"], 60)
        process.send_signal(sign)
        process.communicate(timeout=60)
    if sign == signal.SIGTERM:
        assert process.returncode == 3
        assert [(r["asset"], r["result"]) for r in site.records("backup.end")] == [("a", "STORED"), ("crm", "FAILED")]
        (record,) = site.records("group")
        assert record["missing"] == ["crm"] and record["members"]["crm"]["result"] == "INTERRUPTED"
    else:
        assert site.records("group") == []
        assert site.run("sandbox", "reap").code == 0
        assert eventually(lambda: left(site) == [], 20), "Docker removes what has ended in its own time"
    assert_clean(site)
    site.backed_up()
    assert site.records("group")[-1]["complete"]
    assert State(site.state).captures() == []


def test_run_captures_a_group_together(site: Site) -> None:
    site.run("run")
    slots = list((site.state / "schedule").glob("p.*.backup.json"))
    assert len(slots) == 2
    for slot in slots:  # as if it had been seen long ago
        slot.write_text(slot.read_text().replace('"settled": "2', '"settled": "1'))
    (site.state / "schedule").joinpath("wake").unlink(missing_ok=True)
    for path in (site.state / "schedule").glob("wake-*"):
        path.unlink()
    done = site.run("run", "--only", "backups")
    assert [(d["asset"], d["done"]) for d in done.json["did"]] == [("a", True), ("b", True)], done
    (record,) = site.records("group")
    assert record["complete"]
    dues = {r["asset"]: r["trigger"]["due"] for r in site.records("backup.start")}
    assert dues["a"] == dues["b"]
    assert_clean(site)
