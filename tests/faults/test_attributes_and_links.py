"""Extended attributes and hard links: where they cannot be kept that is told, what changes meanwhile is seen, and old
backups that do not list them are still good for what they do list."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.stored import LONG_AGO, assert_clean, restic_of, settled_file, with_repository

from ccdr.engines.files import LISTING, TreeEntry
from ccdr.engines.files import scan as attributes
from ccdr.engines.files.scan import entries
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
NOBODY = 65534
MANY = 66_000  # more than 16 bits can count
LINKS_OF_EXT4 = 65_000


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = with_repository(Site(tmp_path))
    made.recordings(tmp_path / "spool")
    return made


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A file with an attribute, one with a capability (as root), one with two names, a directory with an attribute."""
    root = tmp_path / "spool"
    noted = settled_file(root / "noted.wav", b"noted")
    program = settled_file(root / "program", b"program")
    one = settled_file(root / "one.wav", b"equal")
    (root / "queue").mkdir()
    os.link(one, root / "queue" / "other name.wav")
    os.setxattr(noted, "user.agent", b"17")
    os.setxattr(root / "queue", "user.name", b"sales")
    if os.geteuid() == 0:
        os.setxattr(program, attributes.CAPABILITY, struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
    return root


@contextlib.contextmanager
def without_attributes(at: Path) -> Iterator[Path]:
    """A file system that has owners, modes and hard links, and no extended attributes."""
    at.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


def fetched(site: Site, into: Path) -> CheckContext:
    """The newest snapshot, restored by restic itself, as a restore test would look at it."""
    services = site.services()
    snapshot = services.catalogue.snapshots("p", "recordings")[-1]
    restic_of(site.root, "restore", "-q", snapshot.id, "--target", str(into / "fetched"))
    (into / "out").mkdir()
    restored = Path(f"{into}/fetched{snapshot.root}")
    manifest = services.catalogue.manifest(snapshot)
    return CheckContext(manifest, into / "fetched", restored, into / "out", None, services.host, services.digest)


def compared(site: Site, context: CheckContext) -> list[CheckResult]:
    return list(site.loaded().plan.assets["recordings"].identical(context))


def passes(site: Site) -> None:
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done, done.json["checks"])
    assert "not compared" not in done.json["checks"][0]["actual"]
    assert_clean(site)


# --- where they cannot be kept ------------------------------------------------------------------------------------


@root_only
def test_file_system_without_attributes_leaves_the_question_open(site: Site, tree: Path) -> None:
    site.backed_up()
    with without_attributes(site.root / "ram") as ram:
        files, lost = compared(site, fetched(site, ram))
        assert files.status is Verdict.PASS and files.actual == "4 files equal by SHA-256"
        assert (lost.name, lost.status) == ("extended attributes", Verdict.INCONCLUSIVE)
        assert "security.capability of 1, user.* of 2" in lost.actual
        assert not list((ram / "out").iterdir())
    (site.root / "disk").mkdir()
    (files,) = compared(site, fetched(site, site.root / "disk"))
    assert files.status is Verdict.PASS


@root_only
def test_file_system_without_attributes_hides_no_other_damage(site: Site, tree: Path) -> None:
    site.backed_up()
    with without_attributes(site.root / "ram") as ram:
        context = fetched(site, ram)
        noted = Path(f"{context.fetched}{tree}/noted.wav")
        noted.write_bytes(b"NOTED")
        os.utime(noted, (LONG_AGO, LONG_AGO))
        assert compared(site, context)[0].status is Verdict.FAIL


