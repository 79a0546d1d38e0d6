"""The repository is damaged, or what opens it is. Every damage is done to a copy of one good repository, whose undamaged twin passes."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import PASSWORD, Site
from tests.support.repositories import new_repository
from tests.support.repository_damage import flip, ids, key
from tests.support.stored import assert_clean, restic_of, settled_file
from tests.support.wording import lines_with


def packs(site: Site) -> list[Path]:
    """By size: the last one holds today's recording, the first ones hold directories."""
    return sorted((p for p in (site.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def test_undamaged_twin_passes(twin: Site) -> None:
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert done.json["snapshot"]["id"] == ids(twin)[-1]
    assert_clean(twin)


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, 0)


@pytest.mark.parametrize(
    ("damage", "what"),
    [(d, "recording") for d in (flip, remove, truncate, empty)] + [(d, "directory") for d in (flip, remove)],
)
def test_damaged_pack_fails(twin: Site, damage: Callable[[Path], None], what: str) -> None:
    tree = json.loads(restic_of(twin.root, "cat", "snapshot", ids(twin)[-1]))["tree"]
    pack = packs(twin)[-1] if what == "recording" else pack_of(twin, tree)
    damage(pack)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "answers and decrypts" in done.json["reason"]
    assert done.json["snapshot"]["id"] == ids(twin)[-1]
    if (damage, what) == (flip, "recording"):  # yesterday's does not need that pack, and still stands
        older = twin.run("test", "p", "--snapshot", "oldest")
        assert (older.code, older.json["verdict"]) == (0, "PASS"), older
    assert_clean(twin)


def test_what_to_do_about_a_bad_backup_says_whether_there_is_an_older_one(
    twin: Site, wording: SnapshotAssertion
) -> None:
    flip(packs(twin)[-1])
    assert lines_with(told(twin), "restore an older snapshot") == wording
    restic_of(twin.root, "forget", ids(twin)[0])
    said = told(twin)
    assert lines_with(said, "no older snapshot") == wording
    assert "restore an older" not in said and "; `ccdr upkeep p --check" in said


def told(site: Site) -> str:
    """What people read of a test of the newest."""
    return site.plainly("test", "p").stdout


def pack_of(site: Site, blob: str) -> Path:
    for index in (site.repo / "index").iterdir():
        for pack in json.loads(restic_of(site.root, "cat", "index", index.name))["packs"]:
            if any(b["id"] == blob for b in pack["blobs"]):
                return site.repo / "data" / pack["id"][:2] / pack["id"]
    raise AssertionError(f"no pack holds {blob}")


def test_removed_index_fails(twin: Site) -> None:
    for index in (twin.repo / "index").iterdir():
        index.unlink()
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert_clean(twin)


def another_key(site: Site) -> None:
    """It opens with the same password, and is of another repository."""
    other = new_repository(site.root / "other", PASSWORD)
    key(site).unlink()
    shutil.copy(next((other / "keys").iterdir()), site.repo / "keys")


OPENING = {
    "config gone": lambda site: (site.repo / "config").unlink(),
    "config flipped": lambda site: flip(site.repo / "config"),
    "config cut": lambda site: truncate(site.repo / "config"),
    "config empty": lambda site: empty(site.repo / "config"),
    "keys gone": lambda site: key(site).unlink(),
    "folder of keys gone": lambda site: shutil.rmtree(site.repo / "keys"),
    "key flipped": lambda site: flip(key(site)),
    "key empty": lambda site: empty(key(site)),
    "key of another repository": another_key,
    "config and keys gone": lambda site: [(site.repo / "config").unlink(), key(site).unlink()],
}


@pytest.mark.parametrize("damage", OPENING)
def test_what_opens_the_repository_is_destroyed_and_its_data_is_there(twin: Site, damage: str) -> None:
    OPENING[damage](twin)
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json.get("repository")) == (1, "FAIL", "damaged"), done
    assert done.json["rpo"] == {**done.json["rpo"], "achieved_s": None, "verdict": "BREACHED"}
    assert twin.run("status").json["plans"][0]["assets"][0]["rpo"]["verdict"] == "BREACHED"
    assert_clean(twin)


@pytest.mark.parametrize("first", ["backup", "upkeep"])
def test_no_objective_is_met_from_a_repository_that_a_backup_or_a_check_found_destroyed(twin: Site, first: str) -> None:
    assert twin.run("test", "p").json["rpo"]["verdict"] == "MET"
    kept = (twin.repo / "config").read_bytes()
    (twin.repo / "config").unlink()
    found = twin.run("backup", "p") if first == "backup" else twin.run("upkeep", "p", "--check")
    assert found.code == 1 and "its config is gone" in str(found.json), found
    assert not (twin.repo / "config").exists(), "no new repository is made around its data"
    asset = twin.run("status").json["plans"][0]["assets"][0]
    assert asset["rpo"] == {**asset["rpo"], "achieved_s": None, "verdict": "BREACHED"}
    assert any("found the repository damaged" in said for said in asset["problems"])
    said = twin.run("report", "--json").json["assets"][0]
    assert said["rpo_now"]["verdict"] == "BREACHED"
    (twin.repo / "config").write_bytes(kept)
    twin.backed_up()
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"], done.json["rpo"]["verdict"]) == (0, "PASS", "MET"), "it was brought back"
    assert twin.run("status").json["plans"][0]["assets"][0]["rpo"]["verdict"] == "MET"


def test_place_that_only_looks_like_what_is_left_of_a_repository_proves_nothing(twin: Site) -> None:
    """A wrong path, with data of somebody else's in it; a new repository, without any; and one whose keys are whole."""
    elsewhere = twin.root / "elsewhere"
    settled_file(elsewhere / "data" / "ab" / "notes.txt", b"not ours")
    settled_file(elsewhere / "data" / "ab" / ("0" * 64), b"not by restic's naming: it begins otherwise")
    (twin.repo / "config").rename(twin.root / "config")
    for place in (elsewhere, new_repository(twin.root / "new", PASSWORD)):
        (place / "config").unlink(missing_ok=True)
        plan = twin.root / "plans" / "p.yaml"
        plan.write_text(plan.read_text().replace(f"url: {twin.repo},", f"url: {place},"))
        done = twin.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert done.json["rpo"]["verdict"] == "MET", "nothing was shown of the backups"
        plan.write_text(plan.read_text().replace(f"url: {place},", f"url: {twin.repo},"))


def test_what_opens_the_repository_is_on_a_disk_that_is_not_mounted(twin: Site) -> None:
    """A link that leads to nothing; the twin, without the link, is damage (`OPENING`)."""
    for linked in (twin.repo / "config", key(twin), twin.repo / "keys"):
        linked.rename(there := twin.root / "disk")
        linked.symlink_to(twin.root / "not mounted")
        done = twin.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), (linked, done)
        assert done.json["rpo"]["verdict"] == "MET", "nothing was shown of the backups"
        assert done.json["hint"], "programs are told too what to do"
        linked.unlink()
        there.rename(linked)
