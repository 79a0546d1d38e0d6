"""Restoring files for real: only what is asked, only where nothing is, and all of it or nothing under the final name."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.harness import Quiet, Ran, Site, eventually
from tests.support.stored import LIMITS, LONG_AGO, assert_clean, other_host, restic_of, settled_file

from ccdr.jobs.restore import Request, restoring
from ccdr.model.errors import Locked, UsageProblem
from ccdr.plans.job import Job

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def go(site: Site, to: Path | str, *args: str, name: str | None = None) -> Ran:
    given = ["--yes-i-mean", Path(to).name if name is None else name]
    return site.run("restore", "p", "--asset", "recordings", "--to", str(to), *given, *args)


def listing(root: Path) -> list[tuple[str, int, int, int, float, bytes]]:
    """Everything below: name, mode, owner, time, contents."""
    found = []
    for path in sorted(root.rglob("*")):
        s = path.lstat()
        data = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        time = 0.0 if path.is_symlink() else s.st_mtime
        found.append((str(path.relative_to(root)), s.st_mode, s.st_uid, s.st_gid, time, data))
    return found


def beside(site: Site) -> set[str]:
    return {p.name for p in site.root.iterdir()}


def end(site: Site) -> dict[str, object]:
    assert len(site.records("restore.start")) == len(site.records("restore.end"))
    return site.records("restore.end")[-1]


# --- it restores ------------------------------------------------------------------------------------------------


def test_restored_tree_is_the_source(twin: Site) -> None:
    before = beside(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert beside(twin) - before == {"back"}, "nothing else stays beside it"
    assert not list((twin.root / "back").rglob("ccdr-*")), "ccdr's own listing is not a recording"
    record = end(twin)
    assert record["result"] == done.json["result"] == "RESTORED" and record["reason"] is None
    assert record["target"] == {"kind": "directory", "name": str(twin.root / "back")}
    assert [c["status"] for c in record["checks"]] == ["PASS"]
    assert set(record["phases"]) == {"fetch", "check", "finish"} and record["left_behind"] == []
    (start,) = twin.records("restore.start")
    assert start["snapshot"] == record["snapshot"]["id"] and start["despite_failed_test"] is False
    assert_clean(twin)


def test_everything_that_a_tree_holds_comes_back(twin: Site) -> None:
    tree = twin.root / "tree"
    secret = settled_file(tree / "agent0" / "Ștefan „x” \n y.wav", b"secret")
    secret.chmod(0o600)
    (tree / "latest").symlink_to("agent0/today.wav")
    (tree / "nobody").symlink_to("/nowhere/at all")
    (tree / "empty").mkdir(mode=0o711)
    if os.geteuid() == 0:
        os.chown(secret, 1234, 4321)
    twin.backed_up()
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert listing(twin.root / "back" / str(tree).lstrip("/")) == listing(tree)


def test_an_older_snapshot_by_its_id(twin: Site) -> None:
    old, _ = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    done = go(twin, twin.root / "back", "--snapshot", old[:8])
    assert done.code == 0 and done.json["snapshot"]["id"] == old, done
    assert not list((twin.root / "back").rglob("today.wav"))


def test_total_loss_of_the_host(twin: Site, tmp_path: Path) -> None:
    """Plans and the repository are all there is: no state, and the source is gone."""
    kept = listing(twin.root / "tree")
    shutil.rmtree(twin.root / "tree")
    site = other_host(twin, tmp_path / "new")
    done = go(site, tmp_path / "back")
    assert done.code == 0, done
    assert listing(tmp_path / "back" / str(twin.root / "tree").lstrip("/")) == kept
    assert done.json["snapshot"]["last_test"] is None


def test_an_empty_directory_keeps_its_mode(twin: Site) -> None:
    target = twin.root / "back"
    target.mkdir()
    target.chmod(0o2750)
    done = go(twin, target)
    assert done.code == 0 and target.stat().st_mode & 0o7777 == 0o2750, done


def test_estimate_comes_from_measured_tests(twin: Site) -> None:
    assert go(twin, twin.root / "one", "--dry-run").json["would_restore"]["estimate_s"] is None
    assert twin.run("test", "p").code == 0
    shown = go(twin, twin.root / "one", "--dry-run").json["would_restore"]
    phases = twin.records("restore_test.end")[-1]["phases"]
    assert shown["estimate_s"] == pytest.approx(phases["fetch"] + phases["load"] + phases["check"], abs=0.01)
    assert shown["snapshot"]["last_test"] == "PASS"
    done = go(twin, twin.root / "one")
    assert done.code == 0 and done.json["estimate_s"] == pytest.approx(shown["estimate_s"], abs=0.01)


def mounted(path: Path, size: str) -> None:
    path.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path]).returncode:
        pytest.skip("this host does not let us mount")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own."""
    path = tmp_path / "disk"
    mounted(path, "24m")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_fresh_disk_is_a_target(twin: Site, disk: Path) -> None:
    """Nothing can be renamed onto a mount point: it is made ready inside."""
    (disk / "lost+found").mkdir()
    done = go(twin, disk)
    assert done.code == 0, done
    assert {p.name for p in disk.iterdir()} == {"lost+found", twin.root.parts[1]}
    assert listing(disk / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")


# --- it refuses -------------------------------------------------------------------------------------------------

REFUSED = {
    "the source": (lambda s: s.root / "tree", "is backed up from"),
    "below the source": (lambda s: s.root / "tree" / "agent0" / "new", "is backed up from"),
    "above the source": (lambda s: s.root, "is backed up from"),
    "a link to the source": (lambda s: s.root / "link", "is a link"),
    "through a link": (lambda s: s.root / "link" / "new", "is backed up from"),
    "a source of another asset": (lambda s: s.root / "other" / "new", "is backed up from"),
    "the repository": (lambda s: s.root / "repo" / "new", "repository"),
    "the state": (lambda s: s.root / "state" / "new", "state"),
    "not empty": (lambda s: s.root / "full", "not empty"),
    "a file": (lambda s: s.root / "full" / "file", "not a directory"),
    "no parent": (lambda s: s.root / "no" / "parent", "not there"),
    "upwards": (lambda s: f"{s.root}/x/../tree", "goes up again"),
    "nothing": (lambda s: "", "empty"),
    "a server": (lambda s: "postgresql://a@b/c", "not onto a server"),
}


@pytest.mark.parametrize("target", REFUSED)
def test_refused_target(twin: Site, target: str) -> None:
    to, said = REFUSED[target]
    (twin.root / "link").symlink_to(twin.root / "tree")
    settled_file(twin.root / "full" / "file", b"x")
    (twin.root / "other").mkdir()
    plan = twin.root / "plans" / "p.yaml"
    assets = f"  configuration:\n    engine: files\n    paths: [{twin.root}/other]\n"
    plan.write_text(plan.read_text() + assets)
    before = listing(twin.root / "tree"), beside(twin), listing(twin.root / "repo")
    done = go(twin, to(twin), name=Path(to(twin)).name or "x")
    assert done.code == 2 and said in done.json["error"], done
    assert (listing(twin.root / "tree"), beside(twin), listing(twin.root / "repo")) == before
    record = end(twin)
    assert (record["result"], record["phases"]) == ("REFUSED", {}) and said in str(record["reason"])
    assert_clean(twin)


def with_plan(site: Site, name: str, text: str) -> None:
    """Another plan beside p."""
    head = (site.root / "plans" / "p.yaml").read_text().split("repository:")[0].replace("plan: p", f"plan: {name}")
    site.write(f"plans/{name}.yaml", head + text)


def test_sources_and_repositories_of_other_plans_are_refused_too(twin: Site) -> None:
    tree, repo = settled_file(twin.root / "theirs" / "a", b"x").parent, twin.root / "their-repo"
    (twin.root / "new").mkdir()
    repo.mkdir()
    with_plan(
        twin,
        "q",
        f"repository: {{url: {repo}, password_file: key}}\nassets:\n  x: {{engine: files, paths: [{tree}]}}\n",
    )
    done = go(twin, tree / "new")
    assert done.code == 2 and "lies in" in done.json["error"] and "q/x is backed up from" in done.json["error"], done
    done = go(twin, repo / "new")
    assert done.code == 2 and "the repository of plan q" in done.json["error"], done
    assert [p.name for p in tree.iterdir()] == ["a"] and list(repo.iterdir()) == []
    done = go(twin, twin.root / "new" / "back")
    assert done.code == 0 and done.json["notes"] == [], done


def test_a_plan_that_cannot_be_read_is_named(twin: Site) -> None:
    with_plan(twin, "broken", "assets: nonsense\n")
    done = go(twin, twin.root / "back")
    assert done.code == 0 and "broken.yaml" in done.json["notes"][0] and "could not be read" in done.json["notes"][0], (
        done
    )


def test_what_the_snapshot_is_of_is_refused_too(twin: Site) -> None:
    """The plan names another tree by now: the old one may still be in use."""
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    twin.recordings(twin.root / "elsewhere")
    done = go(twin, twin.root / "tree" / "new", "--snapshot", new)
    assert done.code == 2 and "the snapshot of" in done.json["error"], done
    done = go(twin, twin.root / "back", "--snapshot", new)
    assert done.code == 0 and any("plan names now" in note for note in done.json["notes"]), done


@root_only
def test_refused_through_a_bind_mount(twin: Site, tmp_path: Path) -> None:
    alias = tmp_path / "alias"
    alias.mkdir()
    if subprocess.run(["mount", "--bind", twin.root / "tree" / "agent0", alias]).returncode:
        pytest.skip("this host does not let us mount")
    try:
        done = go(twin, alias / "new")
        assert done.code == 2 and "is backed up from" in done.json["error"], done
        assert not (alias / "new").exists()
    finally:
        subprocess.run(["umount", alias], check=True)


def test_dry_run_does_nothing(twin: Site) -> None:
    before, records = beside(twin), len(twin.records())
    done = go(twin, twin.root / "back", "--dry-run")
    assert done.code == 0 and done.json["would_restore"]["target"]["name"] == str(twin.root / "back"), done
    assert go(twin, twin.root / "tree", "--dry-run").code == 2, "a refusal is seen by it too"
    assert beside(twin) == before and len(twin.records()) == records
    assert_clean(twin)


def test_wrong_name_for_a_script(twin: Site) -> None:
    done = go(twin, twin.root / "back", name="bcak")
    assert done.code == 2 and not (twin.root / "back").exists(), done
    assert end(twin)["result"] == "REFUSED"


def test_the_whole_name_as_it_was_given_will_do(twin: Site) -> None:
    done = go(twin, f"{twin.root}/back/", name=f"{twin.root}/back")
    assert done.code == 0 and done.json["result"] == "RESTORED", done


def test_nobody_to_ask(twin: Site) -> None:
    done = twin.run("restore", "p", "--asset", "recordings", "--to", str(twin.root / "back"))
    assert done.code == 2 and "--yes-i-mean back" in done.json["hint"], done
    assert not (twin.root / "back").exists()


def typed(site: Site, to: Path, answer: bytes) -> tuple[int, str]:
    """The command at a terminal, and what is typed at its question."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        site.argv("restore", "p", "--asset", "recordings", "--to", str(to)),
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    said = b""
    with contextlib.suppress(OSError):  # a terminal that is closed is an error on Linux
        while data := os.read(master, 4096):
            said += data
            if b"type the target's name" in said and answer:
                os.write(master, answer)
                answer = b""
    process.wait(30)
    os.close(master)
    return process.returncode, said.decode()


def test_the_right_name_is_typed(twin: Site) -> None:
    code, said = typed(twin, twin.root / "back", b"back\n")
    assert code == 0 and "RESTORED" in said and "never restore-tested" in said, said
    assert (twin.root / "back").is_dir()


@pytest.mark.parametrize("answer", [b"yes\n", b"Back\n", b"\x04"])
def test_anything_else_is_typed(twin: Site, answer: bytes) -> None:
    code, said = typed(twin, twin.root / "back", answer)
    assert code == 2 and "nothing was done" in said, said
    assert not (twin.root / "back").exists() and end(twin)["result"] == "REFUSED"
    assert_clean(twin)


def test_one_restore_of_an_asset_at_a_time(twin: Site) -> None:
    with twin.services().state.lock("p", "recordings", "restore"):
        done = go(twin, twin.root / "back")
    assert done.code == 5 and not (twin.root / "back").exists(), done
    with pytest.raises(Locked), twin.services().state.lock("p", "recordings", "restore"):
        with restoring(Job(twin.loaded(), "recordings"), Request(to="x"), twin.services(), Quiet()):
            pass


def test_no_such_snapshot(twin: Site) -> None:
    done = go(twin, twin.root / "back", "--snapshot", "deadbeef")
    assert done.code == 2 and "deadbeef" in done.json["error"] and not (twin.root / "back").exists(), done


# --- which snapshot ---------------------------------------------------------------------------------------------


def failed_test(site: Site, snapshot: str = "latest") -> None:
    """A restore test of a good snapshot that does not bring everything back, and says so."""
    script = f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\nfind {site.state}/scratch -name call1.wav -delete\nexit $code\n'
    site.write("bin/restic", script, mode=0o755)
    env = {"PATH": f"{site.root / 'bin'}:{os.environ['PATH']}"}
    done = site.run("test", "p", "--snapshot", snapshot, env=env)
    assert done.json["snapshot"]["verdict"] == "FAIL", done


def test_latest_is_the_newest_that_has_not_failed(twin: Site) -> None:
    old, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0 and done.json["snapshot"]["id"] == old, done
    assert any(new[:8] in note and "failed" in note for note in done.json["notes"]), done.json["notes"]


def test_a_snapshot_that_failed_needs_to_be_wanted(twin: Site) -> None:
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    done = go(twin, twin.root / "back", "--snapshot", new)
    assert done.code == 2 and "take an older one; to restore it all the same" in done.json["hint"], done
    assert not (twin.root / "back").exists()
    done = go(twin, twin.root / "back", "--snapshot", new, "--despite-failed-test")
    assert done.code == 0 and done.json["snapshot"]["last_test"] == "FAIL", done
    assert twin.records("restore.start")[-1]["despite_failed_test"] is True


def test_no_snapshot_is_good(twin: Site) -> None:
    old, _ = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    failed_test(twin)
    failed_test(twin, old)
    done = go(twin, twin.root / "back")
    assert done.code == 2 and "failed its test" in done.json["error"] and not (twin.root / "back").exists(), done
    hint = go(twin, twin.root / "back", "--snapshot", old).json["hint"]
    assert hint.startswith("there is no older one that may be good; to restore it all the same"), hint


def test_a_newer_snapshot_that_vanished_is_told(twin: Site) -> None:
    _, new = [s["snapshot"]["id"] for s in twin.records("backup.end")]
    (twin.repo / "snapshots" / new).unlink()
    done = go(twin, twin.root / "back")
    assert done.code == 1 and done.json["result"] == "RESTORED", done
    assert any(new[:8] in note and "vanished" in note for note in done.json["notes"])
    assert any("vanished" in finding for finding in done.json["findings"])


# --- it fails ---------------------------------------------------------------------------------------------------


def nothing(site: Site, code: int, done: Ran, before: set[str]) -> None:
    """Failed with this exit code, and nothing of it is left anywhere."""
    assert done.code == code and done.json["result"] == "FAILED", done
    assert beside(site) == before and done.json["left_behind"] == []
    assert end(site)["result"] == "FAILED"
    assert_clean(site)


def test_damaged_data(twin: Site) -> None:
    pack = max((p for p in (twin.repo / "data").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    pack.chmod(0o600)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    before = beside(twin)
    nothing(twin, 1, done := go(twin, twin.root / "back"), before)
    assert "restore an older snapshot" in done.json["hint"], done
    restic_of(twin.root, "forget", twin.records("backup.end")[0]["snapshot"]["id"])
    nothing(twin, 1, done := go(twin, twin.root / "back"), before)
    assert "`ccdr backup p --asset recordings` takes a new one" in done.json["hint"] and "older" in done.json["hint"]
    assert "restore an older" not in done.json["hint"]


def test_lost_pack(twin: Site) -> None:
    for pack in [p for p in (twin.repo / "data").rglob("*") if p.is_file() and p.stat().st_size > 100_000]:
        pack.unlink()
    before = beside(twin)
    nothing(twin, 1, go(twin, twin.root / "back"), before)


def test_repository_is_gone(twin: Site) -> None:
    twin.repo.rename(twin.root / "elsewhere")
    done = go(twin, twin.root / "back")
    assert done.code == 3 and "no repository" in done.json["error"] and not (twin.root / "back").exists(), done
    assert end(twin)["result"] == "FAILED"


def test_restic_that_says_all_is_well_and_leaves_a_file_out(twin: Site) -> None:
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) find {twin.root}/.back* -name call1.wav -delete;; esac\nexit $code\n'
    )
    twin.write("bin/restic", script, mode=0o755)
    twin.env["PATH"] = f"{twin.root / 'bin'}:{os.environ['PATH']}"
    before = beside(twin)
    nothing(twin, 1, go(twin, twin.root / "back"), before)


def test_restic_that_changes_a_byte_keeps_its_name_from_it(twin: Site) -> None:
    """Whole by its sizes; by its digests it is not what was captured: it stays where it is made ready."""
    script = (
        f'#!/bin/sh\n{shutil.which("restic")} "$@"\ncode=$?\n'
        f'case " $* " in *" restore "*) for f in $(find {twin.root}/.back* -name call1.wav); do '
        f'printf X | dd of="$f" conv=notrunc bs=1 2>/dev/null; touch -d @{LONG_AGO} "$f"; done;; esac\nexit $code\n'
    )
    twin.write("bin/restic", script, mode=0o755)
    twin.env["PATH"] = f"{twin.root / 'bin'}:{os.environ['PATH']}"
    done = go(twin, twin.root / "back")
    assert done.code == 1 and not (twin.root / "back").exists(), done
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert str(kept) in done.json["left_behind"][0] and kept.stat().st_mode & 0o777 == 0o700
    done = go(twin, twin.root / "back", "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and (twin.root / "back").is_dir(), done
    assert str(kept) in done.json["notes"][0], "what the first one left is told"


def test_disk_that_fills_up_meanwhile(twin: Site, disk: Path) -> None:
    request, services = Request(to=str(disk / "back")), twin.services()
    with restoring(Job(twin.loaded(), "recordings"), request, services, Quiet()) as one:
        with (disk / "filler").open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(b"x" * 2**16)
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and int(one.result.exit_code) == 3, one.result
    assert "no space left" in str(one.result.reason).lower() and one.result.hint
    assert {p.name for p in disk.iterdir()} == {"filler"} and one.result.left_behind == []
    assert_clean(twin)


def test_disk_that_is_too_small_from_the_start(twin: Site, tmp_path: Path) -> None:
    small = tmp_path / "small"
    mounted(small, "1m")
    try:
        done = go(twin, small / "back")
        assert done.code == 2 and "free, the restore needs" in done.json["error"], done
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_somebody_else_takes_the_name_meanwhile(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))
    with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()) as one:
        settled_file(twin.root / "back" / "theirs", b"theirs")
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and {p.name for p in (twin.root / "back").iterdir()} == {"theirs"}
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert str(kept) in one.result.left_behind[0], "it is whole: it is not thrown away"


def test_a_defect_of_our_own_still_ends_and_cleans_up(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))

    class Broken(Quiet):
        def step(self, text: str) -> None:
            if text.startswith("checking"):
                raise RuntimeError("a defect")

    with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()) as one:
        one.carry_out(Broken())
    assert one.result.result == "FAILED" and "own" in str(one.result.reason)
    assert not list(twin.root.glob(".back*")) and not (twin.root / "back").exists()
    assert end(twin)["result"] == "FAILED"


def test_refusing_in_between_is_recorded(twin: Site) -> None:
    request = Request(to=str(twin.root / "back"))
    with pytest.raises(UsageProblem):
        with restoring(Job(twin.loaded(), "recordings"), request, twin.services(), Quiet()):
            raise UsageProblem("I have changed my mind")
    assert end(twin)["reason"] == "I have changed my mind" and not (twin.root / "back").exists()


# --- it is stopped ----------------------------------------------------------------------------------------------

SLOW = LIMITS.replace("no_progress: 4s", "no_progress: 60s, download: 40KiB")


def stopped(site: Site, sign: int) -> int:
    """Send `sign` while the snapshot is being fetched."""
    site.recordings(site.root / "tree", SLOW)
    process = site.start(
        "restore", "p", "--asset", "recordings", "--to", str(site.root / "back"), "--yes-i-mean", "back"
    )
    assert process.stderr and process.stdout
    draining = threading.Thread(target=process.stdout.read, daemon=True)
    draining.start()
    for line in process.stderr:
        if "fetching" in line:
            break
    assert eventually(lambda: any(p.is_file() for p in site.root.glob(".back*/**/*")), 30)
    process.send_signal(sign)
    process.wait(60)
    return process.returncode


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_restore_leaves_nothing(twin: Site, sign: int) -> None:
    before = beside(twin)
    assert stopped(twin, sign) == 3
    assert beside(twin) == before
    record = end(twin)
    assert (record["result"], record["reason"], record["left_behind"]) == ("FAILED", "interrupted", [])
    assert_clean(twin)


def syncing(site: Site, which: str, then: str) -> None:
    """`sync` of the working copy, or of the target under its final name, is followed by `then`."""
    wanted = "*ccdr-restore*" if which == "working copy" else "*/back"
    script = f'#!/bin/sh\n{shutil.which("sync")} "$@" || exit\ncase "$2" in {wanted}) {then};; esac\n'
    site.write("bin/sync", script, mode=0o755)
    site.env["PATH"] = f"{site.root / 'bin'}:{os.environ['PATH']}"


@pytest.mark.parametrize("sign", ["INT", "TERM"])
def test_interrupted_after_its_final_name_it_is_restored(twin: Site, sign: str) -> None:
    before = beside(twin)
    syncing(twin, "target", f"[ -e {twin.root}/once ] || {{ touch {twin.root}/once; kill -{sign} $PPID; sleep 20; }}")
    done = go(twin, twin.root / "back")
    assert done.code == 3 and "by its final name all the same" in done.stderr, done
    record = end(twin)
    assert (record["result"], record["reason"], record["left_behind"]) == ("RESTORED", None, [])
    assert record["notes"] == ["stopped when it had its final name already: interrupted"] and record["findings"] == []
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert beside(twin) - before == {"back", "bin", "once"}
    assert_clean(twin)


def test_interrupted_before_its_final_name_it_is_not(twin: Site) -> None:
    syncing(twin, "working copy", "kill -TERM $PPID; sleep 20")
    assert go(twin, twin.root / "back").code == 3
    record = end(twin)
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert (record["result"], record["reason"]) == ("FAILED", "interrupted") and not (twin.root / "back").exists()
    assert str(kept) in str(record["left_behind"]), "it is whole: it is not thrown away"


def test_a_disk_that_cannot_be_synced_at_last_is_told_of_what_stands_there(twin: Site) -> None:
    syncing(twin, "target", "echo Input/output error >&2; exit 1")
    done = go(twin, twin.root / "back")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and (twin.root / "back").is_dir(), done
    (finding,) = done.json["findings"]
    assert "may not be on disk yet" in finding and "sync -f" in finding and "input/output error" in finding
    assert done.json["left_behind"] == []


def test_killed_restore_leaves_nothing_under_the_final_name(twin: Site) -> None:
    assert stopped(twin, signal.SIGKILL) == -signal.SIGKILL
    assert not (twin.root / "back").exists()
    found = twin.run("ledger", "verify")
    assert found.code == 0 and len(found.json["crashes"]) == 1, found
    twin.recordings(twin.root / "tree", LIMITS)
    done = go(twin, twin.root / "back")
    assert done.code == 0 and ".back.ccdr-restore-" in done.json["notes"][0], done
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")


# --- its checks -------------------------------------------------------------------------------------------------

COMMAND = (
    'restore_test: recordings\nchecks:\n  - {kind: command, argv: [sh, -c, "cat .%s/tree/secret > /dev/null%s"]}\n'
)


def with_command(site: Site, then: str = "") -> None:
    secret = settled_file(site.root / "tree" / "secret", b"x")
    secret.chmod(0o600)
    site.recordings(site.root / "tree", LIMITS, checks=COMMAND % (site.root, then))
    site.backed_up()


def test_programs_look_at_it_in_a_sandbox_and_no_mode_changes(twin: Site) -> None:
    with_command(twin)
    done = go(twin, twin.root / "back")
    assert done.code == 0, done
    assert [(c["kind"], c["status"]) for c in done.json["checks"]] == [("identical", "PASS"), ("command", "PASS")]
    assert listing(twin.root / "back" / str(twin.root / "tree").lstrip("/")) == listing(twin.root / "tree")
    assert_clean(twin)


def test_a_failing_check_keeps_the_final_name_from_it(twin: Site) -> None:
    with_command(twin, "; false")
    done = go(twin, twin.root / "back")
    assert done.code == 1 and done.json["result"] == "FAILED" and not (twin.root / "back").exists(), done
    (kept,) = twin.root.glob(".back.ccdr-restore-*")
    assert (kept / "tree" / str(twin.root / "tree" / "secret").lstrip("/")).stat().st_mode & 0o777 == 0o600


def test_no_docker_is_no_reason_to_have_no_data(twin: Site) -> None:
    with_command(twin)
    twin.env["DOCKER_HOST"] = "unix:///nowhere.sock"
    done = go(twin, twin.root / "back")
    assert done.code == 3 and done.json["result"] == "RESTORED", done  # it is there; not all of it was looked at
    assert [(c["kind"], c["status"]) for c in done.json["checks"]] == [
        ("identical", "PASS"),
        ("command", "INCONCLUSIVE"),
    ]
