"""State of a newer ccdr, and of before the first release, is never touched; state of an older format is copied and
migrated, by steps that are made up here; a killed migration is undone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.sparse import append_sparse

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.host.clock import SystemClock
from ccdr.host.state import FORMAT, State
from ccdr.model.errors import CcdrError, Exit, Locked
from ccdr.setup import migrate
from ccdr.setup.migrate import FIRST, STEPS, Step, opened

CLOCK = SystemClock()
ENTRY = "catalogue/p/crm/0.json"


def old(root: Path) -> Path:
    """State with something in it, of the first format."""
    state = State(root)
    append_sparse(Ledger(state.ledger, CLOCK), "backup.start", plan="p", asset="crm", run="r", body={})
    state.directory("catalogue", "p", "crm")
    (root / ENTRY).write_text("one\n")
    (root / ENTRY).chmod(0o600)
    return root


def tree(root: Path) -> dict[str, bytes | None]:
    paths = sorted(p for p in root.rglob("*"))
    return {str(p.relative_to(root)): p.read_bytes() if p.is_file() else None for p in paths}


def rewrite(root: Path) -> None:
    """What a real step would do: one part changed, one made, one gone."""
    (root / ENTRY).write_text("two\n")
    (root / "index").mkdir()
    (root / "index" / "new").write_text("made by the step\n")


STEP = Step(("catalogue", "index"), rewrite)


def test_format_and_steps_agree() -> None:
    assert FIRST + len(STEPS) == FORMAT, "a new format needs its step in migrate.py, and a step its number in state.py"


def test_looking_makes_nothing(tmp_path: Path) -> None:
    opened(tmp_path / "state", CLOCK)
    assert not (tmp_path / "state").exists()


def test_first_use_writes_the_number(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    with state.lock("p", "crm", "backup"):
        assert state.version_file.read_text() == f"{FORMAT}\n"
    assert state.version_file.stat().st_mode & 0o777 == 0o600
    assert not list(state.root.glob(".version*"))


def test_state_without_a_number_gets_todays(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    (root / "version").unlink()
    assert opened(root, CLOCK).version_file.read_text() == f"{FORMAT}\n"


def test_a_step_that_changes_nothing_only_counts(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    before = tree(root / "catalogue")
    assert opened(root, CLOCK, steps=[Step((), lambda _: None)]).version_file.read_text() == f"{FIRST + 1}\n"
    assert tree(root / "catalogue") == before and verify(root / "ledger").ok
    with pytest.raises(CcdrError, match="made by a newer ccdr"):
        opened(root, CLOCK, steps=())


@pytest.mark.parametrize("number", range(1, FIRST))
def test_state_of_before_the_first_release_is_refused_and_never_touched(tmp_path: Path, number: int) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path)
    old(site.state)
    (site.state / "version").write_text(f"{number}\n")
    before = tree(site.state)
    for verb in (("status",), ("backup", "p"), ("run",)):
        done = site.run(*verb)
        assert done.code == Exit.NOT_CARRIED_OUT, done
        assert f"is of format {number}, of before the first release" in done.stderr and "→" in done.stderr
        assert tree(site.state) == before
    with pytest.raises(CcdrError, match="before the first release"):
        opened(site.state, CLOCK, steps=[STEP])
    assert tree(site.state) == before


@pytest.mark.parametrize(
    "verb", [("status",), ("ledger", "show"), ("backup", "p"), ("test", "p"), ("run",), ("sandbox", "reap")]
)
def test_newer_state_is_never_touched(tmp_path: Path, verb: tuple[str, ...]) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path)
    old(site.state)
    (site.state / "version").write_text("7\n")
    before = tree(site.state)
    done = site.run(*verb)
    assert done.code == Exit.NOT_CARRIED_OUT, done
    assert "is of format 7" in done.stderr and f"up to {FORMAT}" in done.stderr and "→" in done.stderr
    assert tree(site.state) == before


@pytest.mark.parametrize("text", ["", "one\n", "-1\n", "1.5\n", "0\n", "9" * 20, "\x00\x00"])
def test_damaged_number_is_told(tmp_path: Path, text: str) -> None:
    root = old(tmp_path / "state")
    (root / "version").write_text(text)
    with pytest.raises(CcdrError, match="damaged"):
        opened(root, CLOCK)


def test_older_state_is_copied_then_migrated(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    before = tree(root / "catalogue")
    state = opened(root, CLOCK, steps=[STEP])
    assert state.version_file.read_text() == f"{FIRST + 1}\n"
    assert (root / ENTRY).read_text() == "two\n" and (root / "index/new").exists()
    (copy,) = root.glob(f"backup-v{FIRST}-*")
    assert tree(copy / "catalogue") == before and not (copy / "index").exists()
    assert (copy / ENTRY).stat().st_mode & 0o777 == 0o600 and copy.stat().st_mode & 0o777 == 0o700
    (record,) = (r for r in Ledger(state.ledger, CLOCK).records() if r["kind"] == "state.migrated")
    assert (record["from"], record["to"], record["copy"]) == (FIRST, FIRST + 1, copy.name)
    assert verify(state.ledger).ok
    opened(root, CLOCK, steps=[STEP])
    assert len(list(root.glob("backup-v*"))) == 1, "only once"


def test_several_steps_go_in_one_migration(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    second = Step(("catalogue",), lambda at: (at / ENTRY).write_text((at / ENTRY).read_text() + "three\n") and None)
    assert opened(root, CLOCK, steps=[STEP, second]).version_file.read_text() == f"{FIRST + 2}\n"
    assert (root / ENTRY).read_text() == "two\nthree\n"
    assert len(list(root.glob(f"backup-v{FIRST}-*"))) == 1


def test_failed_step_leaves_all_as_it_was(tmp_path: Path) -> None:
    root = old(tmp_path / "state")

    def broken(at: Path) -> None:
        rewrite(at)
        shutil.rmtree(at / "catalogue")
        raise ValueError("an entry that nobody expected")

    before = tree(root)
    with pytest.raises(CcdrError, match="nobody expected") as caught:
        opened(root, CLOCK, steps=[Step(STEP.touches, broken)])
    assert caught.value.hint and caught.value.exit_code == Exit.NOT_CARRIED_OUT
    after = {k: v for k, v in tree(root).items() if not k.startswith(f"backup-v{FIRST}-")}
    assert after == before
    opened(root, CLOCK, steps=())  # the older ccdr goes on


def test_full_disk_changes_nothing(tmp_path: Path) -> None:
    root = tmp_path / "state"
    root.mkdir()
    with mounted("tmpfs", root, "size=1m"):
        old(root)
        (root / "catalogue" / "large").write_bytes(os.urandom(600_000))
        before = tree(root)
        with pytest.raises(CcdrError, match="No space left"):
            opened(root, CLOCK, steps=[STEP])
        assert tree(root) == before


def test_read_only_state_can_be_looked_at(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path)
    old(site.state)
    with mounted("none", site.state, "bind,ro"):
        assert site.run("ledger", "show").code == 0
        for verb in (("backup", "p"), ("run",)):
            done = site.run(*verb)
            assert done.code == Exit.NOT_CARRIED_OUT and "Read-only" in done.stderr, done
        with pytest.raises(CcdrError, match="Read-only"):
            opened(site.state, CLOCK, steps=[STEP])


def test_waits_for_nobody_who_works(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    at_work = opened(root, CLOCK, steps=())
    with pytest.raises(Locked, match="at work on it"):
        opened(root, CLOCK, steps=[STEP], patience=0.1)
    assert (root / "version").read_text() == f"{FIRST}\n" and not list(root.glob("backup-v*"))
    del at_work
    assert opened(root, CLOCK, steps=[STEP]).version_file.read_text() == f"{FIRST + 1}\n"


def test_many_may_work_at_once(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    opened(root, CLOCK, steps=[STEP])
    both = [opened(root, CLOCK, steps=[STEP], patience=0) for _ in range(2)]
    assert all(state.in_use for state in both)


def test_held_by_a_migration_is_exit_5(tmp_path: Path) -> None:
    root = old(tmp_path / "state")
    with (root / "version").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="being migrated"):
            opened(root, CLOCK, steps=(), patience=0.1)
    opened(root, CLOCK, steps=())


def _in_child(work: Callable[[], object]) -> multiprocessing.Process:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


MOMENTS = ["_copy", "write_durably", "step", "_renumber", "Ledger"]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("after", [False, True])
def test_killed_migration_is_undone_and_done_again(
    tmp_path: Path, moment: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL right before and right after each act of a migration."""
    root = old(tmp_path / "state")
    before = tree(root / "catalogue")

    def deadly(act: Callable[..., object]) -> Callable[..., object]:
        def done(*args: object, **kwargs: object) -> object:
            value = act(*args, **kwargs) if after else None
            os.kill(os.getpid(), signal.SIGKILL)
            return value

        return done

    def doomed() -> None:
        steps = [Step(STEP.touches, deadly(rewrite))] if moment == "step" else [STEP]  # type: ignore[arg-type]
        if moment != "step":
            monkeypatch.setattr(migrate, moment, deadly(getattr(migrate, moment)))
        opened(root, CLOCK, steps=steps)

    child = _in_child(doomed)
    child.join(20)
    assert child.exitcode == -signal.SIGKILL
    if (root / "version").read_text() == f"{FIRST}\n" and (root / "migrating").exists():
        with pytest.raises(CcdrError, match="migration was interrupted"):
            opened(root, CLOCK, steps=())  # the older ccdr keeps its hands off
    assert opened(root, CLOCK, steps=[STEP]).version_file.read_text() == f"{FIRST + 1}\n"
    assert (root / ENTRY).read_text() == "two\n" and (root / "index/new").exists()
    assert not (root / "migrating").exists() and not list(root.glob("*.partial"))
    assert before in [tree(copy / "catalogue") for copy in root.glob(f"backup-v{FIRST}-*")]
    assert verify(root / "ledger").ok


