"""Where a new server cannot be nothing is begun; whatever stops its making leaves nothing under its final name, and says
what is left elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.test_capture_faults import small_disk
from tests.support.harness import Quiet, Site, eventually
from tests.support.listeners import free_port
from tests.support.new_server import filled_by_load, made, nothing_left, restored
from tests.support.repository_damage import flip
from tests.support.stored import assert_clean, brought_back

from ccdr.engines.postgres.new_server.maker import PostgresMaker
from ccdr.jobs.restore import Request, restoring
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.new_server import LEFT, LOADED, LeftServer, OntoNewServer
from ccdr.jobs.restore.opening import listening
from ccdr.model.errors import UsageProblem
from ccdr.model.values import CheckResult
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.place import Place, Progress


def refused(site: Site, home: Path, *args: str, asset: str = "crm") -> str:
    done = made(site, asset, home, *args)
    assert done.code == 2, done
    assert site.records("restore.end")[-1]["result"] == "REFUSED"
    assert_clean(site)
    return done.stderr


def test_a_directory_that_will_do_is_told_of_and_not_made(site: Site, tmp_path: Path) -> None:
    """The healthy twin of all below."""
    done = made(site, "crm", tmp_path / "new", "--dry-run", "--port", "6543")
    told = done.json["would_restore"]
    assert done.code == 0 and told["target"] == {"kind": "new_server", "name": str(tmp_path / "new")}
    assert any("PostgreSQL 17" in text for text in told["will"]) and any("127.0.0.1:6543" in t for t in told["will"])
    assert any("this host has no PostgreSQL 17" in note for note in told["notes"]), told["notes"]
    nothing_left(tmp_path / "new")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["--owner", "nobody-of-that-name"], "this host has no user 'nobody-of-that-name'"),
        (["--owner", "4294967295"], "this host has no user '4294967295'"),
        (["--owner", "0"], "a new server does not run as root"),
    ],
)
def test_an_owner_that_will_not_do(site: Site, tmp_path: Path, args: list[str], why: str) -> None:
    assert why in refused(site, tmp_path / "new", *args)
    nothing_left(tmp_path / "new")


def test_a_directory_that_holds_something(site: Site, tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("mine")
    assert "is not empty" in refused(site, tmp_path / "new")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["mine"]


def test_no_place_of_ours(site: Site, tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "PG_VERSION").write_text("17\n")
    for home, why in (
        (site.state / "new", "ccdr's own state"),
        (site.root / "repo" / "new", "the repository of plan p"),
        (tmp_path / "server" / "new", "a server's own data"),
    ):
        assert why in refused(site, home), home
        nothing_left(home)


def test_a_socket_whose_path_no_server_can_have(site: Site, tmp_path: Path) -> None:
    home = tmp_path / ("n" * 90)
    assert "the socket's path would have" in refused(site, home)
    nothing_left(home)


def test_no_place_and_two_places(site: Site, tmp_path: Path) -> None:
    for places in ([], ["--to", str(tmp_path / "a"), "--new-server", str(tmp_path / "b")]):
        assert site.run("restore", "p", "--asset", "crm", *places).code == 2
    done = site.run("restore", "p", "--asset", "crm", "--to", str(tmp_path / "a"), "--owner", "root")
    assert done.code == 2 and "--owner and --port are of a new server" in done.stderr


def test_who_is_not_root_is_told_before_anything(site: Site, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ccdr.jobs.restore.opening.os.geteuid", lambda: 1000)
        with pytest.raises(UsageProblem, match="only root can give"):
            restored(site, tmp_path / "new")
    nothing_left(tmp_path / "new")


def test_a_socket_directory_that_is_another_users_is_told(site: Site, tmp_path: Path) -> None:
    (sockets := tmp_path / "s").mkdir(mode=0o755)
    notes = {}
    for owner in ("postgres", "65533"):
        os.chown(sockets, int(owner) if owner.isdigit() else 0, -1)
        wanted = NewServer(directory=tmp_path / "new", sockets=sockets, owner=owner)
        asked = Request(to=str(tmp_path / "new"), new_server=wanted)
        with restoring(Job(site.loaded(), "crm"), asked, site.services(), Quiet(), dry_run=True) as one:
            notes[owner] = [note for note in one.result.notes if "its server cannot make its socket" in note]
    assert [len(found) for found in notes.values()] == [1, 0], notes


def test_a_file_tree_has_no_server(site: Site, tmp_path: Path) -> None:
    site.recordings(tmp_path)
    done = made(site, "recordings", tmp_path / "new")
    assert done.code == 2 and "has no server of its own" in done.stderr and "--to DIR" in done.stderr, done
    nothing_left(tmp_path / "new")


def test_a_full_disk_is_no_fault_of_the_backup(site: Site, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "2g"):
        hog = tmp_path / "disk" / "hog"

        with filled_by_load(PostgresMaker, hog):
            result = restored(site, tmp_path / "disk" / "new")
        assert (result.result, result.exit_code) == ("FAILED", 3) and "disk space ran out" in str(result.reason), result
        hog.unlink()
        nothing_left(tmp_path / "disk" / "new")
    assert_clean(site)


def test_settings_that_it_does_not_have_are_told_before_the_load(site: Site, tmp_path: Path) -> None:
    wanted = NewServer(directory=tmp_path / "new", settings={"shared_bufers": "1GB"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresMaker, "load", None)
        result = restored(site, tmp_path / "new", wanted=wanted)
    assert (result.result, result.exit_code) == ("FAILED", 3) and "shared_bufers" in str(result.reason), result
    nothing_left(tmp_path / "new")


def test_nobody_reaches_it_and_failed_checks_leave_it_without_its_name(site: Site, tmp_path: Path) -> None:
    """Until its checks have passed it listens in its container alone, which has no network."""
    site.write("restore_tests/crm.yaml", "restore_test: crm\nchecks:\n  - {kind: rows, table: call, at_least: 9999}\n")
    home, port, seen = tmp_path / "new", free_port(), []
    really = OntoNewServer.check

    def looked_at(way: OntoNewServer, progress: Progress) -> list[CheckResult]:
        assert way.box is not None
        argv = ["docker", "inspect", "--format", "{{.HostConfig.NetworkMode}}", way.box.id]
        seen.append(subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip())
        seen.extend(listening(way.maker, way.site.address, way.order.manifest))
        assert not list(way.staging.root.rglob(".s.PGSQL*")) and not home.exists()
        return really(way, progress)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OntoNewServer, "check", looked_at)
        result = restored(site, home, wanted=NewServer(directory=home, port=port))
    assert seen == ["none"]
    (kept,) = tmp_path.glob(".new.ccdr-restore-*")
    assert (result.result, result.exit_code) == ("FAILED", 1) and not home.exists(), result
    assert str(kept / "tree") in str(result.left_behind)


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
    """Its server's container was killed while the checks ran, and so was ccdr, for all that it could do. One of them in
    a directory that is a disk of its own."""

    def dies(way: OntoNewServer, progress: Progress) -> None:
        assert way.box is not None
        subprocess.run(["docker", "kill", way.box.id], check=True, capture_output=True)
        raise KeyboardInterrupt

    with small_disk(tmp_path / "crm", "3g"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(OntoNewServer, "check", dies)
            for asset in ("crm", "whole"):
                with pytest.raises(KeyboardInterrupt):
                    restored(site, tmp_path / asset, asset, working="one")
        assert not (tmp_path / "whole").exists() and (tmp_path / ".whole.ccdr-restore-one" / LOADED).exists()
        assert [p.name for p in (tmp_path / "crm").iterdir()] == [".ccdr-restore-one"]
        yield site


def test_what_was_loaded_is_not_loaded_again(killed: Site, tmp_path: Path) -> None:
    """Nor where it had been settled, and lacked its name alone: it is opened, and settled once more. What the planner
    goes by, which was still being gathered, is gathered then."""
    seen, lacking = PostgresMaker.see_analyzed, list[bool]()

    def stopped(staging: Staging, host: Place) -> None:
        raise KeyboardInterrupt

    def analyzed(maker: PostgresMaker, box: Place, env: dict[str, str]) -> None:
        lacking.append(maker.lacks_statistics(box, env))
        seen(maker, box, env)
        lacking.append(maker.lacks_statistics(box, env))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PostgresMaker, "see_analyzed", analyzed)
        patch.setattr(PostgresMaker, "load", None)  # whoever asks for it fails
        with pytest.MonkeyPatch.context() as at_last, pytest.raises(KeyboardInterrupt):
            at_last.setattr(Staging, "finish", stopped)
            restored(killed, tmp_path / "whole", "whole", working="one")
        assert (tmp_path / ".whole.ccdr-restore-one" / "tree" / LEFT).exists() and not (tmp_path / "whole").exists()
        for asset in ("crm", "whole"):
            result = restored(killed, tmp_path / asset, asset, working="one")
            assert result.result == "RESTORED" and result.exit_code == 0, result
            assert {c.status.value for c in result.checks} == {"PASS", "SKIPPED"}, result.checks
            assert LeftServer.read(tmp_path / asset).untouched
            assert not list(tmp_path.glob(f".{asset}.*")) and not list(tmp_path.glob(f"{asset}/.*"))
    assert len(lacking) == 2 and not lacking[-1], "of the dump alone"
    assert_clean(killed)
