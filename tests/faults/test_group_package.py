"""`package: {directory, group}`: root writes where a plan says. Nothing that ccdr did not write there is ever touched."""

from __future__ import annotations

import grp
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.faults.test_capture_faults import small_disk
from tests.support.packages import made, sealed
from tests.support.verified import World

from ccdr.evidence.package import bag
from ccdr.evidence.records import PackageEnd
from ccdr.jobs import in_force
from ccdr.run import nightly
from ccdr.run.nightly import write_nightly

GROUP = grp.getgrgid(os.getgid()).gr_name


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = made(tmp_path).world
    world.clock.at = datetime.now(UTC) - timedelta(days=3)
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/call.wav").write_text("a call")
    wanted(world, tmp_path / "given")
    return world


def wanted(world: World, directory: Path, group: str = GROUP, plan: str = "p") -> None:
    path = world.site.root / f"plans/{plan}.yaml"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("package:")]
    path.write_text("\n".join([lines[0], f"package: {{directory: {directory}, group: {group}}}", *lines[1:], ""]))


def written(world: World, *, days: float = 0) -> PackageEnd:
    world.clock.on(days=days)
    return write_nightly(world.site.loaded(), world.services).ended


def lint(world: World) -> list[str]:
    return [line for line in world.site.run("plan", "check", "p").json["lint"] if ": package." in line]


def there(root: Path) -> Mapping[str, object]:
    """All of a directory but ccdr's own state: what it is, whose, and what it holds."""
    found = {}
    for path in (root, *root.rglob("*")):
        if "state" not in path.relative_to(root).parts:
            status = path.lstat()
            held = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(root))] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, held)
    return found


def left_beside(world: World) -> list[str]:
    notes = [path.name for path in (world.site.state / "packages").iterdir()]
    return notes + [path.name for path in world.site.root.iterdir() if path.name.startswith(".")]


def refused(world: World, why: str) -> None:
    """The healthy twin of it is `test_the_next_night_takes_its_place`."""
    before = there(world.site.root)
    done = written(world)
    assert done.result == "FAILED" and why in str(done.reason), done
    assert there(world.site.root) == before and not left_beside(world)
    (*_, record) = world.site.records("package.end")
    assert (record["result"], record["reason"], record["manifest"]) == ("FAILED", done.reason, None)


# What is well.


def test_its_group_alone_reads_it_and_it_verifies(world: World, tmp_path: Path) -> None:
    wanted(world, tmp_path / "for/auditors/given")
    assert not lint(world) and written(world).result == "DONE"
    given = tmp_path / "for/auditors/given"
    modes = {(path.is_dir(), path.stat().st_mode & 0o7777, path.stat().st_gid) for path in (given, *given.rglob("*"))}
    assert modes == {(True, 0o750, os.getgid()), (False, 0o640, os.getgid())}
    assert {path.stat().st_mode & 0o7777 for path in (given.parent, given.parent.parent)} == {0o711}
    done = world.site.run("ledger", "verify", str(given))
    assert (done.code, done.json["says"], done.json["findings"]) == (3, "internally consistent", [])
    assert not left_beside(world) and os.listdir(given.parent) == ["given"]


@pytest.mark.skipif(os.getuid() != 0, reason="takes a group that is not its own")
def test_who_is_in_the_group_reports_by_it_without_the_state(world: World, tmp_path: Path) -> None:
    wanted(world, tmp_path / "given", "daemon")
    assert written(world).result == "DONE"
    given, gid = tmp_path / "given", grp.getgrnam("daemon").gr_gid
    assert {path.stat().st_gid for path in (given, *given.rglob("*"))} == {gid}

    def reads(group: int) -> bool:
        then = "os.setgroups([]), os.setgid(int(sys.argv[2])), os.setuid(65534), open('bagit.txt')"
        argv = ["python3", "-c", f"import os, sys; os.chdir(sys.argv[1]), {then}", str(given), str(group)]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    assert reads(gid) and not reads(65534)


def test_the_next_night_takes_its_place(world: World, tmp_path: Path) -> None:
    first = written(world)
    second = written(world, days=1)
    assert (first.result, second.result) == ("DONE", "DONE") and first.manifest != second.manifest
    assert nightly._digest(tmp_path / "given") == second.manifest
    assert [record["manifest"] for record in world.site.records("package.end")] == [first.manifest, second.manifest]
    assert not left_beside(world)