def test_two_at_once_migrate_once(tmp_path: Path) -> None:
    root = old(tmp_path / "state")

    def slow(at: Path) -> None:
        time.sleep(0.2)
        with (at / "catalogue" / "count").open("a") as file:
            file.write("x")
        rewrite(at)

    children = [_in_child(lambda: opened(root, CLOCK, steps=[Step(STEP.touches, slow)])) for _ in range(4)]
    for child in children:
        child.join(20)
    assert [child.exitcode for child in children] == [0] * 4
    assert (root / "catalogue" / "count").read_text() == "x"


def test_lock_ends_with_the_process_and_is_not_inherited(tmp_path: Path) -> None:
    """A restic or a sandbox that outlives its ccdr must not keep a migration away."""
    root = old(tmp_path / "state")
    script = (
        "import subprocess, sys; from pathlib import Path; from ccdr.host.clock import SystemClock; "
        "from ccdr.setup.migrate import opened; state = opened(Path(sys.argv[1]), SystemClock()); "
        "print(subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL).pid)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True, check=True)
    sleeper = int(done.stdout)
    try:
        opened(root, CLOCK, steps=[STEP], patience=0.1)
    finally:
        os.kill(sleeper, signal.SIGKILL)


def test_ledger_export_needs_no_state(tmp_path: Path) -> None:
    """An auditor's copy has no version file."""
    site = Site(tmp_path)
    old(site.state)
    done = site.run("ledger", "verify", str(site.state / "ledger"))
    assert done.code == 0 and json.loads(done.stdout)["records"] == 1, done


@contextlib.contextmanager
def mounted(what: str, at: Path, options: str) -> Iterator[None]:
    """A real file system of that kind; a read-only one cannot be had for root otherwise."""
    argv = [
        "mount",
        *(["-t", what] if what != "none" else []),
        "-o",
        options,
        what if what != "none" else str(at),
        str(at),
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"mounting needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(at)], check=True)
