"""A check covers every recovery that was begun in the run; without one it has found that nothing was brought back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.clocks import NOON
from tests.support.harness import Site
from tests.support.runbooks import ByHand, runbook
from tests.support.sealing import a_key

from ccdr.cli.progress import SILENT
from ccdr.cli.runbook.shown import deviations
from ccdr.jobs.recover.journal import Journal
from ccdr.jobs.runbook import runners
from ccdr.jobs.runbook.runners import StepResult, Work
from ccdr.model.errors import Exit
from ccdr.model.values import rfc3339
from ccdr.plans.runbook import Check, Recover


@pytest.fixture
def work(site: Site) -> Iterator[Work]:
    site.plan("rec: {engine: files, paths: [/srv/x]}\ncrm: {engine: files, paths: [/srv/y]}")
    services = site.services()
    with services.state.run(services.clock) as scratch, SILENT as progress:
        yield Work(site.loaded(), services, scratch, {}, progress, begun=NOON)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []

    def run_command(argv: tuple[str, ...], work: Work, **_: object) -> StepResult:
        asked.append(argv)
        return StepResult(True)

    monkeypatch.setattr(runners, "run_command", run_command)
    return asked


def recovered(work: Work, run: str, *assets: str, after: float = 60.0) -> Journal:
    of = [{"asset": name} for name in assets]
    began = rfc3339(NOON + timedelta(seconds=after))
    about = {"plan": work.loaded.plan.plan, "began": began, "assets": of}
    return Journal.begin(work.services.state, run, about, a_key)


def test_without_a_recovery_in_this_run_the_check_fails(work: Work, ran: list[tuple[str, ...]]) -> None:
    recovered(work, "20260101T000000-aaaaaa", "rec", after=-86400)  # of another time
    found = runners.check("check", Check(kind="check"), work)
    assert not found.ok and found.code is Exit.FINDING and not ran


def test_every_recovery_of_this_run_is_checked_and_none_twice(work: Work, ran: list[tuple[str, ...]]) -> None:
    recovered(work, "20260728T120001-aaaaaa", "rec")
    assert runners.check("check", Check(kind="check"), work).ok and ran == [("ccdr", "recover", "check", "p")]
    ran.clear()
    recovered(work, "20260728T120002-bbbbbb", "rec")  # brought back once more
    recovered(work, "20260728T120003-cccccc", "crm")
    assert runners.check("check", Check(kind="check"), work).ok
    assert [argv[-1] for argv in ran] == ["20260728T120002-bbbbbb", "20260728T120003-cccccc"]


def test_a_recovery_that_a_step_told_of_counts_whatever_the_clock_says(work: Work, ran: list[tuple[str, ...]]) -> None:
    recovered(work, "20260728T110000-aaaaaa", "rec", after=-3600)
    assert runners.check("check", Check(kind="check"), replace(work, recoveries=("20260728T110000-aaaaaa",))).ok
    assert len(ran) == 1


def test_a_recover_step_tells_which_recovery_it_began(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_command(argv: tuple[str, ...], work: Work, **_: object) -> StepResult:
        recovered(work, "20260728T120001-aaaaaa", "rec")
        return StepResult(True)

    monkeypatch.setattr(runners, "run_command", run_command)
    done = runners.recover("recover", Recover(kind="recover"), work)
    assert done.facts == {"recovery": "20260728T120001-aaaaaa"}


@pytest.mark.parametrize(
    ("code", "unseen", "ok", "step"),
    [
        (Exit.OK, True, True, Exit.OK),
        (Exit.FINDING, True, False, Exit.FINDING),
        (Exit.NOT_CARRIED_OUT, True, False, Exit.NOT_CARRIED_OUT),
        (Exit.LEFT_BEHIND, True, True, Exit.OK),
        (Exit.FINDING, False, True, Exit.OK),
    ],
)
def test_a_recovery_that_outlived_its_runbook_is_as_green_as_it_ended(
    work: Work, ran: list[tuple[str, ...]], code: Exit, unseen: bool, ok: bool, step: Exit
) -> None:
    """Nobody has seen its exit code. The last twin: a person saw the step fail by it, and had it go on."""
    journal = recovered(work, "20260728T120001-aaaaaa", "rec")
    journal.session(NOON, "alice")
    journal.ended("done", NOON, 1.0, code)
    done = runners.recover("recover", Recover(kind="recover"), replace(work, since=NOON, unseen=unseen))
    assert (done.ok, done.code, bool(done.left_behind)) == (ok, step, code is Exit.LEFT_BEHIND), done
    assert not ran and done.facts == {"recovery": "20260728T120001-aaaaaa"}
    assert ok or (f"exited with {int(code)}" in (done.reason or "") and "recover check p" in (done.hint or ""))


def test_the_headline_names_what_was_not_done() -> None:
    book = runbook("a: {kind: recover}\nb: {kind: command, argv: [b], may_fail: true}\nc: {kind: check}")
    run = ByHand(book).happens("step.skipped", "a").happens("step.failed", "b").done("c")
    assert deviations(run.standing) == ", with deviations: skipped a; failed b"
    assert deviations(ByHand(book).done("a").done("b").done("c").standing) == ""
