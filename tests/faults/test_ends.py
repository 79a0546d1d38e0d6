"""Interrupted when the work is done, or while a failure is told of: what was done is recorded, and the interrupt is not
lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Quiet, Site

from ccdr.host import interrupts
from ccdr.jobs import backup as backups
from ccdr.jobs.backup import BackupRun, Storing, backup
from ccdr.jobs.restore_test import job as once
from ccdr.jobs.restore_test.course import CourseOfTest
from ccdr.plans.job import Job
from ccdr.storage.catalogue import Catalogue

Stop = Callable[[], None]


@pytest.fixture(params=["signal", "thread"])
def stop(request: pytest.FixtureRequest) -> Iterator[tuple[Stop, Callable[[Callable[[], Any]], Any]]]:
    """What interrupts, and what carries work out that is to be: in the main thread, or as `run --jobs` does."""
    if request.param == "signal":
        before = signal.signal(signal.SIGTERM, interrupts._interrupt)
        yield lambda: os.kill(os.getpid(), signal.SIGTERM), lambda work: work()
        signal.signal(signal.SIGTERM, before)
        return
    with ThreadPoolExecutor(1) as pool:

        def aside(work: Callable[[], Any]) -> Any:
            done: Future[Any] = pool.submit(work)
            return done.result(60)

        yield interrupts.stop_all, aside
    interrupts.reset()


def job(site: Site) -> Job:
    return Job(site.loaded(), "recordings")


def test_a_backup_that_was_stored_is_recorded_so_whoever_stops_us_then(
    twin: Site, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt, aside = stop
    add = Catalogue.add

    def then(catalogue: Catalogue, *args: Any) -> None:
        add(catalogue, *args)
        interrupt()

    monkeypatch.setattr(Catalogue, "add", then)
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: backup(job(twin), twin.services(), Quiet()))
    end = twin.records("backup.end")[-1]
    newest = twin.services().catalogue.snapshots("p", "recordings")[-1]
    assert (end["result"], end["reason"], end["snapshot"]["id"]) == ("STORED", None, newest.id)
    monkeypatch.undo()
    interrupts.reset()
    assert twin.run("test", "p").json["verdict"] == "PASS"


def test_a_backups_end_is_recorded_whoever_stops_its_cleaning_up(
    twin: Site, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt, aside = stop
    remove = backups.remove_tree

    def slowly(path: Path) -> list[str]:
        if twin.services().catalogue.snapshots("p", "recordings")[2:]:  # it is stored
            interrupt()
            interrupts.tick()
        return remove(path)

    monkeypatch.setattr(backups, "remove_tree", slowly)
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: backup(job(twin), twin.services(), Quiet()))
    starts, ends = twin.records("backup.start"), twin.records("backup.end")
    assert [r["run"] for r in starts] == [r["run"] for r in ends] and ends[-1]["result"] == "STORED"


def test_a_pass_is_recorded_whoever_stops_its_cleaning_up(
    twin: Site, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt, aside = stop
    finish = once.finish

    def slowly(course: CourseOfTest) -> None:
        interrupt()
        interrupts.tick()
        finish(course)

    monkeypatch.setattr(once, "finish", slowly)
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: once.restore_test(job(twin), "latest", twin.services(), Quiet()))
    assert [r["run"] for r in twin.records("restore_test.start")] == [
        r["run"] for r in twin.records("restore_test.end")
    ]
    assert twin.records("restore_test.end")[-1]["verdict"] == "PASS"


def test_an_interrupt_while_a_failed_try_is_marked_is_not_lost(
    twin: Site, stop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on with the next try, which may take hours."""
    interrupt, aside = stop
    tries: list[int] = []
    mark = Storing.mark_failed

    def changed(engine: Any, capture: Any, into: Path) -> list[str]:
        tries.append(1)
        return ["call.wav"] if len(tries) == 1 else []

    def marking(storing: Storing, *args: Any, **more: Any) -> None:
        if not interrupted.is_set():
            interrupted.set()
            threading.Timer(0.1, interrupt).start()
        mark(storing, *args, **more)

    interrupted = threading.Event()
    monkeypatch.setattr(type(job(twin).engine), "settled", changed)
    monkeypatch.setattr(Storing, "mark_failed", marking)
    before = len(twin.services().catalogue.snapshots("p", "recordings"))
    with pytest.raises(KeyboardInterrupt):
        aside(lambda: backup(job(twin), twin.services(), Quiet()))
    end = twin.records("backup.end")[-1]
    assert (end["result"], end["reason"], len(tries)) == ("FAILED", "interrupted", 1)
    assert len(twin.services().catalogue.snapshots("p", "recordings")) == before


def test_its_twin_that_nobody_stops_is_tried_again_and_stored(twin: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []

    def changed(engine: Any, capture: Any, into: Path) -> list[str]:
        tries.append(1)
        return ["call.wav"] if len(tries) == 1 else []

    monkeypatch.setattr(type(job(twin).engine), "settled", changed)
    assert backup(job(twin), twin.services(), Quiet()).result == "STORED" and len(tries) == 2


def test_what_cannot_be_kept_for_the_next_backup_takes_nothing_back(
    twin: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BackupRun, "_keep_for_the_next", full)
    done = backup(job(twin), twin.services(), Quiet())
    assert done.result == "STORED" and any("No space left" in note for note in done.notes)
    assert done.snapshot and twin.run("test", "p").json["snapshot"]["id"] == done.snapshot.id


@pytest.mark.parametrize("heard", [True, False])
def test_what_was_stored_before_its_failed_run_heard_of_it_does_not_count(
    twin: Site, monkeypatch: pytest.MonkeyPatch, heard: bool
) -> None:
    """restic is done, and nobody has yet asked whether the files changed meanwhile. Its twin is stored."""
    store = Storing.store

    def stopped(storing: Storing, *args: Any) -> Any:
        done = store(storing, *args)
        if not heard:
            raise KeyboardInterrupt
        return done

    monkeypatch.setattr(Storing, "store", stopped)
    before = len(twin.services().catalogue.snapshots("p", "recordings"))
    with contextlib.nullcontext() if heard else pytest.raises(KeyboardInterrupt):
        backup(job(twin), twin.services(), Quiet())
    monkeypatch.undo()
    tested = twin.run("test", "p", "--snapshot", "oldest")
    assert tested.json["verdict"] == "PASS"
    assert len(twin.services().catalogue.snapshots("p", "recordings")) == before + heard
