"""`ccdr doctor` on paths: what is well is said to be well, and each thing that is not is seen."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

from tests.support.doctor import an_rpo_that_can_be_met, lines, state_of
from tests.support.harness import PASSWORD, ShiftedClock, Site, eventually
from tests.support.stored import assert_clean

from ccdr.model.values import Health, Probe
from ccdr.setup.doctor import repository


def contents(*roots: Path) -> str:
    """Everything below, names and bytes."""
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*")):
            digest.update(str(path).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def test_all_is_well_and_nothing_is_changed(twin: Site) -> None:
    places = [twin.root / name for name in ("plans", "restore_tests", "repo", "tree")]
    places += [twin.state / name for name in ("ledger", "catalogue", "index")]
    before = contents(*places)
    done = twin.run("doctor")
    assert done.code == 0, done
    assert {line["state"] for line in lines(done).values()} <= {"OK", "WARN"}
    for what, asset in (
        ("restic", None),
        ("repository", None),
        ("source", "recordings"),
        ("RPO by schedule", "recordings"),
    ):
        assert state_of(done, what, asset) == "OK", done
    assert contents(*places) == before
    assert_clean(twin)


def test_people_are_told_in_lines(twin: Site) -> None:
    (twin.root / "plans" / "key").chmod(0o644)
    done = twin.plainly("doctor", "p")
    assert done.returncode == 1
    said = done.stdout.splitlines()
    assert said[0] == "this host" and "p" in said and "p/recordings" in said
    fault = next(n for n, line in enumerate(said) if line.startswith("  FAIL"))
    assert "other users can read" in said[fault] and said[fault + 1].strip() == f"→ chmod 600 {twin.root}/plans/key"
    assert said[-1].endswith("1 FAIL") or "1 FAIL" in said[-1]


def test_no_plan_and_a_wrong_plan(site: Site) -> None:
    assert site.run("doctor").code == 2
    site.write("plans/p.yaml", "plan: p\n")
    assert site.run("doctor").code == 2
    assert site.run("doctor", "other").code == 2


def test_wrong_password(twin: Site) -> None:
    twin.write("plans/key", "not the one that it was made with\n", mode=0o600)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "repository")) == (1, "FAIL"), done
    assert "does not open" in lines(done)["repository", None]["found"]


def test_missing_password(twin: Site) -> None:
    (twin.root / "plans" / "key").unlink()
    done = twin.run("doctor")
    assert done.code == 1, done
    assert (state_of(done, "secrets"), state_of(done, "repository")) == ("FAIL", "UNKNOWN")


def test_repository_that_vanished_and_one_that_never_was(twin: Site) -> None:
    shutil.rmtree(twin.repo)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "repository")) == (1, "FAIL"), done
    (twin.root / "new").mkdir()
    new = Site(twin.root / "new", bare=True)
    new.recordings(twin.root / "tree")
    an_rpo_that_can_be_met(new)
    done = new.run("doctor")
    assert (done.code, state_of(done, "repository")) == (0, "WARN"), done


def test_lock_that_a_dead_restic_left(twin: Site) -> None:
    """Known by the time that nobody renews."""
    argv = ["restic", "-r", str(twin.repo), "--no-cache", "backup", "--stdin-from-command", "--", "sleep", "60"]
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "RESTIC_PASSWORD": PASSWORD}
    restic = subprocess.Popen(argv, env=env, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert eventually(lambda: any((twin.repo / "locks").iterdir()), 30)
        assert state_of(twin.run("doctor"), "repository locks") == "OK", "it is at work"
    finally:
        os.killpg(restic.pid, signal.SIGKILL)
        restic.communicate()

    def looked(shift: timedelta) -> Probe:
        found = list(repository.repository(twin.loaded(), twin.services(ShiftedClock(shift)), known=True))
        return found[-1]

    assert looked(timedelta(minutes=20)).state is Health.OK
    late = looked(timedelta(hours=1))
    assert late.state is Health.WARN and "restic unlock" in str(late.do), late
    assert any((twin.repo / "locks").iterdir()), "looking removes nothing"


def test_source_that_is_gone(twin: Site) -> None:
    shutil.move(twin.root / "tree", twin.root / "elsewhere")
    done = twin.run("doctor")
    assert (done.code, state_of(done, "source", "recordings")) == (1, "FAIL"), done
    (twin.root / "tree").mkdir()
    done = twin.run("doctor")
    assert (done.code, state_of(done, "rights to read", "recordings")) == (1, "FAIL"), done
    assert twin.run("doctor", "--only", "tests").code == 0, "which is no concern of a host that only tests"


def test_state_that_cannot_be_had(twin: Site) -> None:
    twin.write("file", "")
    done = twin.run("doctor", "--state", str(twin.root / "file" / "state"))
    assert (done.code, state_of(done, "state directory")) == (1, "FAIL"), done
    assert (state_of(done, "source", "recordings"), state_of(done, "repository")) == ("UNKNOWN", "UNKNOWN")


def test_damaged_ledger(twin: Site) -> None:
    ledger = next((twin.state / "ledger").glob("*.jsonl"))
    ledger.write_text("no record\n" + ledger.read_text())
    done = twin.run("doctor")
    assert (done.code, state_of(done, "ledger")) == (1, "FAIL"), done


def test_open_state_directory(twin: Site) -> None:
    twin.state.chmod(0o755)
    done = twin.run("doctor")
    assert (done.code, state_of(done, "state directory")) == (1, "FAIL"), done
