"""Where a run stands, from what has happened: which steps are done, which may begin, what each of the others waits for.
Pure.

A step begins when all that it depends on is done, skipped or not taken, and every decision that leads to it is made. It
is not taken where none of the answers given leads to it; and neither is what depends on it, unless that also depends on
another branch of the same decision, which was taken. A step that failed stops what depends on it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from ccdr.jobs.runbook.events import Event
from ccdr.model.errors import Exit, worst
from ccdr.model.order import in_order
from ccdr.plans.runbook import FAILED as SAID_FAILED
from ccdr.plans.runbook import NO, AnyStep, Confirm, Decision, Manual
from ccdr.plans.runbook_made import Runbook


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"  # for a person
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # begun, and nobody knows whether it was done
    SKIPPED = "skipped"
    NOT_TAKEN = "not_taken"


class RunState(StrEnum):
    RUNNING = "running"
    PAUSED = "paused_by_failed_step"
    WAITING = "waiting_for_decision"
    DONE = "done"


_STANDS = frozenset((StepState.FAILED, StepState.INTERRUPTED))
_OVER = frozenset((StepState.DONE, StepState.SKIPPED, StepState.NOT_TAKEN))


@dataclass(frozen=True)
class StepStanding:
    """One step. `since` is when it came to its state; `seconds` how long it took, of its last attempt."""

    state: StepState = StepState.PENDING
    attempts: int = 0
    since: datetime | None = None
    seconds: float = 0.0
    answer: str | None = None
    text: str | None = None
    by: str = ""
    reason: str | None = None
    hint: str | None = None
    code: Exit = Exit.OK
    facts: Mapping[str, str] | None = None
    left_behind: tuple[str, ...] = ()
    told: bool = False


def _is_answer(step: AnyStep, answer: str | None) -> bool:
    return not isinstance(step, Decision) or answer in step.answers


def says_no(step: AnyStep, answer: str | None) -> bool:
    """Does what a person said stop what depends on it?"""
    return (isinstance(step, Confirm) and answer == NO) or (isinstance(step, Manual) and answer == SAID_FAILED)


@dataclass(frozen=True)
class Standing:
    """A run, by its journal. `session` is of the process that goes on (None: nobody does); what another had begun and
    not ended is interrupted."""

    runbook: Runbook
    events: Sequence[Event]
    session: str | None = None

    @cached_property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """What each step waits for: what it depends on, and the decisions that lead to it."""
        return {name: (*step.depends_on, *self.deciders[name]) for name, step in self.runbook.steps.items()}

    @cached_property
    def deciders(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {name: [] for name in self.runbook.steps}
        for name, step in self.runbook.steps.items():
            for other in dict.fromkeys(one for led_to in step.leads_to().values() for one in led_to):
                found[other].append(name)
        return {name: tuple(by) for name, by in found.items()}

    @cached_property
    def order(self) -> list[str]:
        return in_order(self.needs, {})

    @cached_property
    def told_steps(self) -> dict[str, StepStanding]:
        """Each step that anything was told of, by that alone."""
        steps: dict[str, StepStanding] = {}
        for event in self.events:
            name = event.step
            if name is not None and name in self.runbook.steps:
                steps[name] = _after(steps.get(name, StepStanding()), event)
        for name, one in steps.items():
            step = self.runbook.steps[name]
            if one.state is StepState.RUNNING and self._session_of(name) != self.session:
                again = StepState.PENDING if step.repeatable else StepState.INTERRUPTED
                steps[name] = replace(one, state=again, reason=None if step.repeatable else _UNKNOWN)
            elif one.state is StepState.DONE and not _is_answer(step, one.answer):
                steps[name] = replace(one, state=StepState.PENDING, answer=None)  # the plan has that answer no more
        return steps

    def _session_of(self, name: str) -> str | None:
        return next((e.session for e in reversed(self.events) if e.step == name and e.what == "step.begun"), None)

    @cached_property
    def _not_taken(self) -> dict[str, frozenset[str]]:
        """Steps that are not taken, each with the decisions by which."""
        gates: dict[str, frozenset[str]] = {}
        gone: dict[str, frozenset[str]] = {}
        for name in self.order:
            deciders, depends = self.deciders[name], self.runbook.steps[name].depends_on
            gates[name] = frozenset(deciders).union(*(gates[other] for other in depends))
            if self._state_told(name) is not StepState.PENDING:
                continue  # it was begun, or skipped, whatever was decided
            against = {d for d in deciders if d in gone or self._decided_against(d, name)}
            if deciders and len(against) == len(deciders):
                gone[name] = frozenset().union(*(gone.get(d, frozenset((d,))) for d in deciders))
                continue
            taken = [other for other in depends if other not in gone]
            for other in depends:
                if other in gone and not any(gates[one] & gone[other] for one in taken):
                    gone[name] = gone.get(name, frozenset()) | gone[other]
        return gone

    def _state_told(self, name: str) -> StepState:
        told = self.told_steps.get(name)
        return StepState.PENDING if told is None or told.state is StepState.WAITING else told.state

    def _decided_against(self, decision: str, name: str) -> bool:
        told = self.told_steps.get(decision)
        if told is None or told.state is not StepState.DONE:
            return False
        return name not in self.runbook.steps[decision].leads_to().get(told.answer or "", ())

    @cached_property
    def steps(self) -> dict[str, StepStanding]:
        """Each step, in the runbook's order."""
        return {
            name: StepStanding(StepState.NOT_TAKEN)
            if name in self._not_taken
            else self.told_steps.get(name, StepStanding())
            for name in self.runbook.steps
        }

    def settled(self, name: str) -> bool:
        """May what depends on it begin, as far as it is concerned?"""
        state = self.steps[name].state
        return state in _OVER or (state is StepState.FAILED and self.runbook.steps[name].may_fail)

    def _decided(self, decision: str) -> bool:
        return self.steps[decision].state in (StepState.DONE, StepState.NOT_TAKEN)

    def _free(self, name: str) -> bool:
        depends = self.runbook.steps[name].depends_on
        return all(map(self.settled, depends)) and all(map(self._decided, self.deciders[name]))

    @property
    def ready(self) -> list[str]:
        """What may begin now, or waits for a person."""
        wanted = (StepState.PENDING, StepState.WAITING)
        return [name for name, one in self.steps.items() if one.state in wanted and self._free(name)]

    def of_state(self, *states: StepState) -> list[str]:
        return [name for name, one in self.steps.items() if one.state in states]

    @property
    def stopping(self) -> list[str]:
        """What failed, or was interrupted, and stops the rest."""
        return [name for name, one in self.steps.items() if one.state in _STANDS and not self.settled(name)]

    @property
    def for_people(self) -> list[str]:
        """What may begin, and only a person can do."""
        return [name for name in self.ready if self.runbook.steps[name].by_person]

    @property
    def ended(self) -> Event | None:
        """Of the run as a whole."""
        return next((event for event in reversed(self.events) if event.what == "ended"), None)

    @property
    def complete(self) -> bool:
        return all(map(self.settled, self.runbook.steps))

    @property
    def state(self) -> RunState:
        """A failed step comes first: it is what a person must look at."""
        if self.complete:
            return RunState.DONE
        people = set(self.for_people)
        if self.of_state(StepState.RUNNING) or any(name not in people for name in self.ready):
            return RunState.RUNNING
        return RunState.PAUSED if self.stopping else RunState.WAITING

    def waits_for(self, name: str) -> list[str]:
        """What a step that may not begin waits for, nearest first."""
        wanted = dict.fromkeys(self.needs[name])
        return [
            other for other in wanted if not (self._decided(other) if self._leads(other, name) else self.settled(other))
        ]

    def _leads(self, decision: str, name: str) -> bool:
        return decision in self.deciders[name]

    @property
    def exit_code(self) -> Exit:
        """Of whoever has carried it out as far as it goes."""
        stopping = [name for name in self.of_state(StepState.FAILED) if not self.settled(name)]
        codes = [self.steps[name].code for name in stopping]
        codes += [Exit.NOT_CARRIED_OUT] * bool(self.of_state(StepState.INTERRUPTED) or not self.complete)
        codes += [Exit.LEFT_BEHIND for one in self.steps.values() if one.left_behind]
        return worst(codes or [Exit.OK])

    def sessions(self) -> Iterator[Event]:
        return (event for event in self.events if event.what in ("session", "taken_over"))

    @property
    def who(self) -> Event | None:
        """Who goes on with it, or was the last to."""
        return next((e for e in reversed(self.events) if e.what in ("session", "taken_over")), None)


_UNKNOWN = "ccdr was stopped while it ran: whether it was carried out, nobody knows"


def _after(one: StepStanding, event: Event) -> StepStanding:
    at, by = event.time, event.by
    match event.what:
        case "step.begun":
            return StepStanding(StepState.RUNNING, event.attempt, at, by=by)
        case "step.done" | "step.failed":
            return StepStanding(
                StepState.DONE if event.what == "step.done" else StepState.FAILED,
                max(1, one.attempts),
                at,
                event.seconds,
                event.answer,
                event.text,
                by,
                event.reason,
                event.hint,
                Exit(event.code),
                event.facts or None,
                tuple(event.left_behind),
            )
        case "step.waits":
            return replace(one, state=StepState.WAITING, since=at)
        case "step.retried":
            return StepStanding(StepState.PENDING, one.attempts, at, by=by)
        case "step.skipped":
            return StepStanding(StepState.SKIPPED, one.attempts, at, text=event.text, by=by)
        case "told":
            return replace(one, told=True)
    return one


def unsettled(standing: Standing, names: Iterable[str]) -> list[str]:
    return [name for name in names if not standing.settled(name)]
