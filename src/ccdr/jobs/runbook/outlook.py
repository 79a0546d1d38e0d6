"""Where a run stands, for people and programs: what runs, what waits for whom, what is next, when it will be over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec import to_builtins

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import payload
from ccdr.host.state import State
from ccdr.jobs.recover.outlook import foretold
from ccdr.jobs.runbook.events import Event
from ccdr.jobs.runbook.evidence import rto_of
from ccdr.jobs.runbook.people import choices, question_of, shown
from ccdr.jobs.runbook.states import Elapsed, Forecast, Standing, StepState, achieved, elapsed, forecast
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import Manifest, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep, Check, Manual, Recover
from ccdr.plans.runbook_made import Runbook

_WORDS = {
    StepState.FAILED: "which failed",
    StepState.INTERRUPTED: "which was interrupted",
    StepState.RUNNING: "which runs",
    StepState.WAITING: "which waits for a person",
    StepState.PENDING: "which has not begun",
}


def expected_of(runbook: Runbook, services: Services, loaded: LoadedPlan) -> dict[str, float]:
    """Seconds that each step should take: as the plan says; of a recovery as `ccdr recover` foretells it of the newest
    snapshots, by measured restores; nothing where neither tells."""
    expected: dict[str, float] = {}
    for name, step in runbook.steps.items():
        seconds = step.expected
        if seconds is None and isinstance(step, Recover):
            assets = tuple(a for a in step.assets or tuple(loaded.plan.assets) if a not in step.leave_out)
            seconds = foretold(loaded, assets, services)
        if seconds is not None:
            expected[name] = seconds
    return expected


def known_of(services: Services, loaded: LoadedPlan) -> tuple[dict[str, float], dict[str, Manifest]]:
    """By asset, as far as this host knows: the seconds of its last restore test, and its newest snapshot's manifest."""
    histories, plan = services.histories(), loaded.plan.plan
    measured: dict[str, float] = {}
    manifests: dict[str, Manifest] = {}
    for asset in loaded.plan.assets:
        test = histories.get((plan, asset), AssetHistory()).last_conclusive_test
        if test is not None and test.rto is not None and test.rto.achieved_s is not None:
            measured[asset] = test.rto.achieved_s
        with contextlib.suppress(CcdrError):
            if snapshots := services.catalogue.snapshots(plan, asset):
                newest = max(snapshots, key=lambda one: one.consistent_point)
                manifests[asset] = services.catalogue.manifest(newest)
    return measured, manifests


@dataclass(frozen=True)
class Outlook:
    """A run as it stands `now`. `at_work`: a process of this host goes on with it."""

    loaded: LoadedPlan
    run: str
    standing: Standing
    expected: Mapping[str, float]
    now: datetime
    at_work: bool
    words: Callable[[str | None], str | None] = lambda _: None
    notes: tuple[str, ...] = ()
    state_here: State | None = None

    def shows(self, name: str) -> list[str]:
        """What a step that waits for a person shows now."""
        step = self.standing.runbook.steps[name]
        if self.state_here is None or not isinstance(step, Manual) or not step.shows:
            return []
        return [*step.instructions, *shown(step, self.loaded, self.state_here, self.standing.events)]

    @property
    def time(self) -> Elapsed:
        return elapsed(self._until_now, self.standing.runbook)

    @property
    def _until_now(self) -> list[Event]:
        """As long as it has not ended its time goes on, by this host's clock."""
        events = list(self.standing.events)
        if self.standing.ended is not None or not events:
            return events
        last = events[-1]
        passed = max(0.0, (self.now - last.time).total_seconds())
        since = Event(
            seq=last.seq + 1,
            what="recorded",
            time=last.time + timedelta(seconds=passed),
            mono=last.mono + passed,
            session=last.session,
        )
        return [*events, since]

    @property
    def forecast(self) -> Forecast:
        return forecast(self.standing, self.expected, self.now)

    @property
    def state(self) -> str:
        if (ended := self.standing.ended) is not None:
            return {"DONE": "done"}.get(ended.state, ended.state.lower())
        if self.standing.events and self.standing.events[-1].what == "lost":
            return "taken_over"
        return str(self.standing.state)

    @property
    def stands(self) -> bool:
        """Is nobody at it, though it has not ended?"""
        over = self.standing.ended is not None or self.state == "taken_over"
        return not over and not self.at_work

    def why_not(self, name: str) -> str:
        """Why a step has not begun, in a sentence's end."""
        steps = self.standing.steps
        waits = [f"{other}, {_WORDS.get(steps[other].state, '')}" for other in self.standing.waits_for(name)]
        return "; ".join(waits)

    def as_json(self) -> dict[str, object]:
        time, ahead, standing = self.time, self.forecast, self.standing
        who, over = standing.who, self.standing.ended is not None
        return {
            "plan": self.loaded.plan.plan,
            "run": self.run,
            "state": self.state,
            "runbook": "made" if standing.runbook.made else "plan",
            "begun": rfc3339(standing.events[0].time),
            "by": who and {"who": who.by, "host": who.host, "since": rfc3339(who.time), "at_work": self.at_work},
            "elapsed_s": round(time.seconds, 3),
            "machine_s": round(time.machine, 3),
            "waited_s": round(time.waited, 3),
            "jumps_s": [round(jump, 3) for jump in time.jumps],
            "predicted_s": None if over else round(ahead.seconds, 3),
            "finish": None if over else rfc3339((self.now + timedelta(seconds=ahead.seconds)).replace(microsecond=0)),
            "unknown": list(ahead.unknown),
            "rto": to_builtins(rto_of(self.loaded, achieved(standing))),
            "running": standing.of_state(StepState.RUNNING),
            "waits_for_people": [] if over else standing.for_people,
            "stopping": standing.stopping,
            "next": [] if over else [n for n in standing.ready if n not in standing.for_people],
            "deviations": standing.of_state(StepState.SKIPPED)
            + [n for n in standing.of_state(StepState.FAILED) if standing.settled(n)],
            "steps": [self._step(name, step) for name, step in standing.runbook.steps.items()],
            "notes": list(self.notes),
        }

    def _step(self, name: str, step: AnyStep) -> dict[str, object]:
        one = self.standing.steps[name]
        return {
            **described(name, step, self.standing.runbook, self.expected),
            "state": str(one.state),
            "since": one.since and rfc3339(one.since),
            "seconds": one.seconds,
            "attempts": one.attempts,
            "by": one.by or None,
            "answer": one.answer,
            "said": self.words(one.text),
            "reason": one.reason,
            "hint": one.hint,
            "facts": dict(one.facts or {}),
            "left_behind": list(one.left_behind),
            "waits_for": self.standing.waits_for(name) if one.state is StepState.PENDING else [],
        }


def described(name: str, step: AnyStep, runbook: Runbook, expected: Mapping[str, float]) -> dict[str, object]:
    """A step as the runbook has it."""
    return {
        "step": name,
        "kind": step.kind,
        "phase": step.phase,
        "title": runbook.title(name),
        "depends_on": list(step.depends_on),
        "expected_s": expected.get(name),
        "phone": step.phone,
        "question": question_of(step),
        "answers": {answer: list(to) for answer, to in step.leads_to().items()} or choices(step) or None,
        "of": step.of if isinstance(step, Check) else None,
    }


def words_in(state: State) -> Callable[[str | None], str | None]:
    return lambda digest: payload(state, digest)
