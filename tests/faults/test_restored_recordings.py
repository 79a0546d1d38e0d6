"""File trees: what is lost or changed between capture and check is a FAIL; the undamaged twin passes."""

from __future__ import annotations

import json
import math
import os
import shutil
import struct
import unicodedata
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.harness import Ran, Site, containers
from tests.support.sites import copy_of

from ccdr.engines.files import scan as attributes
from ccdr.jobs.restore_test import RestoreTest
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.ports.place import Place

NOTE = unicodedata.normalize("NFC", "2026/notă „x”.txt")
SECRET_NAME = "0799123456-Popescu"  # a caller's number and name: paths are a customer's data too


def tone(path: Path, seconds: float = 0.2) -> None:
    frames = b"".join(struct.pack("<h", int(9000 * math.sin(n / 9))) for n in range(int(8000 * seconds)))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(frames)


def with_attributes_and_links(root: Path) -> None:
    """Extended attributes, ACLs and, as root, a capability; two names of one file beside two equal files."""
    (root / "team").mkdir(parents=True)
    for name in ("noted", "shared", "program", "one", "same", "alike"):
        (root / name).write_text("of its own" if name in ("noted", "shared", "program") else "equal")
    os.link(root / "one", root / "team" / "other name")
    os.setxattr(root / "noted", "user.agent", b"17")
    os.setxattr(root / "noted", "user.empty", b"")
    os.setxattr(root / "team", "user.queue", b"sales")
    os.setxattr(root / "team", attributes.DEFAULT, acl(1234))
    os.setxattr(root / "shared", attributes.ACCESS, acl(1234))
    if os.geteuid() == 0:
        os.setxattr(root / "program", attributes.CAPABILITY, struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spool") / "recordings"
    (root / "2026/11").mkdir(parents=True)
    (root / "empty directory").mkdir()
    for n in range(4):
        tone(root / f"2026/11/{n}.wav", 0.1 + n / 10)
    tone(root / f"2026/11/{SECRET_NAME}.wav")
    (root / NOTE).write_text("text")
    (root / "2026/zero").write_bytes(b"")
    (root / "latest").symlink_to("2026/11")
    (root / "broken").symlink_to("/nowhere")
    (root / "2026/11/3.wav").chmod(0o640)
    with_attributes_and_links(root / "kept")
    for path in [p for p in root.rglob("*") if not p.is_symlink()]:
        os.utime(path, (1_700_000_000, 1_700_000_000.5))
    return root


@pytest.fixture(scope="module")
def stored(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("recordings"))
    site.recordings(tree)
    site.backed_up()
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Iterator[Site]:
    made = copy_of(stored, tmp_path / "site")
    yield made
    made.ledger_holds()
    assert not list((made.state / "scratch").glob("run-*"))
    assert not {f"ccdr-{r['run']}" for r in made.records()} & containers()


def harmed(site: Site, tree: Path, harm: Callable[[Path, Path], None]) -> RestoreTest:
    """`harm` is given the restored tree and the captured directory, after the fetch."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        fetched = Path(str(restored).split("/fetched/", 1)[0]) / "fetched"
        harm(fetched / tree.relative_to("/"), restored)

    # Engines without a server are not loaded: the damage is done where the check begins.
    from ccdr.engines.files import Files

    real = Files.identical

    def identical(self: Files, context: object) -> Iterator[CheckResult]:
        damage(None, context.restored, context.manifest)  # type: ignore[attr-defined, arg-type]
        return real(self, context)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Files, "identical", identical)
        return site.damaged_test(lambda *_: None, asset="recordings")


def acl(user: int) -> bytes:
    """An ACL that lets one user read, as the kernel takes it."""
    none = 0xFFFFFFFF
    rights = ((1, 6, none), (2, 4, user), (4, 4, none), (16, 4, none), (32, 0, none))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *right) for right in rights)


def flip(path: Path, at: int = 100) -> None:
    """One bit of one byte; the times stay."""
    was = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def cut(path: Path) -> None:
    was = path.stat()
    os.truncate(path, was.st_size - 1)
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))


def relink(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def become(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink() if not path.is_dir() or path.is_symlink() else shutil.rmtree(path)
    make(path)


def swap(one: Path, other: Path) -> None:
    third = one.with_name("third")
    one.rename(third)
    other.rename(one)
    third.rename(other)


def copied(path: Path) -> None:
    """One of a file's names becomes a file of its own, with all that the other has."""
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def linked(one: Path, other: Path) -> None:
    other.unlink()
    os.link(one, other)


# name → what is done, and what the record must say
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file is missing": (lambda t: (t / "2026/11/1.wav").unlink(), "1 missing, 0 changed"),
    "an empty file is missing": (lambda t: (t / "2026/zero").unlink(), "1 missing, 0 changed"),
    "an empty directory is missing": (lambda t: (t / "empty directory").rmdir(), "1 missing, 0 changed"),
    "a directory is missing": (lambda t: shutil.rmtree(t / "2026/11"), "6 missing, 0 changed"),
    "everything is missing": (shutil.rmtree, "missing, 0 changed, 0 equal"),
    "one bit flipped": (lambda t: flip(t / "2026/11/1.wav"), "0 missing, 1 changed"),
    "the last byte is missing": (lambda t: cut(t / "2026/11/1.wav"), "0 missing, 1 changed"),
    "two files' contents swapped": (lambda t: swap(t / "2026/11/1.wav", t / "2026/11/2.wav"), "0 missing, 2 changed"),
    "another mode": (lambda t: (t / "2026/11/3.wav").chmod(0o666), "0 missing, 1 changed"),
    "a directory's mode": (lambda t: (t / "2026").chmod(0o777), "0 missing, 1 changed"),
    "setuid": (lambda t: (t / "2026/11/1.wav").chmod(0o4755), "0 missing, 1 changed"),
    "another modification time": (lambda t: os.utime(t / "2026/zero", (1, 1)), "0 missing, 1 changed"),
    "a link leads elsewhere": (lambda t: relink(t / "latest", "2026/10"), "0 missing, 1 changed"),
    "a broken link is mended": (lambda t: relink(t / "broken", "/etc"), "0 missing, 1 changed"),
    "a link became what it led to": (lambda t: become(t / "latest", Path.mkdir), "0 missing, 1 changed"),
    "a file became a link": (lambda t: become(t / "2026/zero", lambda p: p.symlink_to("/dev/null")), "0 missing, 1 changed"),
    "a file became a directory": (lambda t: become(t / "2026/zero", Path.mkdir), "0 missing, 1 changed"),
    "a file became a pipe": (lambda t: become(t / "2026/zero", os.mkfifo), "0 missing, 1 changed"),
    "a file has another name": (lambda t: (t / "2026/zero").rename(t / "2026/Zero"), "1 missing, 0 changed"),
    "a name is decomposed": (lambda t: (t / NOTE).rename(t / unicodedata.normalize("NFD", NOTE)), "1 missing, 0 changed"),
    "an attribute is lost": (lambda t: os.removexattr(t / "kept/noted", "user.agent"), "0 missing, 1 changed"),
    "an empty attribute is lost": (lambda t: os.removexattr(t / "kept/noted", "user.empty"), "0 missing, 1 changed"),
    "an attribute says otherwise": (lambda t: os.setxattr(t / "kept/noted", "user.agent", b"18"), "0 missing, 1 changed"),
    "an attribute more": (lambda t: os.setxattr(t / "kept/noted", "user.new", b""), "0 missing, 1 changed"),
    "a directory's attribute is lost": (lambda t: os.removexattr(t / "kept/team", "user.queue"), "0 missing, 1 changed"),
    "an ACL lets another user in": (lambda t: os.setxattr(t / "kept/shared", attributes.ACCESS, acl(1235)), "0 missing, 1 changed"),
    "a default ACL is lost": (lambda t: os.removexattr(t / "kept/team", attributes.DEFAULT), "0 missing, 1 changed"),
    "an ACL where was none": (lambda t: os.setxattr(t / "kept/alike", attributes.ACCESS, acl(1234)), "0 missing, 1 changed"),
    "a link became a copy": (lambda t: copied(t / "kept/one"), "0 missing, 1 changed"),
    "equal files became links": (lambda t: linked(t / "kept/same", t / "kept/alike"), "0 missing, 1 changed"),
    "a name went to an equal file": (lambda t: linked(t / "kept/same", t / "kept/one"), "0 missing, 2 changed"),
}  # fmt: skip
AS_ROOT: dict[str, tuple[Callable[[Path], object], str]] = {
    "another owner": (lambda t: os.chown(t / "2026/11/1.wav", 1234, -1), "0 missing, 1 changed"),
    "another group": (lambda t: os.chown(t / "2026", -1, 1234), "0 missing, 1 changed"),
    "a capability is lost": (
        lambda t: os.removexattr(t / "kept/program", attributes.CAPABILITY),
        "0 missing, 1 changed",
    ),
    "a link's owner": (lambda t: os.lchown(t / "latest", 1234, -1), "0 missing, 1 changed"),
}
if os.geteuid() == 0:
    DAMAGE |= AS_ROOT


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_fail(site: Site, tree: Path, name: str) -> None:
    harm, said = DAMAGE[name]
    done = harmed(site, tree, lambda restored, _: harm(restored))  # type: ignore[func-returns-value]
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1), done
    assert said in done.checks[0].actual, done.checks
    assert str(tree) not in json.dumps(site.records("restore_test.end")[-1]["checks"])


