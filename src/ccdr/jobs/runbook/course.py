"""Carries a runbook out: whatever may be done is done, side by side, until nothing is left that may be."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ccdr.evidence.payloads import keep_payload
from ccdr.host import interrupts
from ccdr.jobs.runbook.evidence import RunbookRecords
from ccdr.jobs.runbook.journal import Journal
from ccdr.jobs.runbook.people import Given, People, as_asked, told_in
from ccdr.jobs.runbook.runners import Runner, StepResult, Work, failed
from ccdr.jobs.runbook.states import JUMP, Standing, StepState, says_no
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, Exit, Locked, failure_of
from ccdr.plans.runbook import AnyStep
from ccdr.plans.runbook_made import Runbook

AT_ONCE = 4  # steps that machines carry out side by side
GLANCE = 0.25  # seconds
_ENDS = ("step.begun", "step.done", "step.failed")


class View(Protocol):
    """Whoever watches. Cheap, and called from one thread."""

    def changed(self, standing: Standing) -> None:
        """A step has come to another state."""

    def note(self, text: str) -> None:
        """A sentence for people."""

    def said(self, words: FreeText, kept: Path | None) -> None:
        """What the program of a step that failed has said, and where that is kept."""


@dataclass
class Course:
    """One process that goes on with a run. `tell` tells people, once, of a step that waits for them or failed."""

    runbook: Runbook
    journal: Journal
    records: RunbookRecords
    runners: Mapping[str, Runner]
    people: People
    view: View
    work: Work
    tell: Callable[[str], bool] = lambda _: False
    doing: dict[str, Future[StepResult]] = field(default_factory=dict)
    begun_at: dict[str, float] = field(default_factory=dict)
    asked: str | None = None
    broken: CcdrError | None = None  # nothing may be begun any more

    @property
    def standing(self) -> Standing:
        return Standing(self.runbook, tuple(self.journal.events), self.journal.session)

    def carry_out(self) -> Standing:
        """Until all is done, or nothing may be done before somebody has answered, mended or skipped something.

        CcdrError where what happens cannot be written down any more, Locked where another host goes on: what runs then
        is waited for. An interrupt stops what runs; it is written down as interrupted when somebody resumes.
        """
        with ExitStack() as stack:
            pool = stack.enter_context(interrupts.threads(AT_ONCE))
            while self._turn(pool):
                pass
        if isinstance(self.broken, Locked):
            with contextlib.suppress(CcdrError):
                self.journal.let_go(self.broken)
                self._record()
        if self.broken is not None:
            raise self.broken
        return self._finish()

    def _turn(self, pool: ThreadPoolExecutor) -> bool:
        """One round; False once there is nothing more to do here."""
        standing = self.standing
        try:
            if self.broken is None:
                standing = self._begin(pool, standing)
            self._collect(standing)
        except CcdrError as error:
            self._break(error)
        if self.broken is not None:
            return bool(self.doing)
        return bool(self.doing) or self._goes_on()

    def _goes_on(self) -> bool:
        standing = self.standing
        if any(not self.runbook.steps[name].by_person for name in standing.ready):
            return True
        answerable = [name for name in standing.for_people if self.people.present or self.people.given(name)]
        return bool(answerable)

    def _break(self, error: CcdrError) -> None:
        """No more is begun; what runs is left to end."""
        if self.broken is None:
            self.broken = error
            self.view.note(str(error))

    def _begin(self, pool: ThreadPoolExecutor, standing: Standing) -> Standing:
        for name in standing.ready:
            step = self.runbook.steps[name]
            if name in self.doing:
                continue
            if step.by_person:
                if given := self.people.given(name):
                    self._answered(name, step, given)
            elif len(self.doing) < AT_ONCE:
                self._start(pool, name, step, standing)
        return self.standing

    def _start(self, pool: ThreadPoolExecutor, name: str, step: AnyStep, standing: Standing) -> None:
        attempts = standing.steps[name].attempts
        told = [e.what for e in self.journal.events if e.step == name and e.what in _ENDS]
        self.journal.append("step.begun", step=name, attempt=attempts + 1)
        self.begun_at[name] = self.journal.clock.monotonic()
        first = next(e.time for e in self.journal.events if e.what == "step.begun" and e.step == name)
        work = replace(
            self.work,
            since=first if attempts else None,
            unseen=told[-1:] == ["step.begun"],
            begun=self.journal.events[0].time,
            recoveries=told_in(self.journal.events),
        )
        self.doing[name] = pool.submit(self._carried_out, name, step, work)
        self.view.changed(self.standing)

    def _carried_out(self, name: str, step: AnyStep, work: Work) -> StepResult:
        """In a thread of its own. An interrupt goes through: nobody knows then whether it was done."""
        try:
            return self.runners[step.kind](name, step, work)
        except CcdrError as error:
            return failed(error)
        except Exception as error:  # a defect of ours stops this step, and no other
            why = failure_of(error)
            return StepResult(False, why.reason, why.hint, Exit.NOT_CARRIED_OUT, words=why.words)

    def _collect(self, standing: Standing) -> None:
        """Wait a moment: for what runs, or for a person."""
        question = self._question(standing)
        if question is not None:
            if given := self.people.poll(question, self.runbook.steps[question], GLANCE):
                self.asked = None
                self._answered(question, self.runbook.steps[question], given)
        elif self.doing:
            wait(self.doing.values(), GLANCE, FIRST_COMPLETED)
        self._look_at_the_clock()
        for name, future in list(self.doing.items()):
            if future.done():
                self._ended(name, future)

    def _question(self, standing: Standing) -> str | None:
        """What is asked now, of those who are there."""
        waiting = [name for name in standing.for_people if name not in self.doing]
        if not self.people.present or not waiting:
            return None
        if self.asked not in waiting:
            self.asked = waiting[0]
            self._waits(self.asked, standing)
            step = self.runbook.steps[self.asked]
            self.people.ask(
                self.asked,
                as_asked(step, self.work.loaded, self.work.services.state, self.journal.events),
                len(waiting),
            )
        return self.asked

    def _waits(self, name: str, standing: Standing) -> None:
        if standing.steps[name].state is not StepState.WAITING:
            self.journal.append("step.waits", step=name)
            self.view.changed(self.standing)

    def _answered(self, name: str, step: AnyStep, given: Given) -> None:
        text = None
        if given.text is not None:
            text = keep_payload(self.work.services.state, given.text)
        stops = says_no(step, given.answer)
        waited = self.standing.steps[name].since
        seconds = 0.0 if waited is None else max(0.0, (self.journal.clock.now() - waited).total_seconds())
        self.journal.append(
            "step.failed" if stops else "step.done",
            step=name,
            attempt=self.standing.steps[name].attempts + 1,
            seconds=round(seconds, 3),
            answer=given.answer,
            text=text,
            reason=f"{self.journal.by} answered {given.answer}" if stops else None,
            code=int(Exit.FINDING) if stops else 0,
        )
        self._record()
        self.view.changed(self.standing)

    def _ended(self, name: str, future: Future[StepResult]) -> None:
        del self.doing[name]
        result = future.result()
        words = self.work.services.state.keep_words(self.journal.run, result.words)
        self.journal.append(
            "step.done" if result.ok else "step.failed",
            step=name,
            attempt=self.standing.steps[name].attempts,
            seconds=round(self.journal.clock.monotonic() - self.begun_at[name], 3),
            reason=result.reason,
            hint=result.hint,
            code=0 if result.ok else int(result.code or Exit.FINDING),
            facts=dict(result.facts),
            left_behind=list(result.left_behind),
        )
        self._record()
        self.view.changed(self.standing)
        if not result.ok:
            self.view.said(result.words, words)

    def _record(self) -> None:
        """A ledger that cannot be written stops nobody in an emergency: it is caught up with later."""
        try:
            self.records.catch_up()
        except Locked:
            raise
        except CcdrError as error:
            self.view.note(f"not in the ledger yet: {error}")

    def _look_at_the_clock(self) -> None:
        """A clock that jumps while something runs is told when it does."""
        last = self.journal.events[-1]
        if last.session != self.journal.session:
            return
        now = self.journal.clock
        jump = (now.now() - last.time).total_seconds() - (now.monotonic() - last.mono)
        if abs(jump) > JUMP:
            self.journal.append("jumped", seconds=round(jump, 3))
            self.view.note(f"this host's clock jumped by {jump:+.0f} s: times of day before it are of the old clock")

    def _finish(self) -> Standing:
        """All is done; or who must be asked, or has to mend something, is told once."""
        standing = self.standing
        if standing.complete:
            self.journal.append("ended", state="DONE")
        for name in standing.for_people:
            self._waits(name, self.standing)
        self._record()
        for name in (*standing.for_people, *standing.stopping):
            if not self.standing.steps[name].told and not self.people.present and self.tell(name):
                self.journal.append("told", step=name)
        self.view.changed(self.standing)
        return self.standing
