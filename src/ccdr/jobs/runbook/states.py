"""Where a run stands, from what has happened: which steps are done, which may begin, what each of the others waits for;
how long it took, and will take. Pure; seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from ccdr.jobs.runbook.events import Event
from ccdr.model.errors import Exit, worst
from ccdr.model.order import in_order
from ccdr.plans.runbook import FAILED as SAID_FAILED
from ccdr.plans.runbook import NO, AnyStep, Check, Confirm, Decision, Manual, Recover
from ccdr.plans.runbook_made import Runbook

# A step begins when all that it depends on is done, skipped or not taken, and every decision that leads to it is
# made. It is not taken where none of the answers given leads to it; and neither is what depends on it, unless that
# also depends on another branch of the same decision, which was taken. A step that failed stops what depends on it,
# and nothing else.


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


# How long a run took, and will take. Pure; seconds.
#
# The achieved RTO is all that has passed since it was begun: what machines did, and what people were waited for.
# Within one process, and between two of them on one boot of a machine, it is by a clock that never jumps; else only
# the wall's can tell.

JUMP = 2.0  # seconds by which the two clocks may differ between two looks


@dataclass(frozen=True)
class Elapsed:
    """`machine` and `waited` make up all of it. `jumps` are seconds by which this host's clock was seen to jump;
    `unknown`: it was set back where no other clock tells how long it really took."""

    machine: float = 0.0
    waited: float = 0.0
    jumps: tuple[float, ...] = ()
    unknown: bool = False

    @property
    def seconds(self) -> float:
        return self.machine + self.waited


def between(one: Event, other: Event) -> tuple[float, float]:
    """From one happening to the next: how long, and by how much the wall's clock jumped meanwhile."""
    wall = (other.time - one.time).total_seconds()
    if _one_clock(one, other):
        passed = max(0.0, other.mono - one.mono)
        return passed, wall - passed if abs(wall - passed) > JUMP else 0.0
    return max(0.0, wall), min(0.0, wall)


def _one_clock(one: Event, other: Event) -> bool:
    if one.session == other.session:
        return True
    return bool(one.boot) and one.boot == other.boot and other.mono >= one.mono


def elapsed(events: Sequence[Event], runbook: Runbook) -> Elapsed:
    """From the first happening to the last."""
    machine = waited = 0.0
    jumps: list[float] = []
    unknown = False
    running: set[str] = set()
    for number, event in enumerate(events):
        if number:
            passed, jump = between(events[number - 1], event)
            machine, waited = (machine + passed, waited) if running else (machine, waited + passed)
            jumps += [jump] if jump else []
            unknown |= jump < -JUMP and not _one_clock(events[number - 1], event)
        if event.what in ("session", "taken_over"):
            running.clear()  # whoever ran them is gone
        step = runbook.steps.get(event.step or "")
        if step is None or step.by_person:
            continue
        if event.what == "step.begun":
            running.add(str(event.step))
        elif event.what in ("step.done", "step.failed"):
            running.discard(str(event.step))
    return Elapsed(machine, waited, tuple(jumps), unknown)


@dataclass(frozen=True)
class Achieved:
    """The RTO of a run: until the service's health was shown (`by` which step), None as long as it was not. `assumed`
    are health checks that somebody has skipped, and recoveries that were not done."""

    time: Elapsed | None
    by: str | None = None
    assumed: tuple[str, ...] = ()
    waits_for: tuple[str, ...] = ()


def achieved(standing: Standing) -> Achieved:
    """Until every `http` and `sql` health check is green; without any, until the last assets' check is; without that
    too, until the last recovery is. Nothing is shown where no recovery was done: what answers then is the old one."""
    steps = standing.steps
    taken = {name: one for name, one in steps.items() if one.state is not StepState.NOT_TAKEN}
    of = standing.runbook.steps
    wanted = [name for name in taken if of[name].is_health]
    wanted = wanted or [name for name in taken if isinstance(step := of[name], Check) and step.of != "sources"]
    recoveries = [name for name in taken if isinstance(of[name], Recover)]
    wanted = wanted or recoveries
    done = {name for name, one in taken.items() if one.state is StepState.DONE}
    open_ = [name for name in wanted if taken[name].state not in (StepState.DONE, StepState.SKIPPED)]
    open_ = [name for name in open_ if name not in recoveries or not standing.settled(name)]
    green = [name for name in wanted if name in done]
    if open_ or not green or (recoveries and done.isdisjoint(recoveries)):
        return Achieved(None, waits_for=tuple(open_))
    last = max(
        number for number, event in enumerate(standing.events) if event.what == "step.done" and event.step in green
    )
    not_done = (StepState.SKIPPED, StepState.FAILED, StepState.INTERRUPTED)
    missing = [name for name in recoveries if taken[name].state in not_done]
    assumed = tuple(name for name in taken if name in missing or (name in wanted and name not in done))
    by = standing.events[last].step
    time = elapsed(standing.events[: last + 1], standing.runbook)
    return Achieved(None if time.unknown else time, by, assumed)


@dataclass(frozen=True)
class Forecast:
    """`seconds` from now until all is done, `unknown` the steps whose time nobody has said: they count as nothing."""

    seconds: float
    unknown: tuple[str, ...]


def forecast(standing: Standing, expected: Mapping[str, float], now: datetime | None = None) -> Forecast:
    """Along the longest way of what is left; where a decision is still to be made, by its first answer. `expected` has
    the seconds of each step that they are known of."""
    ends: dict[str, float] = {}
    unknown: list[str] = []
    assumed_away = set(_not_on_the_first_way(standing))
    for name in standing.order:
        state = standing.steps[name].state
        begins = max((ends[other] for other in standing.needs[name]), default=0.0)
        if standing.settled(name) or name in assumed_away:
            ends[name] = begins if name in assumed_away else 0.0
            continue
        takes = expected.get(name)
        if takes is None:
            unknown.append(name)
        since = standing.steps[name].since
        if state is StepState.RUNNING and takes is not None and now is not None and since is not None:
            takes = max(0.0, takes - (now - since).total_seconds())
        ends[name] = begins + (takes or 0.0)
    return Forecast(max(ends.values(), default=0.0), tuple(unknown))


def _not_on_the_first_way(standing: Standing) -> Iterator[str]:
    """Steps that only other answers lead to, where nothing is decided yet, and what follows from them alone."""
    away: set[str] = set()
    for name in standing.order:
        deciders, depends = standing.deciders[name], standing.runbook.steps[name].depends_on
        open_ = [one for one in deciders if standing.steps[one].state not in (StepState.DONE, StepState.NOT_TAKEN)]
        firsts = [next(iter(standing.runbook.steps[one].leads_to().values()), ()) for one in open_]
        led_away = bool(deciders) and len(open_) == len(deciders) and all(name not in first for first in firsts)
        if led_away or (depends and all(other in away for other in depends)):
            away.add(name)
            yield name
