"""What `ccdr doctor` makes of this host: restic, disks, scratch, the state directory. Every red line has its green twin."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.findings import FAIL, OK, WARN, states
from tests.support.harness import Site

from ccdr.host.at_rest import Kept, at_rest, encrypted
from ccdr.host.clock import SystemClock
from ccdr.host.nearby import mount_of, mounts_in
from ccdr.host.processes import Host
from ccdr.jobs.restore_test.job import recorded_place
from ccdr.model.values import Health
from ccdr.plans.job import Job
from ccdr.setup.doctor import machine


def fake_restic(directory: Path, says: str) -> Host:
    program = directory / "restic"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return Host(dirs=(str(directory),))


@pytest.mark.parametrize(
    ("says", "state"),
    [
        ("restic 0.18.0 compiled with go1.24.4 on linux/amd64", OK),
        ("restic 1.0.0", OK),
        ("restic 0.17.3 compiled with go", WARN),
        ("restic 0.16.4 compiled with go", FAIL),
        ("restic 0.9.6", FAIL),
        ("what?", FAIL),
    ],
)
def test_restic_is_new_enough(tmp_path: Path, says: str, state: Health) -> None:
    assert states(machine.programs(fake_restic(tmp_path, says)))[-1] is state


def test_no_restic_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    *_, last = machine.programs(Host())
    assert last.state is FAIL and "not installed" in last.answer


MOUNTS = r"""
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 27 0:27 / /var/lib/ccdr/scratch rw - tmpfs tmpfs rw
31 27 253:1 / /mnt/with\040space rw shared:1 master:2 - xfs /dev/mapper/crypt rw
32 27 8:1 / /mnt/over rw - ext4 /dev/sda1 rw
33 32 8:2 / /mnt/over rw - ext3 /dev/sda2 rw
garbage
""".splitlines()


@pytest.mark.parametrize(
    ("path", "kind", "device"),
    [
        ("/home/x", "ext4", "254:0"),
        ("/var/lib/ccdr/scratch/run-1", "tmpfs", "0:27"),
        ("/var/lib/ccdr/scratchy", "ext4", "254:0"),
        ("/mnt/with space/a", "xfs", "253:1"),
        ("/mnt/over/a", "ext3", "8:2"),
    ],
)
def test_mount_of_a_path(path: str, kind: str, device: str) -> None:
    found = mount_of(Path(path), mounts_in(MOUNTS))
    assert found and (found.kind, found.device) == (kind, device)


def test_encrypted_device(tmp_path: Path) -> None:
    """As sysfs shows it: LUKS itself, LVM on LUKS, LVM over one encrypted and one plain disk, a plain disk."""

    def device(name: str, uuid: str | None = None, below: tuple[str, ...] = ()) -> None:
        (tmp_path / name / "slaves").mkdir(parents=True)
        if uuid:
            (tmp_path / name / "dm").mkdir()
            (tmp_path / name / "dm" / "uuid").write_text(uuid)
        for n, other in enumerate(below):
            (tmp_path / name / "slaves" / f"s{n}").mkdir()
            (tmp_path / name / "slaves" / f"s{n}" / "dev").write_text(f"{other}\n")

    device("8:1")
    device("253:0", "CRYPT-LUKS2-abc", ("8:1",))
    device("253:1", "LVM-abc", ("253:0",))
    device("253:2", "LVM-abc", ("253:0", "8:1"))
    found = {name: encrypted(name, tmp_path) for name in ("8:1", "253:0", "253:1", "253:2", "9:9")}
    assert found == {"8:1": False, "253:0": True, "253:1": True, "253:2": False, "9:9": False}


def test_scratch_in_memory_and_not() -> None:
    assert states([machine.scratch(Path("/dev/shm"))]) == [OK]
    assert states([machine.scratch(Path("/usr"))])[0] in (OK, WARN)  # whatever this machine has


def test_state_directory(plain: Site) -> None:
    services, jobs = plain.services(), [Job(plain.loaded(), "recordings")]
    first = list(machine.state(services, jobs))
    assert first[0].state is OK and "does not exist yet" in first[0].answer
    assert not plain.state.exists(), "looking does not make it"
    services.state.directory()
    assert states(machine.state(services, jobs))[0] is OK
    plain.state.chmod(0o755)
    seen = next(machine.state(services, jobs))
    assert seen.state is FAIL and seen.do == f"chmod 700 {plain.state}"


def test_state_directory_below_a_file(plain: Site) -> None:
    (plain.root / "file").write_text("")
    plain.state.parent.joinpath("state").symlink_to(plain.root / "file")
    assert states(machine.state(plain.services(), [])) == [FAIL]


def test_too_little_disk_for_the_largest_asset(plain: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    services, jobs = plain.services(), [Job(plain.loaded(), "recordings")]
    for free, state in ((2**40, OK), (3 * 2**30 // 2, WARN), (2**29, FAIL)):
        usage = type(shutil.disk_usage("/"))(2**41, 0, free)
        monkeypatch.setattr(machine, "scratch_need", lambda *_: 2**30)
        monkeypatch.setattr(machine.shutil, "disk_usage", lambda _, usage=usage: usage)
        assert states(machine.state(services, jobs))[1] is state, free


def test_what_a_killed_run_left_is_named_with_what_removes_it(plain: Site) -> None:
    services = plain.services()
    (look,) = machine.leftovers(services, docker=False)
    assert look.state is OK and "Docker was not asked" in look.answer
    services.state.directory("scratch", "run-20261124T120000-abcdef").joinpath("fetched").mkdir()
    services.state.directory("scratch", "capture", "p", "recordings")
    (look,) = machine.leftovers(services, docker=False)
    assert look.state is WARN and look.do == "`ccdr sandbox reap` removes them"
    assert "scratch run-20261124T120000-abcdef" in look.answer and "capture of p/recordings" in look.answer
    with services.state.lock("p", "recordings", "backup"), services.state.run(SystemClock()):
        (look,) = machine.leftovers(services, docker=False)
    assert "capture" not in look.answer, "a backup that is under way has left nothing"
    assert services.state.captures() == [("p", "recordings")], "looking removes nothing"


def test_that_no_run_has_come_by_itself_is_a_warning_once_something_was_begun(plain: Site) -> None:
    state = plain.services().state
    assert [*machine.called("p", state, begun=False)] == []
    (look,) = machine.called("p", state, begun=True)
    assert look.state is WARN and "`ccdr status PLAN -v` has the line" in str(look.do)
    state.root.mkdir(exist_ok=True)
    (state.root / "by-itself.json").write_text('{"p": "2026-11-28T09:00:00Z"}')
    assert states(machine.called("p", state, begun=True)) == [OK]
    assert states(machine.called("another", state, begun=True)) == [WARN]


def test_where_data_lies_is_told_without_a_path() -> None:
    there = at_rest(Path("/dev/shm/not-there-yet"))
    assert there.kept is Kept.IN_MEMORY
    lies = recorded_place(Path("/dev/shm/not-there-yet"))
    assert (lies.kept, lies.filesystem) == ("memory", "tmpfs") and "shm" not in str(lies)
