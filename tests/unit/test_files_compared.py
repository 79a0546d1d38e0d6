"""What is concluded of a restored tree beside its listing: one damage each, and the tree that came back as it was."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID

from ccdr.engines.files import comparison, scan
from ccdr.engines.files.comparison import identical, whole
from ccdr.engines.files.scan import LISTING, WAITING, Keeps, TreeEntry
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
FILES = {
    "/srv/spool/a.wav": b"RIFF a",
    "/srv/spool/b.wav": b"RIFF b",
    "/srv/spool/day/c.wav": b"RIFF cc",
    "/srv/voice": b"RIFF",
}
EARLIER = 1_700_000_000_000_000_000


@dataclass
class Tree:
    """A tree that was restored, and what was listed of it when it was captured: the same, until one is damaged."""

    top: Path
    roots: list[str] = field(default_factory=lambda: ["/srv/spool", "/srv/voice"])
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    listed: dict[str, TreeEntry] = field(default_factory=dict)
    contents: dict[str, Any] = field(default_factory=dict)
    hashed: list[str] = field(default_factory=list)

    def at(self, path: str) -> Path:
        return Path(f"{self.top}/fetched{path}")

    @property
    def listing(self) -> Path:
        return self.top / "restored" / LISTING

    def capture(self) -> None:
        self.listed = {}
        for root in self.roots:
            for entry in scan.walk(str(self.at(root)), root):
                sha = sha256(self.at(entry.path).read_bytes()).hexdigest() if entry.type == "f" else None
                self.listed[entry.path] = entry._replace(sha256=sha)
        files = [e for e in self.listed.values() if e.type == "f"]
        self.contents = {
            "roots": self.roots,
            "files": len(files),
            "bytes": sum(e.size for e in files),
            "owners": True,
            "attributes": 0,
        }

    def was(self, path: str, **other: object) -> None:
        """The listing says otherwise."""
        self.listed[path] = self.listed[path]._replace(**cast("Any", other))

    @property
    def context(self) -> CheckContext:
        self.listing.write_text("".join(entry.line() for entry in self.listed.values()))
        contents = {"listing_sha256": sha256(self.listing.read_bytes()).hexdigest(), **self.contents}
        manifest = Manifest("p", "spool", "r", "files", "copy", "h", NOW, 0.0, {}, contents, {}, attested=SAID)

        def digest(root: Path, names: Sequence[str]) -> dict[str, FileDigest]:
            self.hashed += names
            return {n: FileDigest(0, sha256((root / n).read_bytes()).hexdigest()) for n in names}

        fetched, restored, out = (self.top / name for name in ("fetched", "restored", "out"))
        return CheckContext(manifest, fetched, restored, out, None, cast("Any", None), cast("Any", digest))

    def results(self) -> list[CheckResult]:
        return list(identical(self.context))

    def one(self) -> CheckResult:
        (one,) = self.results()
        return one


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    """Four files, a link, a pipe and a device (which only root can make), in two roots. By root, as the capture was."""
    tree = Tree(tmp_path)
    for name in ("fetched", "restored", "out"):
        (tmp_path / name).mkdir()
    for path, content in FILES.items():
        tree.at(path).parent.mkdir(parents=True, exist_ok=True)
        tree.at(path).write_bytes(content)
        os.utime(tree.at(path), ns=(EARLIER, EARLIER))
    tree.at("/srv/spool/latest").symlink_to("day/c.wav")
    os.mkfifo(tree.at("/srv/spool/pipe"))

    def attributes_of(path: str) -> Mapping[str, str] | None:
        return tree.attributes.get(path.removeprefix(f"{tmp_path}/fetched"))

    monkeypatch.setattr(scan, "attributes_of", attributes_of)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    tree.capture()
    return tree


def linked(tree: Tree, one: str, other: str) -> None:
    """They were one file when they were captured, and so they are restored."""
    tree.at(other).unlink()
    os.link(tree.at(one), tree.at(other))
    tree.capture()


ALL = "4 files, 23 bytes"
EQUAL = "4 files equal by SHA-256"


def test_a_tree_that_came_back_as_it_was_passes_and_says_so(tree: Tree) -> None:
    one = tree.one()
    assert one == CheckResult("identical", "files", Verdict.PASS, ALL, EQUAL)
    assert sorted(tree.hashed) == sorted([LISTING, *(path.lstrip("/") for path in FILES)]), "each once, and whole"


def test_another_listing_than_the_captured_fails_before_anything_else_is_looked_at(tree: Tree) -> None:
    tree.contents["listing_sha256"] = "0" * 64
    assert tree.one() == CheckResult("identical", "listing", Verdict.FAIL, "the captured listing", "another listing")
    assert tree.hashed == [LISTING]


def gone(tree: Tree) -> None:
    tree.at("/srv/spool/b.wav").unlink()


def folder_instead(tree: Tree) -> None:
    tree.at("/srv/spool/b.wav").unlink()
    tree.at("/srv/spool/b.wav").mkdir(mode=0o644)


def flipped(tree: Tree) -> None:
    tree.at("/srv/spool/b.wav").write_bytes(b"RIFF X")
    os.utime(tree.at("/srv/spool/b.wav"), ns=(EARLIER, EARLIER))


def longer(tree: Tree) -> None:
    tree.at("/srv/spool/b.wav").write_bytes(b"RIFF bb")
    os.utime(tree.at("/srv/spool/b.wav"), ns=(EARLIER, EARLIER))


def leads_elsewhere(tree: Tree) -> None:
    tree.was("/srv/spool/latest", target="a.wav")


def other_mode(tree: Tree) -> None:
    tree.at("/srv/spool/b.wav").chmod(0o600)


def folder_open_to_all(tree: Tree) -> None:
    tree.at("/srv/spool/day").chmod(0o777)


def later(tree: Tree) -> None:
    os.utime(tree.at("/srv/spool/b.wav"), ns=(EARLIER, EARLIER + 1))


def link_later(tree: Tree) -> None:
    os.utime(tree.at("/srv/spool/latest"), ns=(1, 1), follow_symlinks=False)


def link_gone(tree: Tree) -> None:
    tree.at("/srv/spool/latest").unlink()


def other_owner(tree: Tree) -> None:
    tree.was("/srv/spool/b.wav", uid=tree.listed["/srv/spool/b.wav"].uid + 1)


def other_group(tree: Tree) -> None:
    tree.was("/srv/spool/b.wav", gid=tree.listed["/srv/spool/b.wav"].gid + 1)


def socket_was_a_pipe(tree: Tree) -> None:
    tree.was("/srv/spool/pipe", type="c", device=1)


MISSING = ("1 missing, 0 changed, 3 equal", "missing: /srv/spool/b.wav")
BROKEN = "0 missing, 1 changed, 3 equal"
BESIDE_FILES = "0 missing, 1 changed, 4 equal"


@pytest.mark.parametrize(
    ("damage", "actual", "detail"),
    [
        (gone, *MISSING),
        (link_gone, "1 missing, 0 changed, 4 equal", "missing: /srv/spool/latest"),
        (folder_instead, BROKEN, "type differs: /srv/spool/b.wav"),
        (flipped, BROKEN, "contents differ: /srv/spool/b.wav"),
        (longer, BROKEN, "size differs: /srv/spool/b.wav"),
        (other_mode, BROKEN, "mode differs: /srv/spool/b.wav"),
        (later, BROKEN, "modification time differs: /srv/spool/b.wav"),
        (other_owner, BROKEN, "owner differs: /srv/spool/b.wav"),
        (other_group, BROKEN, "owner differs: /srv/spool/b.wav"),
        (leads_elsewhere, BESIDE_FILES, "target differs: /srv/spool/latest"),
        (link_later, BESIDE_FILES, "modification time differs: /srv/spool/latest"),
        (folder_open_to_all, BESIDE_FILES, "mode differs: /srv/spool/day"),
        (socket_was_a_pipe, BESIDE_FILES, "type differs: /srv/spool/pipe"),
    ],
)
def test_what_differs_in_one_way_fails_and_is_named_to_a_person_alone(
    tree: Tree, damage: Callable[[Tree], None], actual: str, detail: str
) -> None:
    damage(tree)
    one = tree.one()
    assert (one.kind, one.name, one.status, one.expected) == ("identical", "files", Verdict.FAIL, ALL)
    assert (one.actual, one.detail) == (actual, detail)


def test_a_folders_time_and_a_links_mode_are_nobodys(tree: Tree) -> None:
    tree.was("/srv/spool/day", mtime=1)
    tree.was("/srv/spool/pipe", mtime=1)
    tree.was("/srv/spool/latest", mode=0o755)
    assert (tree.one().status, tree.one().actual) == (Verdict.PASS, EQUAL)


def test_a_file_in_a_root_that_is_captured_twice_is_looked_at_once(tree: Tree) -> None:
    tree.contents["roots"] = ["/srv/voice", "/srv/spool", "/srv/spool/"]
    assert tree.one().actual == EQUAL


def test_roots_are_looked_at_as_they_were_listed_in_whatever_order_the_plan_names_them(tree: Tree) -> None:
    tree.roots = [f"/srv/{name}" for name in "abcdefgh"]
    for path in tree.roots:
        tree.at(path).touch()
    tree.capture()
    tree.contents["roots"] = ["/srv/c", "/srv/h", "/srv/a", "/srv/g", "/srv/b", "/srv/f", "/srv/e", "/srv/d"]
    assert (tree.one().status, tree.one().actual) == (Verdict.PASS, "8 files equal by SHA-256")


def test_a_root_that_did_not_come_back_is_missing_whole(tree: Tree) -> None:
    for path in sorted(tree.at("/srv/spool").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    tree.at("/srv/spool").rmdir()
    one = tree.one()
    assert one.status is Verdict.FAIL and one.actual == "7 missing, 0 changed, 1 equal"


def test_what_was_never_captured_fails(tree: Tree) -> None:
    tree.at("/srv/spool/z.wav").write_bytes(b"planted")
    one = tree.one()
    assert (one.status, one.actual) == (Verdict.FAIL, f"{EQUAL}, 1 that were never captured")
    assert one.detail == "never captured: /srv/spool/z.wav"


def test_fewer_files_than_the_manifest_counts_fail_though_each_is_equal(tree: Tree) -> None:
    tree.contents["files"], tree.contents["bytes"] = 5, 99
    one = tree.one()
    assert (one.status, one.expected, one.actual) == (Verdict.FAIL, "5 files, 99 bytes", EQUAL)


def test_one_file_is_counted_as_one(tree: Tree) -> None:
    tree.contents |= {"files": 1, "bytes": 4, "roots": ["/srv/voice"]}
    tree.listed = {"/srv/voice": tree.listed["/srv/voice"]}
    assert (tree.one().expected, tree.one().actual) == ("1 file, 4 bytes", "1 file equal by SHA-256")


def test_many_differences_are_counted_and_some_are_named(tree: Tree) -> None:
    for n in range(21):
        tree.at(f"/srv/spool/z{n:02}").touch()
    one = tree.one()
    assert one.actual == f"{EQUAL}, 21 that were never captured"
    assert one.detail == "\n".join(f"never captured: /srv/spool/z{n:02}" for n in range(20))


@pytest.mark.parametrize("there", [True, False])
def test_what_waited_to_settle_is_not_proven_and_not_asked_for(tree: Tree, there: bool) -> None:
    tree.listed["/srv/spool/b.wav"] = tree.listed["/srv/spool/b.wav"].waiting(1.0)
    assert tree.listed["/srv/spool/b.wav"].type == WAITING
    tree.contents["files"] = 3
    if not there:
        gone(tree)
    said = "; not compared: 1 that came or changed while the backup ran" if there else ""
    assert (tree.one().status, tree.one().actual) == (Verdict.PASS, f"3 files equal by SHA-256{said}")
    tree.was("/srv/spool/a.wav", sha256="0" * 64)
    assert tree.one().actual == f"0 missing, 1 changed, 2 equal{said}"


def test_more_than_one_damage_is_counted_by_its_kind(tree: Tree, wording: SnapshotAssertion) -> None:
    gone(tree)
    tree.at("/srv/voice").unlink()
    tree.was("/srv/spool/a.wav", sha256="0" * 64)
    tree.was("/srv/spool/latest", target="nowhere")
    tree.at("/srv/spool/z.wav").write_bytes(b"planted")
    assert tree.one().actual == wording


# --- what cannot be kept, or was never listed ------------------------------------------------------------------------


@pytest.mark.parametrize("time", [2**63, -(2**63) - 1])
def test_a_time_that_restic_cannot_hold_is_told_and_is_no_damage(
    tree: Tree, time: int, wording: SnapshotAssertion
) -> None:
    tree.was("/srv/spool/b.wav", mtime=time)
    one = tree.one()
    assert one.status is Verdict.PASS
    assert one.actual == wording
    assert one.detail == wording
    flipped(tree)
    assert tree.one().status is Verdict.FAIL, "its contents count all the same"


@pytest.mark.parametrize(("number", "same"), [(0, True), (7, False)])
def test_a_device_comes_back_with_its_number(
    tree: Tree, number: int, same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scan.KINDS, stat.S_IFIFO, "b")
    tree.was("/srv/spool/pipe", type="b", device=number)
    one = tree.one()
    assert (one.status is Verdict.PASS) is same and one.detail == (None if same else "device differs: /srv/spool/pipe")


@pytest.mark.parametrize(("captured", "root"), [(True, False), (False, True), (False, False)])
def test_owners_are_compared_only_where_root_captured_and_root_restores(
    tree: Tree, captured: bool, root: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree.contents["owners"] = captured
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    other_owner(tree)
    one = tree.one()
    said = "; not compared: owners, which only root can give back" if captured else ""
    assert (one.status, one.actual) == (Verdict.PASS, f"{EQUAL}{said}")


def test_names_of_one_file_come_back_as_one_file(tree: Tree, wording: SnapshotAssertion) -> None:
    linked(tree, "/srv/spool/a.wav", "/srv/spool/b.wav")
    assert tree.one().status is Verdict.PASS
    flipped_apart = tree.at("/srv/spool/b.wav")
    flipped_apart.unlink()
    flipped_apart.write_bytes(FILES["/srv/spool/a.wav"])
    os.utime(flipped_apart, ns=(EARLIER, EARLIER))
    one = tree.one()
    assert one.status is Verdict.FAIL and one.detail == wording


def test_files_of_their_own_do_not_come_back_as_one(tree: Tree, wording: SnapshotAssertion) -> None:
    tree.at("/srv/spool/b.wav").write_bytes(FILES["/srv/spool/a.wav"])
    os.utime(tree.at("/srv/spool/b.wav"), ns=(EARLIER, EARLIER))
    tree.capture()
    assert tree.one().status is Verdict.PASS
    tree.at("/srv/spool/b.wav").unlink()
    os.link(tree.at("/srv/spool/a.wav"), tree.at("/srv/spool/b.wav"))
    one = tree.one()
    assert one.status is Verdict.FAIL and one.detail == wording


def test_two_pairs_of_names_are_not_mixed_up(tree: Tree, wording: SnapshotAssertion) -> None:
    """Each inode is known by its device too: on two file systems the same number is two files."""
    linked(tree, "/srv/spool/a.wav", "/srv/spool/b.wav")
    tree.was("/srv/spool/b.wav", device=99)
    one = tree.one()
    assert one.status is Verdict.FAIL and one.detail == wording


def test_devices_and_folders_are_never_hard_links_of_each_other(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(scan.KINDS, stat.S_IFIFO, "c")
    os.mkfifo(tree.at("/srv/spool/quipe"))
    tree.capture()
    for name in ("pipe", "quipe"):
        tree.was(f"/srv/spool/{name}", inode=5)
    assert tree.one().status is Verdict.PASS


# --- extended attributes ---------------------------------------------------------------------------------------------

PATH = "/srv/spool/b.wav"


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ({"user.agent": "1"}, {"user.agent": "2"}),
        ({"user.agent": "1"}, {}),
        ({}, {"user.agent": "1"}),
        ({"user.a": "1", "user.agent": "2"}, {"user.a": "1", "user.agent": "1"}),
        ({"user.agent": "1", "user.b": "1"}, {"user.agent": "2", "user.b": "2"}),
        ({"system.posix_acl_access": "1", "user.agent": "1"}, {"user.agent": "1"}),
    ],
)
def test_an_attribute_that_differs_fails_by_its_name(
    tree: Tree, was: dict[str, str], now: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, str]] = []

    def keeps(directory: Path, name: str) -> Keeps:
        asked.append((directory, name))
        return Keeps.YES

    monkeypatch.setattr(comparison, "keeps", keeps)
    tree.was(PATH, attributes=was or None)
    tree.attributes[PATH] = now
    differing = "system.posix_acl_access" if len(was) > len(now) > 0 else "user.agent"
    one = tree.one()
    assert one.status is Verdict.FAIL and one.detail == f"extended attribute {differing} differs: {PATH}"
    lacking = differing not in now
    assert asked == ([(tree.top / "out", differing)] if lacking else []), (
        "what can be kept is tried where it is missing"
    )
    tree.attributes[PATH] = was
    assert tree.one().status is Verdict.PASS


@pytest.mark.parametrize("can", list(Keeps))
def test_an_attribute_that_cannot_be_kept_is_no_damage(
    tree: Tree, can: Keeps, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    asked: list[str] = []

    def keeps(directory: Path, name: str) -> Keeps:
        asked.append(name)
        return can

    monkeypatch.setattr(comparison, "keeps", keeps)
    for path in (PATH, "/srv/voice"):
        tree.was(path, attributes={"user.agent": "1", "user.queue": "2", "trusted.x": "3"})
    results = tree.results()
    assert sorted(asked) == ["trusted.x", "user.agent"], "each kind is tried once"
    if can is Keeps.YES:
        (one,) = results
        assert one.status is Verdict.FAIL and one.actual == "0 missing, 2 changed, 2 equal"
    elif can is Keeps.FORBIDDEN:
        (one,) = results
        assert one.status is Verdict.PASS
        assert one.actual == wording
    else:
        files, lost = results
        assert (files.status, files.actual) == (Verdict.PASS, EQUAL)
        assert (lost.kind, lost.name, lost.status) == ("identical", "extended attributes", Verdict.INCONCLUSIVE)
        assert lost.expected == "as captured" and lost.actual == wording  # fmt: skip


def test_one_that_has_another_value_is_damage_wherever_it_came_to(
    tree: Tree, monkeypatch: pytest.MonkeyPatch, wording: SnapshotAssertion
) -> None:
    monkeypatch.setattr(comparison, "keeps", lambda *_: Keeps.UNSUPPORTED)
    tree.was(PATH, attributes={"trusted.x": "1", "user.agent": "1"})
    tree.attributes[PATH] = {"user.agent": "2"}
    files, lost = tree.results()
    assert files.status is Verdict.FAIL and files.detail == f"extended attribute user.agent differs: {PATH}"
    assert lost.actual == wording


def test_what_the_system_sets_by_its_own_rules_is_told_and_not_compared(tree: Tree, wording: SnapshotAssertion) -> None:
    tree.was(PATH, attributes={"security.selinux": "1", "security.ima": "1"})
    tree.attributes[PATH] = {"security.selinux": "2"}
    tree.was("/srv/voice", attributes={"security.capability": "1", "security.evm": "1"})
    tree.attributes["/srv/voice"] = {"security.capability": "1", "security.evm": "1"}
    one = tree.one()
    assert one.status is Verdict.PASS
    assert one.actual == (wording)


def test_all_that_is_left_out_is_said_in_one_breath(tree: Tree, wording: SnapshotAssertion) -> None:
    tree.was(PATH, attributes={"security.selinux": "1"}, mtime=2**63)
    assert tree.one().actual == (wording)


# --- what was fetched, before anything is compared -------------------------------------------------------------------


def test_what_was_fetched_is_whole_where_type_size_and_target_are_right(tree: Tree) -> None:
    tree.was("/srv/spool/a.wav", mtime=1, mode=0o600, sha256="0" * 64)
    tree.listed["/srv/spool/w.wav"] = tree.listed["/srv/spool/a.wav"].waiting(1.0)
    context = tree.context
    assert whole(context.fetched, tree.listing) == (8, 0)
    gone(tree)
    leads_elsewhere(tree)
    context = tree.context
    assert whole(context.fetched, tree.listing) == (6, 2)


@pytest.mark.parametrize(
    ("name", "missing"), [("ENOENT", 1), ("ENOTDIR", 1), ("EIO", None), ("ESTALE", None), ("EACCES", None)]
)
def test_what_cannot_be_looked_at_is_not_missing(
    tree: Tree, name: str, missing: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk of this host that fails says nothing of the backup."""
    context = tree.context
    everything = len(tree.listed)
    assert whole(context.fetched, tree.listing) == (everything, 0)
    lstat = os.lstat

    def refused(asked: str) -> os.stat_result:
        if asked == str(tree.at("/srv/spool/b.wav")):
            number = getattr(errno, name)
            raise OSError(number, os.strerror(number), asked)
        return lstat(asked)

    monkeypatch.setattr(os, "lstat", refused)
    if missing is None:
        with pytest.raises(CommandFailed) as raised:
            whole(context.fetched, tree.listing)
        assert not isinstance(raised.value, BackupBad) and "b.wav" not in str(raised.value)
    else:
        assert whole(context.fetched, tree.listing) == (everything - missing, missing)