@root_only
def test_who_may_not_set_a_capability_is_told_so(site: Site, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another user restic leaves it out without a word. As root the same loss is damage."""
    site.backed_up()
    context = fetched(site, Path(tempfile.mkdtemp()))
    above = context.fetched.parent
    os.removexattr(f"{context.fetched}{tree}/program", attributes.CAPABILITY)
    (lost,) = compared(site, context)
    assert lost.status is Verdict.FAIL and "security.capability" in str(lost.detail)
    subprocess.run(["chown", "-hR", str(NOBODY), above], check=True)
    engine = site.loaded().plan.assets["recordings"]
    monkeypatch.setattr(sys, "executable", shutil.which("python3", path="/usr/bin"))  # which that user may run, too
    os.seteuid(NOBODY)
    try:
        (told,) = engine.identical(context)
    finally:
        os.seteuid(0)
        shutil.rmtree(above)
    assert told.status is Verdict.PASS
    assert "owners, which only root can give back" in told.actual
    assert "security.capability of 1" in told.actual


# --- what changes ---------------------------------------------------------------------------------------------------


def meddling(site: Site, what: str) -> dict[str, str]:
    """A restic that first has something done at the source, once: between the listing and the storing of it."""
    done = site.root / "done"
    script = (
        f'#!/bin/sh\ncase " $* " in *" backup "*) [ -e {done} ] || {{ touch {done}; {what}; }};; esac\n'
        f'exec {shutil.which("restic")} "$@"\n'
    )
    site.write("bin/restic", script, mode=0o755)
    return {"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"}


def setting(path: Path, name: str, value: str) -> str:
    return f"""python3 -c 'import os; os.setxattr("{path}", "{name}", b"{value}")'"""


MEANWHILE: dict[str, Callable[[Path], str]] = {
    "a file's attribute": lambda t: setting(t / "noted.wav", "user.agent", "18"),
    "a directory's attribute": lambda t: setting(t / "queue", "user.name", "support"),
    "a directory's mode": lambda t: f"chmod 711 {t / 'queue'}",
    "a link": lambda t: f"ln -sfn /nowhere {t / 'link'}",
    "a name": lambda t: f"rm '{t / 'queue' / 'other name.wav'}'",
    "an empty directory": lambda t: f"rmdir {t / 'empty'}",
    "nothing": lambda t: "true",
}


@pytest.mark.parametrize("what", MEANWHILE)
def test_what_changes_while_it_is_stored_is_listed_as_it_is_stored(site: Site, tree: Path, what: str) -> None:
    (tree / "link").symlink_to("noted.wav")
    (tree / "empty").mkdir()
    site.backed_up(env=meddling(site, MEANWHILE[what](tree)))
    passes(site)


def listed(site: Site) -> dict[str, TreeEntry]:
    return {Path(e.path).name: e for e in entries(site.state / "index" / f"p.recordings.{LISTING}")}


def test_attribute_that_changed_since_the_last_backup_is_in_the_next(site: Site, tree: Path) -> None:
    site.backed_up()
    before = listed(site)
    os.setxattr(tree / "noted.wav", "user.agent", b"18")
    site.backed_up()
    after = listed(site)
    assert after["noted.wav"].attributes == {"user.agent": hashlib.sha256(b"18").hexdigest()}
    assert {name for name in after if after[name] != before[name]} == {"noted.wav"}
    passes(site)


def test_file_replaced_by_another_of_the_same_size_and_time_is_read_again(site: Site, tree: Path) -> None:
    site.backed_up()
    before = listed(site)
    settled_file(tree / "new", b"NOTED").replace(tree / "noted.wav")
    site.backed_up()
    after = listed(site)
    assert (after["noted.wav"].size, after["noted.wav"].mtime) == (before["noted.wav"].size, before["noted.wav"].mtime)
    assert after["noted.wav"].sha256 == hashlib.sha256(b"NOTED").hexdigest()
    assert after["program"] == before["program"]
    passes(site)


# --- devices, pipes, links ------------------------------------------------------------------------------------------


def replaced(at: Path, *kind: str) -> None:
    """By another special file of the same mode and owner."""
    mode = stat.S_IMODE(at.lstat().st_mode)
    at.unlink()
    subprocess.run(["mknod", at, *kind], check=True)
    at.chmod(mode)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "a device is a pipe": (lambda at: replaced(at / "null", "p"), "type differs"),
    "a device is one of blocks": (lambda at: replaced(at / "null", "b", "1", "3"), "type differs"),
    "a device is another": (lambda at: replaced(at / "null", "c", "1", "5"), "device differs"),
    "a pipe is a device": (lambda at: replaced(at / "pipe", "c", "1", "3"), "type differs"),
    "a link's time": (lambda at: os.utime(at / "link", (5, 5), follow_symlinks=False), "modification time differs"),
}


@pytest.fixture
def odd(site: Site, tree: Path) -> CheckContext:
    """A device, a pipe and a link beside the files, restored."""
    for name, kind in (("null", ("c", "1", "3")), ("pipe", ("p",))):
        subprocess.run(["mknod", tree / name, *kind], check=True)
    (tree / "link").symlink_to("noted.wav")
    os.utime(tree / "link", (LONG_AGO, LONG_AGO), follow_symlinks=False)
    site.backed_up()
    passes(site)
    (site.root / "disk").mkdir()
    return fetched(site, site.root / "disk")


@root_only
def test_special_files_and_links_come_back_as_they_were(site: Site, tree: Path, odd: CheckContext) -> None:
    at, found = Path(f"{odd.fetched}{tree}"), {}
    assert odd.manifest.contents["special"] == 2 and compared(site, odd)[0].status is Verdict.PASS
    for name, (damage, _) in ODD.items():
        damage(at)
        (files,) = compared(site, odd)
        found[name] = (files.status, str(files.detail).partition(":")[0])
        replaced(at / "null", "c", "1", "3")
        replaced(at / "pipe", "p")
        os.utime(at / "link", (LONG_AGO, LONG_AGO), follow_symlinks=False)
        assert compared(site, odd)[0].status is Verdict.PASS, name
    assert found == {name: (Verdict.FAIL, said) for name, (_, said) in ODD.items()}


def test_a_time_that_restic_cannot_hold_is_told_and_hides_nothing(
    site: Site, tree: Path, wording: SnapshotAssertion
) -> None:
    far = settled_file(tree / "far.wav", b"far", at=10**10)
    if far.stat().st_mtime != 10**10:
        pytest.skip("nor can this file system")
    notes = site.backed_up().json["notes"]
    assert any("come back with another time" in note and note.endswith(": 1") for note in notes), notes
    (site.root / "disk").mkdir()
    context = fetched(site, site.root / "disk")
    (files,) = compared(site, context)
    assert files.status is Verdict.PASS and files.actual == wording
    assert str(far) in str(files.detail)
    os.utime(f"{context.fetched}{tree}/noted.wav", (5, 5))
    assert compared(site, context)[0].status is Verdict.FAIL
    os.utime(f"{context.fetched}{tree}/noted.wav", (LONG_AGO, LONG_AGO))
    Path(f"{context.fetched}{far}").write_bytes(b"FAR")
    assert compared(site, context)[0].status is Verdict.FAIL


# --- many -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowded(site: Site) -> Iterator[Path]:
    """A directory of very many small files; in memory, where so many are made and removed at once."""
    made = Path(tempfile.mkdtemp(dir="/dev/shm"))
    (made / "calls").mkdir()
    for n in range(MANY):
        name = f"{made}/calls/{n}.wav"
        with open(name, "w") as file:
            file.write(str(n))
        os.utime(name, (LONG_AGO, LONG_AGO))
    site.recordings(made / "calls")
    yield made
    shutil.rmtree(made)


def test_directory_with_very_many_entries(site: Site, crowded: Path) -> None:
    """All are compared; one of them that lost what was in it is found."""
    site.backed_up()
    (crowded / "back").mkdir()
    context = fetched(site, crowded / "back")
    (files,) = compared(site, context)
    assert files.status is Verdict.PASS and files.actual == f"{MANY} files equal by SHA-256"
    victim = Path(f"{context.fetched}{crowded}/calls/{MANY // 2}.wav")
    victim.write_text("x" * victim.stat().st_size)
    os.utime(victim, (LONG_AGO, LONG_AGO))
    (files,) = compared(site, context)
    assert files.status is Verdict.FAIL and files.actual == f"0 missing, 1 changed, {MANY - 1} equal"


# --- where links cannot be kept -------------------------------------------------------------------------------------


def test_more_names_than_the_file_system_gives_a_file_are_no_damage(disk: Path) -> None:
    """ext4 gives a file 65,000 names, tmpfs any number; whoever restores elsewhere must not be told that the backup is
    bad. Where there is room for all names, they are all compared."""
    site, source = Site(disk), Path(tempfile.mkdtemp(dir="/dev/shm"))
    settled_file(source / "names" / "first", b"one file")
    site.recordings(source / "names")
    try:
        site.backed_up()
        passes(site)
        for n in range(LINKS_OF_EXT4):
            os.link(source / "names" / "first", f"{source}/names/{n}")
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert "too many links" in done.json["reason"]
        (source / "back").mkdir()
        (files,) = compared(site, fetched(site, source / "back"))
        assert files.status is Verdict.PASS and files.actual == f"{LINKS_OF_EXT4 + 1} files equal by SHA-256"
    finally:
        shutil.rmtree(source)