def test_a_listing_that_was_tampered_with_fails(site: Site, tree: Path) -> None:
    """The captured listing itself: one digest in it made to fit a damaged file."""

    def harm(restored: Path, captured: Path) -> None:
        flip(restored / "2026/11/1.wav")
        listing = captured / "files.jsonl"
        listing.write_text(listing.read_text().replace("1.wav", "1.waw"))

    done = harmed(site, tree, harm)
    assert done.verdict is Verdict.FAIL and done.checks[0].actual == "another listing"


@pytest.mark.parametrize("what", ["nothing", "a file", "a directory", "a link"])
def test_undamaged_files_pass_and_what_was_never_captured_fails(site: Site, tree: Path, what: str) -> None:
    harm: dict[str, Callable[[Path], object]] = {
        "nothing": lambda _: None,
        "a file": lambda path: path.touch(),
        "a directory": lambda path: path.mkdir(),
        "a link": lambda path: path.symlink_to("/etc/passwd"),
    }
    done = harmed(site, tree, lambda restored, _: harm[what](restored / "2026" / "extra"))  # type: ignore[func-returns-value]
    assert done.verdict is (Verdict.PASS if what == "nothing" else Verdict.FAIL), done.checks
    assert "14 files equal by SHA-256" in done.checks[0].actual
    assert ("1 that were never captured" in done.checks[0].actual) is (what != "nothing")


