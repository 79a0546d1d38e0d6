"""Ways in which all looked well and was not: an older proof, another source's proof, a name that slipped into a record."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.stored import LIMITS, hashing_by, other_host, restic_of, settled_file, with_repository

KEEP_ONE = "retention: {keep_last: 1}\nupkeep: {parts: 1}\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "site").mkdir()
    made = with_repository(Site(tmp_path / "site"))
    settled_file(made.root / "tree" / "a.wav", os.urandom(2000))
    made.recordings(made.root / "tree", LIMITS)
    change(made, "assets:", f"{KEEP_ONE}assets:")
    return made


def change(site: Site, old: str, new: str) -> None:
    path = site.root / "plans" / "p.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def proven(site: Site) -> str:
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    return str(done.json["snapshot"]["id"])


def packs(site: Site) -> set[Path]:
    return {p for p in (site.repo / "data").rglob("*") if p.is_file()}


def flip(path: Path) -> None:
    path.chmod(0o600)
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)


def asset(site: Site) -> tuple[int, dict[str, object]]:
    done = site.run("status")
    return done.code, done.json["plans"][0]["assets"][0]


def there(site: Site) -> set[str]:
    return {s["id"] for s in json.loads(restic_of(site.root, "snapshots", "--json")) if "kind=backup" in s["tags"]}


def test_a_test_of_another_source_proves_nothing_of_this_one(site: Site) -> None:
    proven(site)
    settled_file(site.root / "other" / "b.wav", os.urandom(2000))
    change(site, f"paths: [{site.root}/tree]", f"paths: [{site.root}/other]")
    site.run("run")  # it acts by the plan: from now on that is what is judged
    assert site.run("report").code == 1
    site.backed_up()
    code, found = asset(site)
    assert (code, found["coverage"], found["rto"]["verdict"]) == (1, "untested", "NOT_MEASURED"), found  # type: ignore[index]
    report = site.run("report")
    assert report.code == 1 and report.json["answer"]["word"] == "Not proven", report.json["answer"]
    proven(site)
    assert asset(site)[0] == 0 and site.run("report").code == 0


@pytest.mark.parametrize("told_by", ["ledger", "catalogue"])
def test_backups_of_something_else_are_none_of_what_the_plan_names(site: Site, told_by: str) -> None:
    proven(site)
    if told_by == "catalogue":
        (site.state / "ledger").rename(site.root / "gone")
    (found,) = site.run("report", "--format", "json").json["assets"]
    assert found["rpo_now"]["verdict"] == "MET", found
    settled_file(site.root / "other" / "b.wav", os.urandom(2000))
    change(site, f"paths: [{site.root}/tree]", f"paths: [{site.root}/other]")
    if told_by == "ledger":
        site.run("run")  # it acts by the plan: from now on that is what is judged
    report = site.run("report", "--format", "json")
    (found,) = report.json["assets"]
    assert report.code == 1 and found["rpo_now"]["verdict"] == "BREACHED", found
    assert asset(site)[1]["rpo"]["verdict"] == "BREACHED"  # type: ignore[index]


def test_a_good_old_snapshot_takes_no_newer_failure_back(site: Site) -> None:
    """The test of the old one is what the failure's own advice leads to; the next backup builds on the damage."""
    old, before = proven(site), packs(site)
    settled_file(site.root / "tree" / "x.wav", os.urandom(900_000))
    site.backed_up()
    flip(max(packs(site) - before, key=lambda p: p.stat().st_size))
    assert site.run("test", "p").json["verdict"] == "FAIL"
    assert site.run("test", "p", "--snapshot", old).json["verdict"] == "PASS"
    settled_file(site.root / "tree" / "y.wav", os.urandom(2000))
    site.backed_up()
    code, found = asset(site)
    assert code == 1 and any("no newer snapshot has passed" in str(p) for p in found["problems"])  # type: ignore[union-attr]
    report = site.run("report")
    assert report.code == 1 and report.json["answer"]["word"] == "No", report.json["answer"]
    kept = there(site)
    site.run("upkeep", "p", "--prune")
    assert there(site) == kept, "nothing goes while a finding is open"
    assert site.run("test", "p").json["verdict"] == "FAIL"


