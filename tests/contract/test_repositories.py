"""The repositories that tests use are what `restic init` makes, but for the time that their key takes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import PASSWORD, Site
from tests.support.repositories import COST, new_repository

from ccdr.storage.fast_keys import may_be_taken_back
from ccdr.storage.remains import Directory, InBucket, Store


def restic(at: Path, *args: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": password}
    return subprocess.run(
        ["restic", "-r", str(at), "--no-cache", *args], env=env, capture_output=True, text=True, check=False
    )


def held(at: Path) -> tuple[dict[str, Any], dict[str, Any], set[str]]:
    """The configuration, the key file, and what lies where, but for the directories of packs."""
    (key,) = (at / "keys").iterdir()
    config = json.loads(restic(at, "cat", "config").stdout)
    return config, json.loads(key.read_bytes()), {p.name for p in at.iterdir()}


def test_a_tests_repository_is_one_that_restic_could_have_made(tmp_path: Path) -> None:
    ours, theirs = new_repository(tmp_path / "ours", PASSWORD), tmp_path / "theirs"
    assert restic(theirs, "init").returncode == 0
    (config, key, files), (its_config, its_key, its_files) = held(ours), held(theirs)
    assert config["version"] == its_config["version"] and set(config) == set(its_config)
    assert set(key) == set(its_key) and key["kdf"] == its_key["kdf"] and len(key["data"]) == len(its_key["data"])
    assert files == its_files
    assert {name: key[name] for name in COST} == COST and its_key["N"] > 1000 * COST["N"], "only this differs"


def test_it_keeps_data_and_opens_with_its_own_password_only(tmp_path: Path) -> None:
    at, other = (new_repository(tmp_path / name, PASSWORD) for name in ("one", "other"))
    (tmp_path / "voice").write_bytes(os.urandom(100_000))
    assert restic(at, "backup", str(tmp_path / "voice")).returncode == 0
    checked = restic(at, "check", "--read-data")
    assert checked.returncode == 0, checked.stderr
    assert restic(at, "restore", "latest", "--target", str(tmp_path / "back")).returncode == 0
    (back,) = (p for p in (tmp_path / "back").rglob("voice") if p.is_file())
    assert back.read_bytes() == (tmp_path / "voice").read_bytes()
    assert restic(at, "cat", "config", password="not " + PASSWORD).returncode == 12
    assert held(at)[0]["id"] != held(other)[0]["id"], "no two share a cache"


def test_two_assets_that_want_a_missing_repository_at_once_make_one(tmp_path: Path) -> None:
    """Two creations at once leave two master keys, and half of what is stored then does not decrypt."""
    site = Site(tmp_path, bare=True)
    site.plan("tree:\n  engine: files\n  paths: [/usr/share/doc]")
    services, loaded = site.services(), site.loaded()
    started = threading.Barrier(3)

    def wanted() -> None:
        repo = services.repository(loaded, loaded.plan.limits_of("tree"))
        probe, looked = repo.probe, threading.local()

        def at_once() -> None:  # all have seen that it is not there before any of them makes it
            try:
                probe()
            finally:
                if not getattr(looked, "once", False):
                    looked.once = True
                    started.wait(30)

        object.__setattr__(repo, "probe", at_once)
        services.make_if_missing(repo)

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(wanted) for _ in range(3)]:
            future.result()
    assert len(list((site.repo / "keys").iterdir())) == 1


def test_the_store_tells_whether_a_list_of_snapshots_is_whole(tmp_path: Path) -> None:
    """Whoever was added to the register of erasures meanwhile is in a snapshot that the list lacks."""
    site = Site(tmp_path)
    site.plan("tree:\n  engine: files\n  paths: [/usr/share/doc]")
    (tmp_path / "voice").write_bytes(b"hello")
    loaded = site.loaded()
    repo = site.services().repository(loaded, loaded.plan.limits_of("tree"))

    def stored(tag: str) -> None:
        backup = restic(site.repo, "backup", "--tag", tag, str(tmp_path / "voice"))
        assert backup.returncode == 0, backup.stderr

    stored("mine")
    listed = repo.snapshots(["mine"])
    assert len(listed) == 1 and not repo.holds_others_than(listed)
    assert repo.holds_others_than([])
    stored("somebody's")
    assert repo.snapshots(["mine"]) == listed and repo.holds_others_than(listed), "nobody knows what that is"
    assert not repo.holds_others_than([*listed, *repo.snapshots(["somebody's"])])
    elsewhere = replace(repo, location="rest:http://127.0.0.1:1/")
    assert elsewhere.holds_others_than(listed), "only restic can look there"


@pytest.mark.parametrize("kind", ["path", "bucket"])
def test_a_place_takes_a_small_file_and_gives_it_back(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """As a fast key is put there, tried, and taken back."""
    place: Store = Directory(new_repository(tmp_path / "repo", PASSWORD))
    if kind == "bucket":
        bucket = request.getfixturevalue("store").bucket("ccdr-small-files")
        bucket.create_versioned(patience=60)
        place = InBucket(bucket, "repo/")
    before = set(place.below("keys"))
    assert may_be_taken_back(place) and set(place.below("keys")) == before
    place.put("keys/one", b"1")
    assert set(place.below("keys")) == {*before, "keys/one"} and place.contents("keys/one") == b"1"
    place.remove("keys/one")
    assert set(place.below("keys")) == before and place.contents("keys/one") is None
