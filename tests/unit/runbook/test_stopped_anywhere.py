"""Whatever stops ccdr, and wherever: what is done is not done again, and each happening is in the ledger once. Each
place at which the journal or the ledger is written is tried, before the write and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.support.drawn import TIMES
from tests.support.harness import Site

from ccdr.cli.progress import SILENT
from ccdr.jobs.runbook.course import Course
from ccdr.jobs.runbook.evidence import RunbookRecords
from ccdr.jobs.runbook.journal import Journal
from ccdr.jobs.runbook.opening import Desk
from ccdr.jobs.runbook.people import Given, Nobody
from ccdr.jobs.runbook.runners import Runner, StepResult, Work
from ccdr.jobs.runbook.states import Standing, StepState
from ccdr.model.answers import FreeText
from ccdr.plans.runbook import AnyStep

STEPS = """\
runbook:
  once: {kind: command, argv: [once]}
  again: {kind: command, argv: [again], repeat: true, depends_on: [once]}
  ask: {kind: confirm, question: q, depends_on: [once]}
  way: {kind: decision, question: q, answers: {one: [one], other: [other]}}
  one: {kind: command, argv: [one], depends_on: [ask]}
  other: {kind: command, argv: [other]}
  last: {kind: command, argv: [last], repeat: true, depends_on: [again, one]}
"""
ANSWERS = {"ask": Given("yes"), "way": Given("one")}


class Killed(BaseException):
    """As SIGKILL: nobody cleans up."""


class Quiet:
    def changed(self, standing: Standing) -> None: ...

    def said(self, words: FreeText, kept: Path | None) -> None: ...

    def note(self, text: str) -> None: ...


def one_process(site: Site, did: list[str], kill_at: float) -> bool:
    """Begin, or go on, and be killed at that write (whole: before it, half: after it); was it not?"""
    services = site.services()
    desk = Desk(site.loaded(), services)
    writes = iter(range(10_000))

    def dying(write: Any) -> Any:
        def instead(*args: Any, **of: Any) -> Any:
            number = next(writes)
            if number == kill_at:
                raise Killed
            done = write(*args, **of)
            if number + 0.5 == kill_at:
                raise Killed
            return done

        return instead

    def runner(name: str, step: AnyStep, work: Work) -> StepResult:
        did.append(name)
        return StepResult(True)

    runners: Mapping[str, Runner] = {"command": runner}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "_write", dying(Journal._write))
        patch.setattr(type(services.ledger), "write", dying(type(services.ledger).write))
        patch.setattr("ccdr.jobs.runbook.course.AT_ONCE", 1)
        try:
            found = desk.newest()
            if found and found[1].ended:
                journal = Journal(
                    desk.path_of(found[0]), found[0], services.clock, "late", "", "", None, list(found[1].events)
                )
                RunbookRecords(services, desk.loaded, desk.runbook, journal, {}).catch_up()
                return True
            with desk.holding(), services.state.run(services.clock) as scratch, SILENT as progress:
                journal = desk.resume() if found else desk.begin()
                records = RunbookRecords(services, desk.loaded, desk.runbook, journal, {})
                records.catch_up()
                standing = Standing(desk.runbook, tuple(journal.events), journal.session)
                for name in standing.of_state(StepState.INTERRUPTED):
                    journal.append("step.retried", step=name)
                    did.append(f"{name}, told")
                work = Work(desk.loaded, services, scratch, {}, progress)
                course = Course(desk.runbook, journal, records, runners, Nobody(ANSWERS), Quiet(), work)
                assert course.carry_out().complete
        except Killed:
            return False
    return True


# Each write, before it and after it: all of them in `make soak`, every fifth one here.
PLACES = [number / 2 for number in range(130) if TIMES > 1 or number % 5 == 1]


@pytest.mark.parametrize("kill_at", PLACES)
def test_stopped_at_any_write_nothing_is_repeated_unasked_and_nothing_is_lost(site: Site, kill_at: float) -> None:
    site.plan("rec: {engine: files, paths: [/srv/x]}", extra=STEPS)
    did: list[str] = []
    ended = one_process(site, did, kill_at)
    if not ended:
        assert one_process(site, did, -1)
    times = Counter(did)
    for name in (
        "once",
        "one",
    ):  # the plan does not let them be repeated: only where somebody was told, and asked for it
        assert 1 <= times[name] <= 1 + times[f"{name}, told"], did
    assert times["again"] in (1, 2) and times["last"] in (1, 2) and times["other"] == 0
    (_, standing) = Desk(site.loaded(), site.services()).newest() or pytest.fail("no run")
    assert standing.ended is not None and standing.complete
    records = [r for r in site.records() if r["kind"].startswith("runbook.")]
    assert [r["kind"] for r in records].count("runbook.start") == [r["kind"] for r in records].count("runbook.end") == 1
    done = Counter(r["step"] for r in records if r["kind"] == "runbook.step" and r["result"] == "DONE")
    assert done == dict.fromkeys(("once", "again", "ask", "way", "one", "last"), 1)
    site.ledger_holds()