def test_paths_are_never_in_the_ledger(site: Site, tree: Path) -> None:
    done = harmed(site, tree, lambda restored, _: flip(restored / f"2026/11/{SECRET_NAME}.wav"))
    assert done.verdict is Verdict.FAIL and SECRET_NAME in str(done.checks[0].detail)
    text = "".join(p.read_text() for p in (site.state / "ledger").glob("*.jsonl"))
    assert SECRET_NAME not in text + json.dumps(done.as_json())


# --- decodable, command ------------------------------------------------------------------------------------


def broken_header(path: Path) -> None:
    path.write_bytes(b"RIFX" + path.read_bytes()[4:])


def half(path: Path) -> None:
    """As a recorder that crashed leaves it: the header promises more."""
    path.write_bytes(path.read_bytes()[:-400])


BAD_AUDIO: dict[str, tuple[Callable[[Path], object], str]] = {
    "header.wav": (broken_header, ""),
    "truncated.wav": (half, "its header promises"),
    "beginning.wav": (lambda p: p.write_bytes(p.read_bytes()[:20]), ""),
    "empty.wav": (lambda p: p.write_bytes(b""), ""),
    "page.wav": (lambda p: p.write_text("<html>404</html>"), ""),
    "noise.mp3": (lambda p: p.write_bytes(b"\x8f\x00\x13" * 999), ""),
    "cut.flac": (lambda p: p.write_bytes(b"fLaC\x00\x00\x00\x22" + bytes(34)), ""),
}


def audio_site(root: Path, *, bad: bool, checks: str) -> Site:
    tree = root / "spool"
    (tree / SECRET_NAME).mkdir(parents=True)
    for name in ("a.wav", "b.WAV", "c.wav"):
        tone(tree / SECRET_NAME / name)
    (tree / "notes.txt").write_text("not audio, and need not be")
    for name, (harm, _) in BAD_AUDIO.items() if bad else ():
        tone(tree / name)
        harm(tree / name)
    for path in tree.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    site = Site(root)
    site.recordings(tree, checks=f"restore_test: recordings\nchecks:\n{checks}")
    site.backed_up()
    return site