def test_the_last_proven_snapshot_stays_when_the_plan_names_more(site: Site) -> None:
    good = proven(site)
    settled_file(site.root / "more" / "b.wav", os.urandom(2000))
    change(site, f"paths: [{site.root}/tree]", f"paths: [{site.root}/tree, {site.root}/more]")
    site.backed_up()
    site.run("upkeep", "p", "--prune")
    assert good in there(site)
    proven(site)
    site.run("upkeep", "p", "--prune")
    assert good not in there(site), "a newer one is proven"


def test_nothing_goes_while_a_part_of_the_repository_is_damaged(site: Site) -> None:
    settled_file(site.root / "tree" / "a.wav", os.urandom(900_000))
    proven(site)
    before = packs(site)
    shutil.rmtree(site.root / "tree")
    settled_file(site.root / "tree" / "new.wav", os.urandom(900_000))
    site.backed_up()
    flip(max(before, key=lambda p: p.stat().st_size))
    assert site.run("upkeep", "p", "--check").json["check"]["result"] == "DAMAGED"
    assert site.run("test", "p").json["verdict"] == "PASS", "the newest one does not use it"
    kept = there(site)
    site.run("upkeep", "p", "--prune")
    assert there(site) == kept


def test_an_asset_that_only_another_hosts_plan_names_is_left_alone(site: Site, tmp_path: Path) -> None:
    other = other_host(site, tmp_path / "other")
    change(other, "  recordings:", "  web:")
    proven(other)
    settled_file(site.root / "tree" / "c.wav", os.urandom(2000))
    proven(other)
    settled_file(site.root / "tree" / "d.wav", os.urandom(2000))
    other.backed_up()
    theirs = {s.id for s in other.services().catalogue.snapshots("p", "web")}
    assert len(theirs) == 3
    proven(site)
    site.run("upkeep", "p", "--prune")
    assert theirs <= there(site)
    assert other.run("snapshots", "p").code == 0


def test_roots_that_sort_otherwise_as_text_than_as_paths(site: Site) -> None:
    for name in ("a/c/x.wav", "a-b/y.wav"):
        settled_file(site.root / "t" / name, os.urandom(1000))
    change(site, f"paths: [{site.root}/tree]", f"paths: [{site.root}/t/a/c, {site.root}/t/a-b]")
    proven(site)


NAME = "+40712345678_Popescu.wav"


def test_no_recordings_name_is_recorded(site: Site) -> None:
    tree = site.root / "tree"
    site.backed_up()
    before = packs(site)
    settled_file(tree / NAME, os.urandom(900_000))
    site.backed_up()
    flip(max(packs(site) - before, key=lambda p: p.stat().st_size))
    plain = site.start("test", "p")
    said = plain.communicate(timeout=60)[0]
    assert plain.returncode == 1 and NAME not in said, "a pipe may lead to a mail"
    assert NAME in site.words(), "a person can look which it is"
    (end,) = site.records("restore_test.end")
    assert end["verdict"] == "FAIL" and "Popescu" not in end["reason"]
    refused = hashing_by(site, f"echo '{tree}/{NAME}: Permission denied' >&2; exit 1")
    settled_file(tree / "new.wav", os.urandom(2000))
    failed = site.run("backup", "p", env=refused)
    assert failed.code == 1 and "permission denied" in failed.json["reason"]
    for text in (*map(json.dumps, site.records()), failed.stdout, site.run("report").stdout, site.run("status").stdout):
        assert "Popescu" not in text


def test_a_newest_backup_that_was_removed_is_missed_though_the_catalogue_is_lost_too(site: Site) -> None:
    """The ledger knows that it was stored, and no record says that retention let it go."""
    proven(site)
    settled_file(site.root / "tree" / "b.wav", os.urandom(2000))
    site.backed_up()
    shutil.rmtree(site.state / "catalogue")
    assert site.run("test", "p").code == 0, "the twin: it is there"
    newest = site.records("backup.end")[-1]["snapshot"]["id"]
    restic_of(site.root, "forget", newest)
    shutil.rmtree(site.state / "catalogue")
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL") and f"{newest[:8]} of" in done.json["reason"], done
    assert "vanished" in done.json["reason"] and asset(site)[0] == 1