# Where it may not lie. Its healthy twin lies beside all of these.


@pytest.mark.parametrize(
    "directory",
    ["spool", "spool/below", ".", "repo/below", "state/below", "plans/below", "restore_tests/below", "linked", "linked/below",
     "other", "other/below", "others/package/below", "plans/key"],
)  # fmt: skip
@pytest.mark.parametrize("looks_like_one", [False, True])
def test_it_lies_in_and_around_nothing_that_a_plan_names(
    world: World, tmp_path: Path, directory: str, looks_like_one: bool
) -> None:
    if looks_like_one:  # as whoever writes recordings could have it look
        assert written(world).result == "DONE"
        shutil.copytree(tmp_path / "given", tmp_path / "spool", dirs_exist_ok=True)
    (tmp_path / "linked").symlink_to(tmp_path / "spool")
    (tmp_path / "other").mkdir()
    world.site.recordings(tmp_path / "other", name="q")
    wanted(world, tmp_path / "others/package", plan="q")
    wanted(world, tmp_path / directory)
    (told,) = lint(world)
    assert "lies in or around" in told
    refused(world, "lies in or around")


def test_what_is_mounted_at_two_places_is_one(world: World, tmp_path: Path) -> None:
    (tmp_path / "spool/2026").mkdir()
    wanted(world, tmp_path / "twin/below")
    assert not lint(world)
    with bound(tmp_path / "spool/2026", tmp_path / "twin"):
        assert len(lint(world)) == 1
        refused(world, "lies in or around")


@contextmanager
def bound(place: Path, other: Path) -> Iterator[None]:
    other.mkdir()
    argv = ["mount", "--bind", str(place), str(other)]
    if os.geteuid() != 0 or subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a directory twice needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(other)], check=True)


def test_nobody_else_may_change_what_leads_there(world: World, tmp_path: Path) -> None:
    above = tmp_path / "drop"
    above.mkdir()
    wanted(world, above / "given")
    assert not lint(world)
    above.chmod(0o777)
    assert len(lint(world)) == 1
    refused(world, "which others can change")


def test_a_group_that_is_not_there_reads_nothing(world: World, tmp_path: Path) -> None:
    wanted(world, tmp_path / "given", "no-such-group")
    (told,) = lint(world)
    assert "package.group" in told and "groupadd no-such-group" in told
    refused(world, "is no-such-group, which this machine does not have")


def test_nobody_reads_it_by_a_version_that_nobody_has_approved(world: World, tmp_path: Path) -> None:
    path = world.site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", "approval: {}\nassets:", 1))
    in_force.record(world.site.loaded(), world.services)
    refused(world, "nobody has approved this version of the plan")


# What is there already.


def mine(given: Path) -> None:
    given.mkdir()
    (given / "mine.txt").write_text("not a package")


def empty(given: Path) -> None:
    given.mkdir()


def a_file(given: Path) -> None:
    given.write_text("not a package")


def a_link(given: Path) -> None:
    (given.parent / "aside").mkdir()
    given.symlink_to(given.parent / "aside")


@pytest.mark.parametrize("make", [mine, empty, a_file, a_link])
def test_what_is_no_package_stays(world: World, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "given")
    refused(world, "is no package of ccdr's")


def of_another_ledger(world: World, given: Path) -> None:
    info = given / bag.INFO
    ledger = world.services.lineage().ledger
    info.write_text(info.read_text().replace(f"{bag.BY_LEDGER}: {ledger}", f"{bag.BY_LEDGER}: {'0' * 32}"))
    sealed(given)


def of_another_plan(world: World, given: Path) -> None:
    info = given / bag.INFO
    info.write_text(info.read_text().replace("Ccdr-Plans: p\n", "Ccdr-Plans: q\n"))
    sealed(given)


def exported_by_hand(world: World, given: Path) -> None:
    shutil.rmtree(given)
    assert world.site.run("ledger", "export", str(given), "--plan", "p").code == 0


def added_to(world: World, given: Path) -> None:
    (given / "data/notes.txt").write_text("mine")


