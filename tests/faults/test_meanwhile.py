"""What backups do while a restore test goes on, here or on another host: one that succeeds makes no test FAIL, one that
failed or crashed does. Each is held where it is until the other one is where it is to be: nothing here is by luck."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, ShiftedClock, Site, eventually, killed
from tests.support.sparse import append_sparse
from tests.support.stored import assert_clean, other_host

from ccdr.evidence.history.kinds import STORED
from ccdr.jobs.backup import BackupResult, BackupRun, Storing, backup
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.jobs.restore_test import course as sandboxed
from ccdr.jobs.restore_test import job as once
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.model.trouble import Trouble
from ccdr.model.values import Verdict
from ccdr.plans.job import Job
from ccdr.run.scheduled import run
from ccdr.run.tasks import KINDS
from ccdr.storage.restic import Restic

MAY_TAKE = 60  # seconds until somebody who is waited for has failed


@pytest.fixture
def there(twin: Site, tmp_path: Path) -> Site:
    return other_host(twin, tmp_path / "there")


def job(site: Site) -> Job:
    return Job(site.loaded(), "recordings")


def by_hand(site: Site) -> RestoreTest:
    return restore_test(job(site), "latest", site.services(), Quiet())


def by_cron(site: Site) -> RestoreTest:
    """`ccdr run --only tests`, which is due."""
    run([site.loaded()], site.services(), Quiet(), only=KINDS["tests"])
    slot = site.state / "schedule" / "p.recordings.test.json"
    eight_days_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    slot.write_text(json.dumps({**json.loads(slot.read_text()), "settled": eight_days_ago}))
    (did,) = run([site.loaded()], site.services(), Quiet(), only=KINDS["tests"]).did
    assert isinstance(did.outcome, RestoreTest)
    return did.outcome


@contextlib.contextmanager
def while_it_checks(happens: Callable[[], object]) -> Iterator[None]:
    """Once a restore test has chosen and fetched its snapshot, and long before its end."""
    really, left = sandboxed.check_alone, [happens]

    def check(course: CourseOfTest, *args: Any) -> Any:
        if left:
            left.pop()()
        return really(course, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandboxed, "check_alone", check)
        yield
    assert not left, "else the test did not come as far"


@contextlib.contextmanager
def held_at(step: str, site: Site) -> Iterator[Callable[[], BackupResult]]:
    """A backup of the site that has come to this step of it, and stays there: until what is given is called, which
    returns its result."""
    part = Storing if hasattr(Storing, step) else BackupRun
    really, here, go_on = getattr(part, step), threading.Event(), threading.Event()

    def held(attempt: Any, *args: Any, **more: Any) -> Any:
        done = really(attempt, *args, **more) if step in ("store", "mark_failed") else None
        here.set()
        assert go_on.wait(MAY_TAKE)
        return done if step in ("store", "mark_failed") else really(attempt, *args, **more)

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(part, step, held)
        doing: Future[BackupResult] = pool.submit(backup, job(site), site.services(), Quiet())
        assert here.wait(MAY_TAKE)

        def ends() -> BackupResult:
            go_on.set()
            return doing.result(MAY_TAKE)

        try:
            yield ends
        finally:
            go_on.set()


def fails(site: Site) -> str:
    """A backup that fails, of its source alone; its run."""
    shutil.move(site.root / "tree", site.root / "unmounted")
    done = site.run("backup", "p")
    shutil.move(site.root / "unmounted", site.root / "tree")
    assert done.code == 1, done
    return str(done.json["run"])


def troubles(site: Site) -> set[Trouble]:
    from ccdr.telling.status import status

    (found,) = status([site.loaded()], site.services())
    return {p.trouble for p in found.wrong}


def newest(site: Site) -> str:
    return site.services().catalogue.snapshots("p", "recordings")[-1].id


# --- on one host ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test", [by_hand, by_cron])
def test_a_backup_that_ends_well_while_a_test_runs_is_no_crash(twin: Site, test: Callable[[Site], RestoreTest]) -> None:
    """It was under way when the test began, and is not any more when it ends."""
    with held_at("ready", twin) as ends, while_it_checks(lambda: ends()):
        done = test(twin)
    assert (done.verdict, done.reason) == (Verdict.PASS, None)
    assert twin.records("backup.end")[-1]["result"] == STORED
    assert troubles(twin) == set()
    assert_clean(twin)


def test_its_twin_that_is_killed_while_a_test_runs_is_a_crash(twin: Site) -> None:
    stop = twin.root / "bin" / "restic"
    script = f'#!/bin/sh\ncase "$*" in *kind=backup*) touch {twin.root}/here; exec sleep 600;; esac\n'
    twin.write("bin/restic", f'{script}exec {shutil.which("restic")} "$@"\n', mode=0o755)
    going = twin.start("backup", "p", env={"PATH": f"{stop.parent}:{os.environ['PATH']}"})
    assert eventually((twin.root / "here").exists, MAY_TAKE)
    with while_it_checks(lambda: killed(going)):
        done = by_hand(twin)
    assert done.verdict is Verdict.FAIL and "crashed" in str(done.reason) and done.newer_failed, done.reason
    assert Trouble.BACKUP_FAILED in troubles(twin)
    twin.backed_up()
    assert troubles(twin) == set()


def test_a_crash_is_no_less_one_while_the_next_backup_is_under_way(twin: Site) -> None:
    append_sparse(twin.services().ledger, "backup.start", plan="p", asset="recordings", run="crashed", body={})
    with held_at("_commit", twin) as ends:
        done = by_hand(twin)
        ends()
    assert done.verdict is Verdict.FAIL and "run crashed never recorded an end" in str(done.reason)
    assert troubles(twin) == set(), "the next one made up for it"


def test_a_backup_that_succeeds_while_a_test_runs_makes_up_for_the_one_that_failed(twin: Site) -> None:
    fails(twin)
    with while_it_checks(twin.backed_up):
        done = by_hand(twin)
    assert (done.verdict, done.reason) == (Verdict.PASS, None)
    assert troubles(twin) == set()


def test_its_twin_that_fails_while_a_test_runs_is_named(twin: Site) -> None:
    with while_it_checks(lambda: fails(twin)):
        done = by_hand(twin)
    assert done.verdict is Verdict.FAIL and done.newer_failed and "is not there" in str(done.reason)
    twin.backed_up()
    assert troubles(twin) == set()


def test_one_that_fails_after_one_that_succeeded_while_a_test_ran_is_named(twin: Site) -> None:
    with while_it_checks(lambda: (twin.backed_up(), fails(twin))):
        done = by_hand(twin)
    assert done.verdict is Verdict.FAIL and "is not there" in str(done.reason)
    assert {Trouble.BACKUP_FAILED, Trouble.NEWER_FAILED} <= troubles(twin), "what was stored before makes nothing good"
    twin.backed_up()
    assert troubles(twin) == set()


def test_a_backup_that_succeeds_while_a_test_is_concluding_heals_it(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked for what failed by then, and its record comes after the backup's."""
    finish = once.finish

    def slowly(course: CourseOfTest) -> None:
        twin.backed_up()
        assert Trouble.TEST_INCONCLUSIVE not in troubles(twin), "nor has a test crashed that is concluding"
        finish(course)

    fails(twin)
    monkeypatch.setattr(once, "finish", slowly)
    assert by_hand(twin).verdict is Verdict.FAIL
    assert twin.records()[-1]["kind"] == "restore_test.end"
    assert troubles(twin) == set()
    report = twin.run("report", "--format", "json").json
    assert not any("failed" in found["text"] for found in report["findings"]), report["findings"]


