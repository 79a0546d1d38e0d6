"""A clock that is set while a runbook goes on: told, and no part of the time that it took."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.harness import Site

from ccdr.cli.progress import SILENT
from ccdr.jobs.runbook.course import Course
from ccdr.jobs.runbook.evidence import RunbookRecords
from ccdr.jobs.runbook.opening import Desk
from ccdr.jobs.runbook.people import Nobody
from ccdr.jobs.runbook.runners import StepResult, Work
from ccdr.jobs.runbook.states import Standing
from ccdr.model.answers import FreeText
from ccdr.plans.runbook import AnyStep


@dataclass
class SetClock:
    by: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.by

    def monotonic(self) -> float:
        return time.monotonic()


class Notes(list[str]):
    def changed(self, standing: Standing) -> None: ...

    def said(self, words: FreeText, kept: Path | None) -> None: ...

    def note(self, text: str) -> None:
        self.append(text)


@pytest.mark.parametrize("hours", [-1, 0, 3])
def test_a_clock_that_is_set_meanwhile_is_told_and_is_no_part_of_the_rto(site: Site, hours: int) -> None:
    site.plan("rec: {engine: files, paths: [/srv/x]}", extra="runbook:\n  a: {kind: recover}\n")
    clock, notes = SetClock(), Notes()
    services = site.services(clock)
    desk = Desk(site.loaded(), services)

    def runner(name: str, step: AnyStep, work: Work) -> StepResult:
        clock.by = timedelta(hours=hours)
        time.sleep(0.6)  # longer than a look at the clock takes
        return StepResult(True)

    with desk.holding(), services.state.run(clock) as scratch, SILENT as progress:
        journal = desk.begin()
        records = RunbookRecords(services, desk.loaded, desk.runbook, journal, {})
        work = Work(desk.loaded, services, scratch, {}, progress)
        Course(desk.runbook, journal, records, {"recover": runner}, Nobody({}), notes, work).carry_out()
    (end,) = site.records("runbook.end")
    assert end["rto"]["verdict"] == "MET" and 0.5 < end["rto"]["achieved_s"] < 5
    assert [round(jump / 3600) for jump in end["jumps_s"]] == ([hours] if hours else [])
    assert bool(notes) == bool(hours) and (not hours or "clock jumped" in notes[0])
