"""What is left of a repository that did not open: is it damage, or does nothing show that?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.storage.remains import Directory, damage

PACK = "ab" + "0" * 62


def key(repository: Path, content: bytes, *, whole: bool) -> None:
    """A key's name is its digest; one that was written over keeps its name."""
    name = hashlib.sha256(content).hexdigest()
    (repository / "keys" / name).write_bytes(content if whole else b"junk")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    (tmp_path / "data/ab").mkdir(parents=True)
    (tmp_path / f"data/ab/{PACK}").write_bytes(b"pack")
    (tmp_path / "config").write_bytes(b"x" * 155)
    return tmp_path


@pytest.mark.parametrize(("whole", "bad", "damaged"), [
    (1, 0, False), (1, 1, False), (1, 2, False), (2, 1, False),
    (0, 1, True), (0, 2, True), (0, 0, True),
])  # fmt: skip
def test_bad_keys_are_damage_only_where_none_is_whole(repository: Path, whole: int, bad: int, damaged: bool) -> None:
    """A wrong password does not open a repository either: a key that is whole says that it could be that."""
    for number in range(whole):
        key(repository, b"whole %d" % number, whole=True)
    for number in range(bad):
        key(repository, b"bad %d" % number, whole=False)
    said = damage(Directory(repository), undecipherable=False)
    assert (said is not None) is damaged, said


def test_a_config_that_does_not_decrypt_is_damage_whatever_a_junk_key_says(
    repository: Path, wording: SnapshotAssertion
) -> None:
    key(repository, b"whole", whole=True)
    key(repository, b"bad", whole=False)
    assert damage(Directory(repository), undecipherable=True) == wording


@pytest.mark.parametrize("linked", ["config", "key", "keys", "keys, to a mount point"])
def test_a_link_that_leads_to_nothing_may_be_a_disk_that_is_not_mounted(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, linked: str
) -> None:
    """Its twin is really gone: then there is no link either."""
    disk = tmp_path_factory.mktemp("disk")
    key(repository, b"whole", whole=True)
    (name,) = (repository / "keys").iterdir()
    what = {"config": repository / "config", "key": name}.get(linked, repository / "keys")
    there = what.rename(disk / what.name)
    what.symlink_to(there)
    assert damage(Directory(repository), undecipherable=False) is None, "mounted"
    there.rename(disk / "away")
    if "mount point" in linked:
        there.mkdir()
    assert damage(Directory(repository), undecipherable=False) is None, "not mounted"
    what.unlink()
    assert damage(Directory(repository), undecipherable=False), "gone"