def test_a_backup_that_is_stored_while_the_repository_lists_has_not_vanished(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, listed, stored = newest(twin), Restic.snapshots, list[str]()

    def snapshots(repo: Restic, tags: Any) -> Any:
        found = listed(repo, tags)
        if not stored:
            stored.append(twin.backed_up().json["snapshot"]["id"])
        return found

    monkeypatch.setattr(Restic, "snapshots", snapshots)
    done = by_hand(twin)
    assert (done.verdict, done.findings) == (Verdict.PASS, []), done.reason
    assert done.snapshot and done.snapshot.id in (before, *stored)


def test_what_a_backup_here_has_stored_does_not_count_before_it_says_so(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes it back, and stores another."""
    before, tries = newest(twin), list[int]()

    def changed(engine: Any, capture: Any, into: Path) -> list[str]:
        tries.append(1)
        return ["call.wav"] if len(tries) == 1 else []

    monkeypatch.setattr(type(job(twin).engine), "settled", changed)
    with held_at("still_there", twin) as ends:
        done = by_hand(twin)
        assert done.verdict is Verdict.PASS and done.snapshot and done.snapshot.id == before
        assert newest(twin) == before
        assert ends().result == STORED and len(tries) == 2
    assert by_hand(twin).verdict is Verdict.PASS


# --- on two --------------------------------------------------------------------------------------------------------


def test_a_backup_elsewhere_that_tries_again_has_not_failed(
    twin: Site, there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first try has left its mark, so that what it stored does not count."""
    tries: list[int] = []

    def changed(engine: Any, capture: Any, into: Path) -> list[str]:
        tries.append(1)
        return ["call.wav"]

    monkeypatch.setattr(type(job(twin).engine), "settled", changed)
    monkeypatch.setattr("ccdr.jobs.backup.ATTEMPTS", 2)
    before = newest(twin)
    with held_at("mark_failed", twin) as ends:
        done = by_hand(there)
        assert (done.verdict, done.reason) == (Verdict.PASS, None)
        assert done.snapshot and done.snapshot.id == before
        ends()
    assert len(tries) == 2
    done = by_hand(there)
    assert done.verdict is Verdict.FAIL and done.newer_failed, "its twin has ended"


def test_a_backup_elsewhere_that_does_not_go_on_after_a_try_has_failed(
    twin: Site, there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between two tries: by the time that the next but one is due, there is no other way to see it."""
    monkeypatch.setattr(type(job(twin).engine), "settled", lambda *_: ["call.wav"])
    mark = Storing.mark_failed

    def dies(storing: Storing, *args: Any, **more: Any) -> None:
        if not more.get("ended"):
            mark(storing, *args, **more)
            raise KeyboardInterrupt

    monkeypatch.setattr(Storing, "mark_failed", dies)
    with pytest.raises(KeyboardInterrupt):
        backup(job(twin), twin.services(), Quiet())
    assert by_hand(there).verdict is Verdict.PASS
    later = there.services(ShiftedClock(timedelta(hours=2)))
    done = restore_test(job(there), "latest", later, Quiet())
    assert done.verdict is Verdict.FAIL and done.newer_failed, done.reason


def test_a_backup_elsewhere_that_succeeds_while_a_test_runs_makes_up_for_the_one_that_failed(
    twin: Site, there: Site
) -> None:
    fails(twin)
    with while_it_checks(twin.backed_up):
        done = by_hand(there)
    assert (done.verdict, done.reason) == (Verdict.PASS, None)
    assert Trouble.NEWER_FAILED not in troubles(there)


def test_its_twin_elsewhere_that_fails_again_is_named(twin: Site, there: Site) -> None:
    fails(twin)
    again: list[str] = []
    with while_it_checks(lambda: again.append(fails(twin))):
        done = by_hand(there)
    assert done.verdict is Verdict.FAIL and done.newer_failed


def test_what_its_own_backup_takes_back_while_another_host_tests_it_proves_nothing(
    twin: Site, there: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file changed between its digest and restic's reading: the backup elsewhere sees it a moment later than we see
    what it stored. Its twin is taken back by nobody: FAIL."""
    monkeypatch.setattr(type(job(twin).engine), "settled", lambda *_: ["today.wav"])
    monkeypatch.setattr("ccdr.jobs.backup.ATTEMPTS", 1)
    really = Storing.store
    today = twin.root / "tree" / "agent0" / "today.wav"

    def store(storing: Storing, *args: Any) -> Any:
        at = today.stat().st_mtime
        today.write_bytes(os.urandom(today.stat().st_size))
        os.utime(today, (at, at + 1))
        return really(storing, *args)

    monkeypatch.setattr(Storing, "store", store)
    with held_at("still_there", twin) as ends:
        bad = by_hand(there)
        assert bad.verdict is Verdict.FAIL and bad.snapshot and bad.snapshot.id != newest(twin), "so far nobody has"
        with while_it_checks(lambda: ends()):
            done = by_hand(there)
    assert done.verdict is Verdict.INCONCLUSIVE and "removed it since" in str(done.reason), done.reason
    assert done.snapshot and done.snapshot.id == bad.snapshot.id


def test_a_run_that_is_at_work_is_no_crash_to_whoever_verifies_the_ledger(twin: Site) -> None:
    with held_at("ready", twin) as ends:
        assert twin.run("ledger", "verify").json["crashes"] == []
        ends()
    append_sparse(twin.services().ledger, "backup.start", plan="p", asset="recordings", run="crashed", body={})
    (said,) = twin.run("ledger", "verify").json["crashes"]
    assert "run crashed" in said
