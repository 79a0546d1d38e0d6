"""Whatever stops the making of a new MariaDB server leaves nothing under its final name, and nobody is to blame but who
is."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.test_capture_faults import small_disk
from tests.support.harness import Quiet, Site
from tests.support.new_server import filled_by_load, nothing_left
from tests.support.repository_damage import flip
from tests.support.stored import assert_clean, brought_back

from ccdr.engines.mariadb.new_server import Maker
from ccdr.jobs.restore import Request, RestoreResult, restoring
from ccdr.jobs.restore.new_server import LeftServer, OntoNewServer
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress
from ccdr.storage.restic import Restic


def restored(
    site: Site, home: Path, asset: str, *, working: str | None = None, at: RecoveryTarget | None = None, **of: Any
) -> RestoreResult:
    """In this process."""
    asked = Request(to=str(home), new_server=NewServer(directory=home, **of), working=working, at=at)
    with restoring(Job(site.loaded(), asset), asked, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


@pytest.mark.parametrize(("asset", "file"), [("crm", "call.sql"), ("whole", "ibdata1")])
def test_a_damaged_snapshot_leaves_nothing(site: Site, tmp_path: Path, asset: str, file: str) -> None:
    with brought_back(file, lambda captured: flip(next(captured.rglob(file)))):
        result = restored(site, tmp_path / "new", asset)
    assert (result.result, result.exit_code) == ("FAILED", 1), result
    nothing_left(tmp_path / "new")
    assert_clean(site)


def test_a_log_that_is_cut_short_leaves_nothing(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Restic.restore

    def cut(repo: Restic, snapshot: str, root: str, target: Path, **more: Any) -> None:
        really(repo, snapshot, root, target, **more)
        for log in target.rglob("binlog.0*"):
            log.write_bytes(log.read_bytes()[:-40])

    monkeypatch.setattr(Restic, "restore", cut)
    result = restored(site, tmp_path / "new", "whole", at=RecoveryTarget())
    assert (result.result, result.exit_code) == ("FAILED", 1) and "log" in str(result.reason), result
    nothing_left(tmp_path / "new")


def test_a_full_disk_is_no_fault_of_the_backup_and_is_not_waited_for(site: Site, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "3g"):
        hog = tmp_path / "disk" / "hog"

        with filled_by_load(Maker, hog):
            result = restored(site, tmp_path / "disk" / "new", "crm")
        hog.unlink()
        assert (result.result, result.exit_code) == ("FAILED", 3) and "is full" in str(result.reason), result
        nothing_left(tmp_path / "disk" / "new")


def test_a_setting_that_the_server_does_not_know_is_told_before_it_is_needed(site: Site, tmp_path: Path) -> None:
    result = restored(site, tmp_path / "new", "crm", settings={"max_connectoins": "9"})
    assert (result.result, result.exit_code) == ("FAILED", 3) and "max_connectoins" in str(result.reason), result
    nothing_left(tmp_path / "new")


@pytest.fixture
def killed(site: Site, tmp_path: Path) -> Iterator[Site]:
    """Its server's container was killed while the checks ran, and so was ccdr, for all that it could do."""

    def dies(way: OntoNewServer, progress: Progress) -> None:
        assert way.box is not None
        subprocess.run(["docker", "kill", way.box.id], check=True, capture_output=True)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OntoNewServer, "check", dies)
        for asset in ("crm", "whole"):
            with pytest.raises(KeyboardInterrupt):
                restored(site, tmp_path / asset, asset, working="one")
            assert not (tmp_path / asset).exists()
    yield site


def test_what_was_loaded_is_not_loaded_again(killed: Site, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Maker, "load", None)  # whoever asks for it fails
        for asset in ("crm", "whole"):
            result = restored(killed, tmp_path / asset, asset, working="one", settings={"max-connections": "88"})
            assert (result.result, result.exit_code) == ("RESTORED", 0), (result.reason, result.words.reveal())
            assert {c.status.value for c in result.checks} <= {"PASS", "SKIPPED"}, result.checks
            assert LeftServer.read(tmp_path / asset).untouched
            assert 'max_connections="88"' in (tmp_path / asset / "my.cnf").read_text()
    assert_clean(killed)
