"""A listing made true of what restic says it stored, whatever its names are."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.harness import Quiet
from tests.support.stored import LONG_AGO, settled_file

from ccdr.engines.files.capture import KINDS, Amended, amend, capture, changed_since
from ccdr.engines.files.scan import LISTING, WAITING, TreeEntry, as_restic_says, read_listing, walk
from ccdr.host.clock import SystemClock
from ccdr.host.digests import Digest
from ccdr.host.processes import Host
from ccdr.model.errors import CommandFailed
from ccdr.ports.capture import StoredNode, Tools

TOOLS = Tools(SystemClock(), Quiet(), Digest(Host()), 1.0)


@dataclass
class Tree:
    """A tree that is listed, and what restic would say of it at any time."""

    root: Path
    into: Path

    def file(self, name: bytes, at: float = LONG_AGO) -> Path:
        return settled_file(Path(os.fsdecode(os.fsencode(self.root) + b"/" + name)), name, at)

    def listed(self) -> None:
        capture([self.root], 0.0, "tree", self.into, TOOLS)

    def stored(self) -> list[StoredNode]:
        return [
            StoredNode(as_restic_says(e.path), KINDS[e.type], e.size, e.mtime, e.ctime, e.inode)
            for e in walk(str(self.root), str(self.root))
        ]

    def amended(self, nodes: list[StoredNode]) -> tuple[Amended, dict[str, TreeEntry]]:
        done = amend(self.into, [str(self.root)], iter(nodes), TOOLS)
        with (self.into / LISTING).open(encoding="ascii") as lines:
            entries = list(read_listing(lines))
        return done, {entry.path: entry for entry in entries if entry.path != str(self.root)}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    made = Tree(tmp_path / "tree", tmp_path / "into")
    made.into.mkdir()
    return made


ODD = [b"caf\xe8.wav", b"caf\xe9.wav", b"caf\xff\xfe.wav", "caf\ufffd.wav".encode(), b"at rest.wav"]


def test_names_that_look_alike_to_restic_are_told_apart(tree: Tree) -> None:
    files = [tree.file(name) for name in ODD]
    tree.listed()
    done, entries = tree.amended(tree.stored())
    assert (done.gone, done.doubtful, done.refused) == (0, 0, [])
    assert sorted(entries) == sorted(map(str, files))
    assert all(entry.sha256 for entry in entries.values())


def test_of_names_that_look_alike_the_one_that_went_is_listed_no_more(tree: Tree) -> None:
    went, stays = tree.file(b"caf\xe8.wav"), tree.file(b"caf\xe9.wav")
    tree.listed()
    went.unlink()
    done, entries = tree.amended(tree.stored())
    assert (done.gone, done.doubtful, done.refused) == (1, 0, [])
    assert list(entries) == [str(stays)]


def test_a_name_that_is_no_utf8_and_came_meanwhile_is_told_as_unproven(tree: Tree) -> None:
    tree.file(b"at rest.wav")
    tree.listed()
    came = tree.file(b"caf\xe9.wav")
    done, entries = tree.amended(tree.stored())
    assert (done.doubtful, entries[as_restic_says(str(came))].type) == (1, WAITING)


@pytest.mark.parametrize("twice", [False, True])
def test_what_was_moved_is_proven_under_its_next_name(tree: Tree, *, twice: bool) -> None:
    """Before restic came to it, or between its names."""
    path = tree.file(b"call.wav")
    tree.file(b"stays.wav")
    tree.listed()
    before = [node for node in tree.stored() if node.path == str(path)]
    path.rename(path.with_name("moved.wav"))
    done, entries = tree.amended(tree.stored() + (before if twice else []))
    assert (done.gone, done.moved, done.doubtful) == ((0, 0, 0) if twice else (1, 1, 0))
    assert entries[str(path.with_name("moved.wav"))].sha256 == sha256(b"call.wav").hexdigest()
    assert (str(path) in entries) is twice


def taken_away(path: Path) -> None:
    path.unlink()


def another_in_its_place(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another")
    other.rename(path)


@pytest.mark.parametrize("changed", [taken_away, another_in_its_place])
@pytest.mark.parametrize(("rested", "proven"), [(3600.0, True), (1.0, False)])
def test_what_went_after_it_was_stored_is_proven_where_nobody_wrote_to_it(
    tree: Tree, changed: Callable[[Path], None], rested: float, *, proven: bool
) -> None:
    """Who writes to a file and then takes it away leaves nothing to look at."""
    tree.file(b"stays.wav")
    path = tree.file(b"call.wav", time.time() - rested)
    tree.listed()
    nodes = tree.stored()
    changed(path)
    done, entries = tree.amended(nodes)
    assert (entries[str(path)].type == "f", done.doubtful) == (proven, int(not proven))


def test_what_restic_left_out_though_it_is_there_is_refused(tree: Tree) -> None:
    tree.file(b"read.wav")
    unread = tree.file(b"unread.wav")
    tree.listed()
    done, _ = tree.amended([node for node in tree.stored() if node.path != str(unread)])
    assert done.refused == [str(unread)]


def closed_to_restic(path: Path) -> None:
    """Its mode alone changes: the inode's time, and nothing else."""
    path.chmod(0)