def carried_out(site: Site) -> Ran:
    done = site.run("test", "p")
    site.ledger_holds()
    assert done.json["disposal"] | {"kept_until": None} == {
        "kept_until": None, "sandbox_gone": True, "scratch_gone": True, "left_behind": []}, done  # fmt: skip
    assert f"ccdr-{done.json['run']}" not in containers()
    assert SECRET_NAME not in "".join(p.read_text() for p in (site.state / "ledger").glob("*.jsonl")) + done.stdout
    return done


def test_audio_that_does_not_decode_fails(tmp_path: Path) -> None:
    """It was bad when it was backed up: identical to what was captured, and useless all the same."""
    site = audio_site(tmp_path, bad=True, checks="  - {kind: identical}\n  - {kind: decodable, at_least: 3}\n")
    done = carried_out(site)
    assert (done.json["verdict"], done.code) == ("FAIL", 1), done
    assert [c["status"] for c in done.json["checks"]] == ["PASS", "FAIL"]
    assert done.json["checks"][1]["actual"] == f"{len(BAD_AUDIO)} of {len(BAD_AUDIO) + 3} files do not decode"
    detail = site.damaged_test(lambda *_: None, asset="recordings").checks[1].detail or ""
    for name, (_, why) in BAD_AUDIO.items():
        assert any(name in line and why in line for line in detail.splitlines()), (name, detail)
    assert SECRET_NAME not in detail  # the good ones


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return audio_site(tmp_path_factory.mktemp("voices"), bad=False, checks="  - {kind: decodable}\n")


@pytest.fixture
def good(voices: Site, tmp_path: Path) -> Site:
    return copy_of(voices, tmp_path / "site")


def with_checks(site: Site, *checks: str) -> Site:
    site.write(
        "restore_tests/recordings.yaml",
        "restore_test: recordings\nchecks:\n" + "".join(f"  - {{{c}}}\n" for c in checks),
    )
    return site


def test_good_audio_passes_with_every_check(good: Site) -> None:
    """The twin: decodable, and a command that sees the files, read-only, without network, as nobody."""
    done = carried_out(
        with_checks(
            good,
            "kind: identical",
            "kind: decodable, at_least: 3",
            "kind: command, name: sees files, argv: [sh, -c, 'test $(find . -name \"*.wav\" | wc -l) = 2']",
            "kind: command, name: cannot write, argv: [sh, -c, '! touch ./x 2>/dev/null && ! touch /x 2>/dev/null']",
            "kind: command, name: no network, argv: [sh, -c, 'test \"$(ls /sys/class/net)\" = lo']",
            "kind: command, name: nobody, argv: [sh, -c, 'test $(id -u) = 65534']",
        )
    )
    assert (done.json["verdict"], done.code) == ("PASS", 0), done
    assert done.json["sandbox"]["network"] == "none" and done.json["sandbox"]["image"] == "ccdr-sandbox/files:1"


def test_fewer_recordings_than_there_must_be_fails(good: Site) -> None:
    done = carried_out(with_checks(good, "kind: decodable, at_least: 4", "kind: decodable, match: ['*.mp3']"))
    assert (done.json["verdict"], done.code) == ("FAIL", 1)
    assert [c["actual"] for c in done.json["checks"]] == ["3 files match its patterns", "0 files match its patterns"]


def test_a_command_that_fails_is_a_failed_check(good: Site) -> None:
    done = carried_out(
        with_checks(
            good,
            "kind: command, name: one, argv: ['false']",
            "kind: command, name: signal, argv: [sh, -c, 'kill -9 $$']",
            "kind: command, name: quotes a path, argv: [sh, -c, 'ls -R; exit 2']",
        )
    )
    assert (done.json["verdict"], done.code) == ("FAIL", 1), done
    assert [c["actual"] for c in done.json["checks"]] == ["exit 1", "exit 137", "exit 2"]


def test_a_command_that_the_image_lacks_is_inconclusive(good: Site) -> None:
    done = carried_out(with_checks(good, "kind: command, argv: [no-such-program]"))
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "no-such-program" in done.json["reason"]


def test_an_image_without_a_decoder_is_inconclusive(good: Site) -> None:
    path = good.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("  settle: 1s", "  settle: 1s\n    image: ccdr-sandbox/postgres:17"))
    done = carried_out(with_checks(good, "kind: decodable"))
    assert (done.json["verdict"], done.code) == ("INCONCLUSIVE", 3)
    assert "cannot run python3" in done.json["reason"]
