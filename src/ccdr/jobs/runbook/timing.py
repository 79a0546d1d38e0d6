"""How long a run took, and will take. Pure; seconds.

The achieved RTO is all that has passed since it was begun: what machines did, and what people were waited for. Within
one process, and between two of them on one boot of a machine, it is by a clock that never jumps; else only the wall's
can tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.jobs.runbook.events import Event
from ccdr.jobs.runbook.states import Standing, StepState
from ccdr.plans.runbook import Check, Recover
from ccdr.plans.runbook_made import Runbook

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