def written_to(path: Path) -> None:
    path.write_bytes(b"longer than before")


@pytest.mark.parametrize("changed", [closed_to_restic, written_to])
def test_what_changed_and_was_left_out_though_it_is_there_is_refused(
    tree: Tree, changed: Callable[[Path], None]
) -> None:
    """A directory that is closed between the listing and the storing takes all that is below it along."""
    tree.file(b"read.wav")
    unread = tree.file(b"unread.wav")
    tree.listed()
    changed(unread)
    done, _ = tree.amended([node for node in tree.stored() if node.path != str(unread)])
    assert done.refused == [str(unread)]


NO_ANSWER = ["EACCES", "EPERM", "EIO", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN"]


def refusing(monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
    lstat = os.lstat

    def refused(asked: str) -> os.stat_result:
        if asked == str(path):
            raise OSError(number, os.strerror(number), asked)
        return lstat(asked)

    monkeypatch.setattr(os, "lstat", refused)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("name", [*NO_ANSWER, "ENOENT", "ENOTDIR"])
def test_only_what_is_not_there_has_gone(
    tree: Tree, name: str, monkeypatch: pytest.MonkeyPatch, *, stored: bool
) -> None:
    """What cannot be looked at may be there, with all that is below it."""
    tree.file(b"stays.wav")
    path = tree.file(b"call.wav")
    tree.listed()
    nodes = [node for node in tree.stored() if stored or node.path != str(path)]
    refusing(monkeypatch, path, getattr(errno, name))
    if name in NO_ANSWER:
        with pytest.raises(CommandFailed) as raised:
            tree.amended(nodes)
        assert "call.wav" not in str(raised.value) and "call.wav" in raised.value.stderr
    else:
        done, entries = tree.amended(nodes)
        assert (done.gone, done.refused, str(path) in entries) == (int(not stored), [], stored)


@pytest.mark.parametrize("name", [*NO_ANSWER, "ENOENT", "ENOTDIR"])
def test_a_directory_that_cannot_be_looked_at_has_not_merely_changed(
    tree: Tree, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.file(b"call.wav")
    (tree.root / "day").mkdir()
    tree.listed()
    refusing(monkeypatch, tree.root / "day", getattr(errno, name))
    if name in NO_ANSWER:
        with pytest.raises(CommandFailed):
            list(changed_since(tree.into / LISTING, time.time() + 60))
    else:
        assert list(changed_since(tree.into / LISTING, time.time() + 60)) == [str(tree.root / "day")]


@pytest.mark.parametrize("came", [True, False])
def test_what_came_is_seen_though_its_directory_has_its_old_time_again(tree: Tree, *, came: bool) -> None:
    """As `cp -a` and rsync leave it; its twin is a tree in which nothing came."""
    tree.file(b"call.wav")
    os.utime(tree.root, (LONG_AGO, LONG_AGO))
    time.sleep(0.1)
    began = time.time()
    tree.listed()
    if came:
        tree.file(b"new.wav")
        os.utime(tree.root, (LONG_AGO, LONG_AGO))
    assert list(changed_since(tree.into / LISTING, began)) == ([str(tree.root)] if came else [])
