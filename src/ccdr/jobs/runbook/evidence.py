"""A run in the ledger: each of its happenings once, in their order, whatever stopped whoever wrote them down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from ccdr.evidence.records import RunbookEnd, RunbookStart, RunbookStep
from ccdr.evidence.records.runbook import RunbookRto, RunbookStepOf
from ccdr.evidence.records.values import Record, code, recorded_user
from ccdr.jobs import in_force
from ccdr.jobs.incidents.opening import Told, for_recovery
from ccdr.jobs.runbook.events import Event
from ccdr.jobs.runbook.journal import Journal
from ccdr.jobs.runbook.opening import START
from ccdr.jobs.runbook.states import Achieved, Standing, StepState, achieved, elapsed, forecast
from ccdr.jobs.services import BY_HAND, Services
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook_made import Runbook

STEP, END = "runbook.step", "runbook.end"
_RESULTS = {
    "step.done": "DONE",
    "step.failed": "FAILED",
    "step.skipped": "SKIPPED",
    "step.waits": "WAITING",
    "step.retried": "RETRIED",
}
CLOCKS = timedelta(hours=1)  # by which this host's clock may have been set back meanwhile
_Key = tuple[str, str | None, str | None]
_RECORDED = frozenset(("begun", "taken_over", "lost", "ended", *_RESULTS))


@dataclass
class RunbookRecords:
    """What of a journal is in the ledger, and what is not yet."""

    services: Services
    loaded: LoadedPlan
    runbook: Runbook
    journal: Journal
    expected: Mapping[str, float]
    incident: Told = field(default_factory=Told)  # that the run belongs to, once its start was recorded here

    def catch_up(self) -> None:
        """Record what has happened since, each happening once. Whoever was stopped between the ledger's line and the
        journal's note of it is told from the ledger itself. CcdrError where the ledger cannot be written."""
        waiting = list(self._waiting())
        there = self._there() if waiting and waiting[0].session != self.journal.session else Counter[_Key]()
        for event in waiting:
            record = self._record(event)
            if there[key := self._key(event)]:
                there[key] -= 1
            else:
                self.services.ledger.write(record)
            if isinstance(record, RunbookStart):  # also where whoever recorded it was stopped before it had one
                self.incident = for_recovery(self.loaded, self.services, self.journal.run, "runbook")
            self.journal.append("recorded", of=event.seq)

    def _waiting(self) -> Iterator[Event]:
        of_here = self._begun_here()
        ours = [event for event in self.journal.events if event.seq >= of_here]
        done = {event.of for event in ours if event.what == "recorded"}
        yield from (event for event in ours if event.what in _RECORDED and event.seq not in done)

    def _begun_here(self) -> int:
        """What was before this host took it over is in the ledger of another."""
        return max((event.seq for event in self.journal.events if event.what == "taken_over"), default=1)

    def _key(self, event: Event) -> _Key:
        kind = self._kind(event)
        return (kind, event.step, rfc3339(event.time)) if kind == STEP else (kind, None, None)

    def _there(self) -> Counter[_Key]:
        """What the ledger tells of this run that the journal has no note of: of its newest records."""
        first = self.journal.events[self._begun_here() - 1].time - CLOCKS
        noted = Counter(self._key(e) for e in self.journal.events if self._noted(e))
        found = Counter[_Key]()
        for record in self.services.ledger.as_read(reverse=True):
            if record.time < first:
                break
            if record.run != self.journal.run:
                continue
            if isinstance(record, RunbookStep):
                found[record.kind, record.step, rfc3339(record.at)] += 1
            elif isinstance(record, RunbookStart | RunbookEnd):
                found[record.kind, None, None] += 1
        return found - noted

    def _noted(self, event: Event) -> bool:
        notes = {e.of for e in self.journal.events if e.what == "recorded" and e.seq >= self._begun_here()}
        return event.seq in notes and event.seq >= self._begun_here()

    @staticmethod
    def _kind(event: Event) -> str:
        if event.what in ("begun", "taken_over"):
            return START
        return END if event.what in ("ended", "lost") else STEP

    def _record(self, event: Event) -> Record:
        kind = self._kind(event)
        if kind == START:
            in_force.record(self.loaded, self.services)
            return self._start(event)
        return self._end(event) if kind == END else self._step(event)

    @property
    def _of(self) -> dict[str, Any]:
        plan = self.loaded.plan
        return {"plan": plan.plan, "run": self.journal.run, "tenant": plan.tenant_of(None)}

    def _start(self, event: Event) -> RunbookStart:
        first = Standing(self.runbook, self.journal.events[: event.seq])
        ahead = forecast(first, self.expected)
        return RunbookStart(
            **self._of,
            **BY_HAND.facts(),
            plan_sha256=self.loaded.sha256,
            runbook_sha256=self.runbook.sha256,
            made=self.runbook.made,
            steps=[
                RunbookStepOf(step=name, kind=step.kind, sha256=self.runbook.digest_of(name))
                for name, step in self.runbook.steps.items()
            ],
            predicted_s=ahead.seconds or None,
            unknown=len(ahead.unknown),
            taken_over_from=self.journal.events[event.seq - 2].host if event.what == "taken_over" else None,
            sealed=self.journal.seals is not None,
        )

    def _step(self, event: Event) -> RunbookStep:
        return RunbookStep(
            **self._of,
            who=recorded_user(),
            step=event.step or "",
            result=code(_RESULTS[event.what]),
            at=event.time,
            attempt=event.attempt,
            seconds=round(event.seconds, 3),
            answer=event.answer,
            words_sha256=event.text,
            reason=event.reason,
            facts=event.facts,
            left_behind=event.left_behind,
        )

    def _end(self, event: Event) -> RunbookEnd:
        standing = Standing(self.runbook, self.journal.events[: event.seq])
        time, steps = elapsed(standing.events, self.runbook), standing.steps
        by_state = {state: standing.of_state(state) for state in StepState}
        return RunbookEnd(
            **self._of,
            **self.loaded.plan.copy_facts,
            result=code(event.state if event.what == "ended" else "TAKEN_OVER"),
            reason=event.reason,
            words_sha256=event.text,
            elapsed_s=round(time.seconds, 3),
            machine_s=round(time.machine, 3),
            waited_s=round(time.waited, 3),
            rto=rto_of(self.loaded, achieved(standing)),
            done=len(by_state[StepState.DONE]),
            skipped=by_state[StepState.SKIPPED],
            failed=by_state[StepState.FAILED],
            not_taken=by_state[StepState.NOT_TAKEN],
            jumps_s=[round(jump, 3) for jump in time.jumps],
            left_behind=[text for one in steps.values() for text in one.left_behind],
        )


def rto_of(loaded: LoadedPlan, found: Achieved) -> RunbookRto:
    objective, time = loaded.plan.objectives.rto, found.time
    verdict = "MET_PARTIAL" if found.assumed else "MET"
    if time is None:
        verdict = "NOT_MEASURED"
    elif time.seconds > objective:
        verdict = "BREACHED"
    return RunbookRto(
        objective_s=objective,
        achieved_s=None if time is None else round(time.seconds, 3),
        machine_s=None if time is None else round(time.machine, 3),
        waited_s=None if time is None else round(time.waited, 3),
        verdict=code(verdict),
        shown_by=found.by,
        assumed=list(found.assumed),
    )
