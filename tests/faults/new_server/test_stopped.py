"""Whatever stops the making of a new server leaves nothing under its final name, and says what is left elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.test_capture_faults import small_disk
from tests.support.harness import Quiet, Site, eventually
from tests.support.new_server import made, nothing_left
from tests.support.repository_damage import flip
from tests.support.stored import assert_clean, brought_back

from ccdr.engines.postgres.new_server.maker import PostgresMaker
from ccdr.jobs.restore import Request, RestoreResult, restoring
from ccdr.jobs.restore.left_server import LOADED, LeftServer
from ccdr.jobs.restore.new_server import OntoNewServer
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.place import Place, Progress


def test_a_full_disk_is_no_fault_of_the_backup(site: Site, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2g"):
        hog = tmp_path / "disk" / "hog"

        def full(maker: PostgresMaker, box: Place, *args: object) -> None:
            with hog.open("wb") as file:
                room = os.fstatvfs(file.fileno())
                os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize - 2**20)
            really(maker, box, *args)

        really = PostgresMaker.load
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PostgresMaker, "load", full)
            result = restored(site, tmp_path / "disk" / "new")
        assert (result.result, result.exit_code) == ("FAILED", 3) and "disk space ran out" in str(result.reason), result
        hog.unlink()
        nothing_left(tmp_path / "disk" / "new")
    assert_clean(site)


def restored(
    site: Site,
    home: Path,
    asset: str = "crm",
    working: str | None = None,
    wanted: NewServer | None = None,
    snapshot: str = "latest",
) -> RestoreResult:
    """In this process."""
    wanted = wanted or NewServer(directory=home)
    asked = Request(to=str(home), new_server=wanted, working=working, snapshot=snapshot)
    with restoring(Job(site.loaded(), asset), asked, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    return one.result


@pytest.mark.parametrize("asset", ["crm", "whole"])
def test_a_damaged_snapshot_leaves_nothing(site: Site, tmp_path: Path, asset: str) -> None:
    largest = "*.dat" if asset == "crm" else "pg_control"

    def harm(captured: Path) -> None:
        flip(max(captured.rglob(largest), key=lambda path: path.stat().st_size))

    with brought_back(largest if asset == "whole" else "toc.dat", harm):
        result = restored(site, tmp_path / "new", asset)
    assert (result.result, result.exit_code) == ("FAILED", 1), result
    nothing_left(tmp_path / "new")
    assert_clean(site)


def test_a_container_that_dies_is_no_fault_of_the_backup(site: Site, tmp_path: Path) -> None:
    really = PostgresMaker.start

    def dies(maker: PostgresMaker, box: Place, *args: object) -> str:
        version = really(maker, box, *args)
        subprocess.run(["docker", "kill", box.id], check=True, capture_output=True)
        return version

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresMaker, "start", dies)
        result = restored(site, tmp_path / "new")
    assert (result.result, result.exit_code) == ("FAILED", 3) and "the sandbox is gone" in str(result.reason), result
    nothing_left(tmp_path / "new")
    assert_clean(site)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_stopped_by_a_signal(site: Site, tmp_path: Path, sign: int) -> None:
    home = tmp_path / "new"
    process = site.start("restore", "p", "--asset", "crm", "--new-server", str(home), "--yes-i-mean", "new")
    assert eventually(lambda: any(tmp_path.glob(".new.*/tree/data/postmaster.pid")), 60)
    process.send_signal(sign)
    process.communicate(timeout=60)
    assert not home.exists()
    if sign == signal.SIGKILL:  # what is left is told to whoever comes next
        (there,) = tmp_path.glob(".new.ccdr-restore-*")
        told = made(site, "crm", home, "--dry-run").json["would_restore"]["notes"]
        assert any(str(there) in note for note in told), told
    else:
        assert process.returncode == 3
        nothing_left(home)
        assert_clean(site)


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
            assert (tmp_path / f".{asset}.ccdr-restore-one" / LOADED).exists()
    yield site


def test_what_was_loaded_is_not_loaded_again(killed: Site, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresMaker, "load", None)  # whoever asks for it fails
        for asset in ("crm", "whole"):
            result = restored(killed, tmp_path / asset, asset, working="one")
            assert result.result == "RESTORED" and result.exit_code == 0, result
            assert {c.status.value for c in result.checks} == {"PASS", "SKIPPED"}, result.checks
            assert LeftServer.read(tmp_path / asset).untouched
            assert not list(tmp_path.glob(f".{asset}.*"))
    assert_clean(killed)