def added_to_and_sealed(world: World, given: Path) -> None:
    added_to(world, given)
    sealed(given)


def changed(world: World, given: Path) -> None:
    with (given / "data/population.csv").open("a") as file:
        file.write("mine\n")


def led_elsewhere(world: World, given: Path) -> None:
    shutil.rmtree(given / "data/plans")
    (given / "data/plans").symlink_to(world.site.root / "spool")


@pytest.mark.parametrize(
    ("change", "why"),
    [(of_another_ledger, "is a package of another ledger"), (of_another_plan, "is a package of other plans"),
     (exported_by_hand, "no run of this plan wrote"), (added_to, "PACKAGE_FILE_EXTRA"),
     (added_to_and_sealed, "was changed since"), (changed, "PACKAGE_FILE_CHANGED"), (led_elsewhere, "PACKAGE_NO_FILE")],
)  # fmt: skip
def test_what_a_run_did_not_write_so_stays(
    world: World, tmp_path: Path, change: Callable[[World, Path], None], why: str
) -> None:
    assert written(world).result == "DONE"
    change(world, tmp_path / "given")
    refused(world, why)


# What ends it on the way.


def killed(world: World, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """By the system, as it is about to do that."""
    if (child := os.fork()) == 0:
        monkeypatch.setattr(nightly, at, lambda *words: os.kill(os.getpid(), signal.SIGKILL))
        write_nightly(world.site.loaded(), world.services)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize("at", ["_digest", "_placed", "sync_directory"])
@pytest.mark.parametrize("before", [False, True])
def test_killed_on_the_way_the_next_one_is_written_and_nothing_is_left(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, before: bool
) -> None:
    if before:
        assert written(world).result == "DONE"
    one = nightly._digest(tmp_path / "given")
    killed(world, monkeypatch, at)
    stands = nightly._digest(tmp_path / "given")
    assert (stands == one) is (at != "sync_directory"), "the one before, whole, or the new one"
    (tmp_path / ".ccdr-package-0123456789abcdef0123456789abcdef").mkdir()  # of nobody that ccdr knows
    world.clock.on(minutes=5)
    assert written(world).result == "DONE"
    assert left_beside(world) == [".ccdr-package-0123456789abcdef0123456789abcdef"]


def test_killed_between_the_two_names_the_one_before_comes_back(world: World, tmp_path: Path) -> None:
    assert written(world).result == "DONE"
    given, beside = tmp_path / "given", tmp_path / ".ccdr-package-x"
    beside.mkdir(0o700)
    note = world.site.state / "packages/p.json"
    nightly.write_state(note, nightly.Placing(beside=str(beside), target=str(given)))
    given.rename(beside / nightly.OLD)
    wanted(world, given, "no-such-group")
    nightly._clear(note)
    assert bag.is_package(given) and not left_beside(world)


def test_a_link_in_the_place_of_what_a_killed_run_left_is_not_followed(world: World, tmp_path: Path) -> None:
    (tmp_path / ".ccdr-package-x").symlink_to(tmp_path / "spool")
    note = world.services.state.directory("packages") / "p.json"
    nightly.write_state(note, nightly.Placing(beside=str(tmp_path / ".ccdr-package-x"), target=str(tmp_path / "given")))
    before = there(tmp_path)
    assert written(world).result == "FAILED" and there(tmp_path) == before


def test_on_a_full_disk_the_one_before_stays(world: World, tmp_path: Path) -> None:
    wanted(world, tmp_path / "disk/given")
    with small_disk(tmp_path / "disk", "8m"):
        first = written(world)
        assert first.result == "DONE"
        room = os.statvfs(tmp_path / "disk")
        (tmp_path / "disk/filler").write_bytes(b"x" * (room.f_bavail * room.f_frsize - 2**16))
        done = written(world, days=1)
        assert done.result == "FAILED" and "given cannot be written: No space left on device" in str(done.reason)
        assert nightly._digest(tmp_path / "disk/given") == first.manifest
        assert sorted(os.listdir(tmp_path / "disk")) == ["filler", "given"]
        (tmp_path / "disk/filler").unlink()
        assert written(world).result == "DONE"
