"""A directory of recordings in use, and names that no other tool expects: a good backup, and never a false FAIL."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site, in_background
from tests.support.stored import LONG_AGO, assert_clean, hashing_by, settled_file, with_repository
from tests.support.wording import lines_with

from ccdr.engines.files.scan import TreeEntry, entries
from ccdr.host.files import remove_tree

ROUNDS = 5


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def site(tmp_path: Path, tree: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.recordings(tree)
    return made


def settling_for_an_hour(site: Site) -> None:
    """What was written just now is in use, however long the backup takes to look."""
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("settle: 1s", "settle: 1h"))


def passes(site: Site) -> dict[str, object]:
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done, [c["actual"] for c in done.json["checks"]])
    document: dict[str, object] = done.json
    return document


def listing(site: Site) -> dict[str, TreeEntry]:
    """What the newest backup holds, by path; what waits was left out."""
    return {entry.path: entry for entry in entries(site.state / "index" / "p.recordings.files.jsonl")}


# --- in use -------------------------------------------------------------------------------------------------------


class Users:
    """What a telephony server, its users and a clean-up job do to a spool. Fresh files change all the time;
    settled ones are touched by `disturb`, once in each backup."""

    def __init__(self, tree: Path) -> None:
        self._tree, self._dice, self._numbers = tree, random.Random(7), itertools.count()
        self._stop, self.disturb = threading.Event(), threading.Event()
        self._thread = in_background(self._work)

    def _work(self) -> None:
        fresh = self._tree / "fresh"
        while not self._stop.wait(0.02):
            n = next(self._numbers)
            (fresh / f"call{n}.wav").write_bytes(os.urandom(3000))
            with (self._tree / "growing.log").open("ab") as log:
                log.write(os.urandom(300))
            (fresh / f"call{n - 2}.wav").unlink(missing_ok=True)
            if (fresh / f"call{n - 1}.wav").exists() and n % 3 == 0:
                (fresh / f"call{n - 1}.wav").rename(fresh / f"renamed{n}.wav")
            (fresh / f"renamed{n - 12}.wav").unlink(missing_ok=True)
            if self.disturb.is_set():
                self.disturb.clear()
                self._disturb(n)

    def _disturb(self, n: int) -> None:
        gone, renamed, sly = self._dice.sample(sorted((self._tree / "archive").iterdir()), 3)
        gone.unlink()
        renamed.rename(renamed.with_name(f"renamed{n}.wav"))
        before = sly.stat()  # another content, the same size and modification time
        sly.write_bytes(os.urandom(before.st_size))
        os.utime(sly, ns=(before.st_atime_ns, before.st_mtime_ns))
        settled_file(self._tree / "staging" / "moved", os.urandom(2000)).rename(
            self._tree / "archive" / f"moved{n}.wav"
        )

    def stop(self) -> None:
        assert self._thread.is_alive(), "it was really in use"
        self._stop.set()
        self._thread.join(10)


@pytest.fixture
def users(tree: Path) -> Iterator[Users]:
    (tree / "fresh").mkdir(parents=True)
    for n in range(200):
        settled_file(tree / "archive" / f"call{n}.wav", os.urandom(1000), LONG_AGO + n)
    settled_file(tree / "growing.log", b"begun\n")
    made = Users(tree)
    yield made
    made.stop()


def test_tree_in_use_gives_good_backups(site: Site, tree: Path, users: Users) -> None:
    for _ in range(ROUNDS):
        process = site.start("backup", "p", "--json")
        assert process.stderr
        for line in process.stderr:
            if "storing" in line and not users.disturb.is_set():
                users.disturb.set()
                break
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out, err)
        assert "left for the next backup" in out
        document = passes(site)
        snapshot = document["snapshot"]
        assert isinstance(snapshot, dict) and snapshot["id"] == json.loads(out)["snapshot"]["id"]
    assert len([path for path in listing(site) if "/archive/" in path]) >= 200 - 1, "all of it but what moved just now"
    assert_clean(site)


def test_tree_whose_settled_files_never_rest_gives_no_false_verdict(site: Site, tree: Path, users: Users) -> None:
    site.backed_up()
    stop = threading.Event()

    def disturb() -> None:
        while not stop.wait(0.05):
            users.disturb.set()

    thread = in_background(disturb)
    try:
        done = site.run("backup", "p")
    finally:
        stop.set()
        thread.join(10)
    if done.code == 0:
        passes(site)
    else:
        assert (done.code, done.json["result"]) == (1, "FAILED")
        assert "changed while being read" in done.json["reason"]
        own = site.run("test", "p", "--snapshot", site.services().catalogue.snapshots("p", "recordings")[0].id)
        assert (own.code, own.json["verdict"]) == (0, "PASS"), own
        site.backed_up()
        passes(site)
    assert_clean(site)


def test_recordings_that_are_moved_and_deleted_all_the_time_are_backed_up_and_pass(site: Site, tree: Path) -> None:
    """What moved while it was read is in one place or the other, or told; what stands still is proven, all of it. Some
    names are no UTF-8, and look alike where restic tells them."""

    def called(n: int, prefix: bytes = b"call") -> str:
        return os.fsdecode(prefix + (b"%d.wav" if n % 5 else b"%d\xe8.wav") % n)

    for n in range(3000):
        path = settled_file(tree / f"day{n % 10}" / called(n), f"call {n}".encode(), LONG_AGO + n)
        if n % 50 == 0:
            settled_file(path.with_name(called(n).replace("\udce8", "\udce9")), b"looks alike", LONG_AGO)
    stop, moved, deleted = threading.Event(), set(range(0, 3000, 7)), set(range(3, 3000, 11))

    def work() -> None:
        for n in sorted(moved | deleted):
            if stop.wait(0.02):
                return
            path = tree / f"day{n % 10}" / called(n)
            if n in deleted:
                path.unlink()
            else:
                path.rename(tree / f"day{(n + 5) % 10}" / called(n, b"moved"))

    thread = in_background(work)
    try:
        done = site.run("backup", "p")
    finally:
        stop.set()
        thread.join(10)
    assert (done.code, done.json["result"]) == (0, "STORED"), done
    passes(site)
    names = {Path(path).name for path in listing(site)}
    at_rest = {called(n) for n in range(3000) if n not in moved | deleted}
    assert at_rest <= names
    assert sum("\udce9" in name for name in names) == 3000 // 50
    site.backed_up()
    passes(site)
    assert_clean(site)


def test_with_no_time_to_settle_the_newest_is_stored_too_and_what_grows_is_told(site: Site, tree: Path) -> None:
    plan = site.root / "plans" / "p.yaml"
    plan.write_text(plan.read_text().replace("settle: 1s", "settle: 0s"))
    fresh = settled_file(tree / "fresh.wav", b"just now", time.time())
    site.backed_up()
    assert str(fresh) in listing(site)
    passes(site)
    stop = threading.Event()

    def grow() -> None:
        while not stop.wait(0.01):
            with (tree / "growing.wav").open("ab") as voice:
                voice.write(b"a voice")

    thread = in_background(grow)
    try:
        done = site.backed_up()
        told = [note for note in done.json["notes"] if "left for the next backup" in note or "not proven" in note]
        assert told, done.json["notes"]
    finally:
        stop.set()
        thread.join(10)
    assert str(tree / "growing.wav") not in listing(site)
    assert "1 file equal by SHA-256" in str(passes(site)["checks"])
    assert_clean(site)


def test_sockets_that_are_left_out_are_told(site: Site, tree: Path, wording: SnapshotAssertion) -> None:
    settled_file(tree / "call.wav", b"a voice")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tree / "control"))
        done = site.backed_up()
        assert lines_with(done.json["notes"], "sockets") == wording
        passes(site)


def test_file_rewritten_with_size_and_time_restored_is_hashed_again(site: Site, tree: Path) -> None:
    quiet, sly = settled_file(tree / "quiet.wav", b"1" * 100), settled_file(tree / "sly.wav", b"2" * 100)
    site.backed_up()
    before = listing(site)
    settled_file(sly, b"3" * 100)
    site.backed_up()
    after = listing(site)
    assert after[str(quiet)] == before[str(quiet)]
    assert after[str(sly)].sha256 != before[str(sly)].sha256
    passes(site)


def test_digests_of_unchanged_files_carry_over(site: Site, tree: Path) -> None:
    """Counted by a hasher that writes down what it is asked, and then asks the real one."""
    log = site.root / "hashed"
    env = hashing_by(site, f'tee -a {log} | "$@"; exit')

    def hashed() -> set[str]:
        log.write_text("")
        site.backed_up(env=env)
        return {Path(name).name for name in log.read_text().split("\0") if name.endswith(".wav")}

    names = {f"call{n}.wav" for n in range(50)}
    for name in names:
        settled_file(tree / name, name.encode())
    assert hashed() == names
    assert hashed() == set()
    settled_file(tree / "call7.wav", b"another")
    settled_file(tree / "new.wav", b"new")
    (tree / "call8.wav").rename(tree / "renamed.wav")
    assert hashed() == {"call7.wav", "new.wav", "renamed.wav"}
    passes(site)


def test_unsettled_files_are_left_for_the_next_backup(site: Site, tree: Path, wording: SnapshotAssertion) -> None:
    site.recordings(tree, "limits: {lock_wait: 1s}")
    settled_file(tree / "done.wav", b"done")
    settling_for_an_hour(site)
    fresh = settled_file(tree / "running.wav", b"half a call", time.time())
    done = site.backed_up()
    assert lines_with(done.json["notes"], "1 file in use") == wording
    assert str(fresh) not in listing(site)
    os.utime(fresh, (LONG_AGO, LONG_AGO))
    assert not any("left for the next backup" in note for note in site.backed_up().json["notes"])
    assert str(fresh) in listing(site)
    passes(site)


# --- names and kinds ------------------------------------------------------------------------------------------------

NAMES = [
    b"with space.wav", b" leading and trailing ", b"new\nline.wav", b"tab\tname", b"quote'\"`.wav", b"*", b"?", b"[a-z]", b"[!x]",
    b"{a,b}", b"back\\slash", b"\\", b"$HOME", b"$(id)", b"`id`", b"~", b"~root", b"-rf", b"--", b"-", b"#comment", b"!bang", b"%n%s",
    b"a:b", b"a;b", b"a|b", b"a&b", b"caf\xe9-latin1", b"\xff\xfe", "Ștefan-înregistrare.wav".encode(), "客户.wav".encode(),
    b"...", b"..a", b"x" * 255, b"carriage\rreturn", b"\x01\x7f", b"**", b"a**b", b"CON", b"trailing.", b"new\n", b"\\n",
]  # fmt: skip


def test_odd_names_are_backed_up_and_restored(site: Site, tree: Path) -> None:
    tree.mkdir()
    root = os.fsencode(tree)
    for number, name in enumerate(NAMES):
        Path(os.fsdecode(root + b"/" + name)).write_bytes(b"%d" % number)
        directory = root + b"/dir-" + name[:240]
        os.mkdir(directory)
        Path(os.fsdecode(directory + b"/" + name)).write_bytes(b"in %d" % number)
    for path in tree.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    site.backed_up()
    site.backed_up()
    document = passes(site)
    assert str(document["checks"]).count(f"{2 * len(NAMES)} files equal by SHA-256") == 1, document["checks"]
    assert_clean(site)


def test_unsettled_file_with_a_pattern_for_a_name_excludes_nothing_else(site: Site, tree: Path) -> None:
    """A file in use is left out by its very name, whatever that would mean as a pattern."""
    patterns = ["*", "**", "?", "[a-z]", "[!a]*", "call?.wav", "\\*", "!keep", "#x", "$HOME", "new\n*"]
    for name in ["keep", "call1.wav", "call2.wav", "a", "b", "z", "x", "\\a", "deep/er/keep", "*dir/keep"]:
        settled_file(tree / name, name.encode())
    settling_for_an_hour(site)
    for name in set(patterns):
        settled_file(tree / name, b"in use", time.time())
        settled_file(tree / "deep" / name, b"in use", time.time())
    done = site.backed_up()
    assert "left for the next backup" in done.json["notes"][0]
    kept = {str(Path(path).relative_to(tree)) for path, entry in listing(site).items() if entry.type == "f"}
    assert {"keep", "call1.wav", "call2.wav", "a", "b", "z", "x", "\\a", "deep/er/keep", "*dir/keep"} <= kept
    passes(site)


def test_kinds_of_entries_come_back_as_they_were(site: Site, tree: Path) -> None:
    voice = settled_file(tree / "voice.wav", b"a voice")
    os.link(voice, tree / "hard-link.wav")
    settled_file(tree / "empty.wav", b"")
    (tree / "link").symlink_to("voice.wav")
    (tree / "dangling").symlink_to("/nowhere/at all")
    (tree / "to-directory").symlink_to("/etc")
    os.mkfifo(tree / "pipe")
    held = socket.socket(socket.AF_UNIX)
    here = os.open(tree, os.O_RDONLY)
    held.bind(f"/proc/self/fd/{here}/socket")
    deep = tree
    for level in range(60):
        deep = deep / f"level{level}"
    settled_file(deep / "deep.wav", b"deep down")
    sparse = tree / "sparse.wav"
    with sparse.open("wb") as file:
        file.truncate(5_000_000)
    os.utime(sparse, (LONG_AGO, LONG_AGO))
    (tree / "nothing here").mkdir()
    readonly = settled_file(tree / "read-only" / "a.wav", b"kept")
    readonly.chmod(0o400)
    readonly.parent.chmod(0o500)
    setuid = settled_file(tree / "mode.wav", b"mode")
    setuid.chmod(0o4751)
    site.backed_up()
    held.close()
    os.close(here)
    passes(site)
    assert_clean(site)
    readonly.parent.chmod(0o700)


def test_a_tree_of_a_thousand_directories_in_each_other_passes_and_leaves_nothing(site: Site, tree: Path) -> None:
    tree.mkdir()
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tree)
        for _ in range(1050):
            Path("d").mkdir()
            os.chdir("d")
        settled_file(Path("deep.wav"), b"deep down")
        os.fchdir(here)
        assert "all of it may be read" in site.run("doctor", "p").stdout
        site.backed_up()
        passes(site)
        assert_clean(site)
    finally:
        os.fchdir(here)
        os.close(here)
        assert remove_tree(tree) == []


def test_damage_to_a_file_is_seen_while_its_twin_passes(site: Site, tree: Path) -> None:
    """The proof that the tests above would go red."""
    for n in range(3):
        settled_file(tree / f"call {n}.wav", os.urandom(500))
    site.backed_up()

    passes(site)
    script = f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\ncase " $* " in *" restore "*) f=$(find {site.state}/scratch -name "call 1.wav"); [ -z "$f" ] || printf X | dd of="$f" conv=notrunc bs=1 2>/dev/null; touch -d @{LONG_AGO} "$f";; esac\nexit $code\n'
    site.write("bin/restic", script, mode=0o755)
    done = site.run("test", "p", env={"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"})
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    passes(site)
