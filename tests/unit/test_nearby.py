"""A repository that is lost together with what it protects is known as such."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ccdr.host import nearby
from ccdr.host.nearby import DISK, MACHINE, Mount, mounts_in, near, overlap, places

elsewhere = pytest.mark.skipif(
    not Path("/dev/shm").is_dir() or os.stat("/dev/shm").st_dev == os.stat("/var/tmp").st_dev,
    reason="this host has no second file system",
)


@pytest.fixture
def shm(tmp_path: Path) -> Path:
    return Path("/dev/shm")


def test_the_same_file_system(tmp_path: Path) -> None:
    assert near(tmp_path / "repo", [tmp_path / "tree"], on_this_host=True) == DISK, "of what is there of either"


@elsewhere
def test_another_file_system(tmp_path: Path, shm: Path) -> None:
    assert near(shm / "repo", [Path("/var/tmp/x")], on_this_host=True) is None
    assert near(shm / "repo", [Path("/var/tmp/x"), shm], on_this_host=True) == DISK


def test_a_server_of_this_host_and_one_of_another(tmp_path: Path) -> None:
    assert near(tmp_path, [], on_this_host=True) == MACHINE and near(tmp_path, [], on_this_host=False) is None


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "ceph"])
def test_a_file_system_of_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    there = Mount(tmp_path, kind, "vault:/srv", "0:77")
    monkeypatch.setattr(nearby, "mount_here", lambda path: there)
    assert near(tmp_path, [tmp_path], on_this_host=True) is None
    monkeypatch.setattr(nearby, "mount_here", lambda path: Mount(tmp_path, "ext4", "/dev/sda1", "8:1"))
    assert near(tmp_path, [tmp_path], on_this_host=True) == DISK


def test_partitions_and_mapped_devices_lie_on_their_disks(tmp_path: Path) -> None:
    """As sysfs shows it: two partitions of one disk, LVM over one of them and another disk, a bare disk."""
    for name, part in (("sda", None), ("sda/sda1", "1"), ("sda/sda2", "2"), ("sdb", None), ("dm-0", None)):
        (tmp_path / "devices" / name / "slaves").mkdir(parents=True)
        if part:
            (tmp_path / "devices" / name / "partition").write_text(part)
    for slave in ("sda/sda2", "sdb"):
        (tmp_path / "devices" / "dm-0" / "slaves" / Path(slave).name).symlink_to(tmp_path / "devices" / slave)
    found = {
        name: nearby._beneath(tmp_path / "devices" / name) for name in ("sda/sda1", "sda/sda2", "sdb", "dm-0", "no")
    }
    assert found == {
        "sda/sda1": {"sda"},
        "sda/sda2": {"sda"},
        "sdb": {"sdb"},
        "dm-0": {"sda", "sdb"},
        "no": frozenset(),
    }


_TABLE = [
    "1 0 8:1 / / rw - ext4 /dev/sda1 rw",
    "2 1 8:2 / /srv rw - ext4 /dev/sda2 rw",
    "3 1 8:2 /rec/2026 /twin rw - ext4 /dev/sda2 rw",
    "4 1 8:3 / /srv/rec/old rw - ext4 /dev/sda3 rw",
]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/srv/rec", "/srv/rec", True),
        ("/srv/rec", "/srv/rec/2026", True),
        ("/srv/rec", "/srv/records", False),
        ("/srv/rec", "/twin/01", True),
        ("/srv/rec/2026/01", "/twin", True),
        ("/srv/rec/2025", "/twin", False),
        ("/srv/rec", "/srv/rec/old/x", True),
        ("/rec/2026", "/twin", False),
    ],
)
def test_paths_that_lie_in_each_other_wherever_they_are_mounted(one: str, other: str, expected: bool) -> None:
    mounts = tuple(mounts_in(_TABLE))
    first, second = places(Path(one), mounts), places(Path(other), mounts)
    assert overlap(first, second) is overlap(second, first) is expected
