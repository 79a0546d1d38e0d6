"""Passwords, locks, and a path that is not mounted. Every damage is done to a copy of one good repository, whose undamaged twin passes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import PASSWORD, Site
from tests.support.repository_damage import ids
from tests.support.stored import assert_clean, restic_of, settled_file


def test_wrong_password_proves_nothing(twin: Site) -> None:
    twin.write("plans/key", "another battery staple\n", mode=0o600)
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "password" in failed.json["reason"]
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    assert "password" in done.json["reason"]
    twin.write("plans/key", PASSWORD + "\n", mode=0o600)
    twin.backed_up()
    assert twin.run("test", "p").code == 0
    assert_clean(twin)


@pytest.mark.parametrize("key", [None, "", "\n", "short\n", b"\xff\xfe" * 20])
def test_password_that_cannot_serve_is_refused_before_anything_is_done(twin: Site, key: str | bytes | None) -> None:
    (twin.root / "plans" / "key").unlink()
    if key is not None:
        (twin.root / "plans" / "key").write_bytes(key.encode() if isinstance(key, str) else key)
    before, listing = len(twin.records()), restic_of(twin.root, "list", "snapshots")
    for verb in ("backup", "test"):
        done = twin.run(verb, "p")
        assert done.code == 2, done
        assert "password" in done.stderr
    assert len(twin.records()) == before, "nothing was done, so nothing is recorded"
    assert restic_of(twin.root, "list", "snapshots") == listing
    assert_clean(twin)


def test_missing_env_file_is_refused(twin: Site) -> None:
    plan = twin.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("password_file: key", "password_file: key, env_file: nowhere.env"))
    assert twin.run("backup", "p").code == 2
    assert twin.run("test", "p").code == 2


def locks(site: Site) -> list[str]:
    return [p.name for p in (site.repo / "locks").iterdir() if "tmp" not in p.name]


@pytest.fixture
def exclusive(twin: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Another program, stopped while it holds the repository's exclusive lock."""
    argv = ["restic", "-r", str(twin.repo), "--no-cache", "check", "--read-data"]
    process = subprocess.Popen(
        argv, env={**os.environ, "RESTIC_PASSWORD": PASSWORD}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not locks(twin):
        assert process.poll() is None
    process.send_signal(signal.SIGSTOP)
    assert locks(twin), "it was too quick"
    yield process
    process.kill()
    process.wait()


def test_locked_repository_fails_the_backup_and_not_the_test(twin: Site, exclusive: subprocess.Popen[bytes]) -> None:
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "locked" in failed.json["reason"]
    own = twin.run("test", "p", "--snapshot", ids(twin)[-1])
    assert (own.code, own.json["verdict"]) == (0, "PASS"), "a test only reads"
    exclusive.send_signal(signal.SIGCONT)
    assert exclusive.wait(60) == 0
    twin.backed_up()
    assert twin.run("test", "p").code == 0
    assert_clean(twin)


def test_stale_lock_of_a_dead_process_does_not_stop_us(twin: Site, exclusive: subprocess.Popen[bytes]) -> None:
    exclusive.kill()
    exclusive.wait()
    assert locks(twin)
    twin.backed_up()
    assert not locks(twin)
    assert twin.run("test", "p").code == 0


@pytest.mark.parametrize("known_by", ["catalogue", "ledger"])
def test_unmounted_repository_is_not_created_again(twin: Site, known_by: str) -> None:
    shutil.rmtree(twin.state / ("ledger" if known_by == "catalogue" else "catalogue"))
    shutil.move(twin.repo, twin.root / "elsewhere")
    failed = twin.run("backup", "p")
    assert (failed.code, failed.json["result"]) == (1, "FAILED"), failed
    assert "no repository" in failed.json["reason"]
    assert not twin.repo.exists(), "nothing was written below the mount point"
    done = twin.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    said = twin.run("report", "--json").json["answer"]
    assert said["word"] == "No" and "it was not there" in said["sentence"], "whatever was proven of it before"
    to = str(twin.root / "back")
    for asked in (["snapshots", "p"], ["restore", "p", "--asset", "recordings", "--to", to, "--yes-i-mean", to]):
        done = twin.run(*asked)
        assert done.code == 3 and "backups of p were stored there" in done.json["hint"], done
    shutil.move(twin.root / "elsewhere", twin.repo)
    twin.backed_up()
    assert twin.run("test", "p").code == 0


def test_empty_mount_point_is_not_filled(twin: Site) -> None:
    shutil.move(twin.repo, twin.root / "elsewhere")
    twin.repo.mkdir()
    assert twin.run("backup", "p").code == 1
    assert list(twin.repo.iterdir()) == []


def test_new_plan_gets_a_repository(tmp_path: Path) -> None:
    site = Site(tmp_path, bare=True)
    settled_file(tmp_path / "tree" / "a.wav", b"a voice")
    site.recordings(tmp_path / "tree")
    site.backed_up()
    assert (site.repo / "config").is_file()
    assert site.run("test", "p").code == 0
    assert_clean(site)
