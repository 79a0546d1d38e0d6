"""Restoring files for real: what is asked comes back, from the snapshot that is asked for."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.restored_files import beside, end, go, listing
from tests.support.stored import assert_clean, other_host, settled_file


def test_restored_tree_is_the_source(twin: Site) -> None:
    before = beside(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert beside(twin) - before == {"back"}, "nothing else stays beside it"
    assert not list((twin.root / "back").rglob("ccdr-*")), "ccdr's own listing is not a recording"
    record = end(twin)
    assert record["result"] == done.json["result"] == "RESTORED" and record["reason"] is None
    assert record["target"] == {"kind": "directory", "name": str(twin.root / "back")}
    assert [c["status"] for c in record["checks"]] == ["PASS"]
    assert set(record["phases"]) == {"fetch", "check", "finish"} and record["left_behind"] == []
    (start,) = twin.records("restore.start")
    assert start["snapshot"] == record["snapshot"]["id"] and start["despite_failed_test"] is False
    assert_clean(twin)


def test_everything_that_a_tree_holds_comes_back(twin: Site) -> None:
    tree = twin.root / "tree"
    secret = settled_file(tree / "agent0" / "Ștefan „x” \n y.wav", b"secret")
    secret.chmod(0o600)
    (tree / "latest").symlink_to("agent0/today.wav")
    (tree / "nobody").symlink_to("/nowhere/at all")
    (tree / "empty").mkdir(mode=0o711)
    if os.geteuid() == 0:
        os.chown(secret, 1234, 4321)
    twin.backed_up()
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert listing(twin.root / "back" / str(tree).lstrip("/")) == listing(tree)
    (told,) = [note for note in done.json["notes"] if "symbolic link" in note]
    assert told.startswith("1 "), "that of the two which leads out of the tree"


def test_an_older_snapshot_by_its_id(twin: Site) -> None:
    old, _ = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    done = go(twin, twin.root / "back", "--snapshot", old[:8])
    assert done.code == 0 and done.json["snapshot"]["id"] == old, done
    assert not list((twin.root / "back").rglob("today.wav"))


def test_total_loss_of_the_host(twin: Site, tmp_path: Path) -> None:
    """Plans and the repository are all there is: no state, and the source is gone."""
    kept = listing(twin.root / "tree")
    shutil.rmtree(twin.root / "tree")
    site = other_host(twin, tmp_path / "new")
    done = go(site, tmp_path / "back")
    assert done.code == 0, done
    assert listing(tmp_path / "back" / str(twin.root / "tree").lstrip("/")) == kept
    assert done.json["snapshot"]["last_test"] is None


def test_an_empty_directory_keeps_its_mode(twin: Site) -> None:
    target = twin.root / "back"
    target.mkdir()
    target.chmod(0o2750)
    done = go(twin, target)
    assert done.code == 0 and target.stat().st_mode & 0o7777 == 0o2750, done


def test_estimate_comes_from_measured_tests(twin: Site) -> None:
    assert go(twin, twin.root / "one", "--dry-run").json["would_restore"]["estimate_s"] is None
    assert twin.run("test", "p").code == 0
    shown = go(twin, twin.root / "one", "--dry-run").json["would_restore"]
    phases = twin.records("restore_test.end")[-1]["phases"]
    assert shown["estimate_s"] == pytest.approx(phases["fetch"] + phases["load"] + phases["check"], abs=0.01)
    assert shown["snapshot"]["last_test"] == "PASS"
    done = go(twin, twin.root / "one")
    assert done.code == 0 and done.json["estimate_s"] == pytest.approx(shown["estimate_s"], abs=0.01)


def test_a_fresh_disk_is_a_target(twin: Site, disk: Path) -> None:
    """Nothing can be renamed onto a mount point: it is made ready inside."""
    (disk / "lost+found").mkdir()
    done = go(twin, disk)
    assert done.code == 0, done
    assert {p.name for p in disk.iterdir()} == {"lost+found", twin.root.parts[1]}
    assert listing(disk / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")


def test_no_such_snapshot(twin: Site) -> None:
    done = go(twin, twin.root / "back", "--snapshot", "deadbeef")
    assert done.code == 2 and "deadbeef" in done.json["error"] and not (twin.root / "back").exists(), done


def failed_test(site: Site, snapshot: str = "latest") -> None:
    """A restore test of a good snapshot that does not bring everything back, and says so."""
    script = f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\nfind {site.state}/scratch -name call1.wav -delete\nexit $code\n'
    site.write("bin/restic", script, mode=0o755)
    env = {"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"}
    done = site.run("test", "p", "--snapshot", snapshot, env=env)
    assert done.json["snapshot"]["verdict"] == "FAIL", done


def test_latest_is_the_newest_that_has_not_failed(twin: Site) -> None:
    old, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0 and done.json["snapshot"]["id"] == old, done
    assert any(new[:8] in note and "failed" in note for note in done.json["notes"]), done.json["notes"]


def test_a_snapshot_that_failed_needs_to_be_wanted(twin: Site) -> None:
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    done = go(twin, twin.root / "back", "--snapshot", new)
    assert done.code == 2 and "take an older one; to restore it anyway" in done.json["hint"], done
    assert not (twin.root / "back").exists()
    done = go(twin, twin.root / "back", "--snapshot", new, "--despite-failed-test")
    assert done.code == 0 and done.json["snapshot"]["last_test"] == "FAIL", done
    assert twin.records("restore.start")[-1]["despite_failed_test"] is True


def test_no_snapshot_is_good(twin: Site, wording: SnapshotAssertion) -> None:
    old, _ = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    failed_test(twin, old)
    done = go(twin, twin.root / "back")
    assert done.code == 2 and "failed its test" in done.json["error"] and not (twin.root / "back").exists(), done
    hint = go(twin, twin.root / "back", "--snapshot", old).json["hint"]
    assert hint == wording, hint


def test_a_newer_snapshot_that_vanished_is_told(twin: Site) -> None:
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    (twin.repo / "snapshots" / new).unlink()
    done = go(twin, twin.root / "back")
    assert done.code == 1 and done.json["result"] == "RESTORED", done
    assert any(new[:8] in note and "vanished" in note for note in done.json["notes"])
    assert any("vanished" in finding for finding in done.json["findings"])
