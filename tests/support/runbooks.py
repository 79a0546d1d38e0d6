"""Runbooks for tests: from YAML, without a plan around them, and a run that is carried on by hand."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import yaml
from pydantic import TypeAdapter

from ccdr.jobs.runbook.events import Event, What
from ccdr.jobs.runbook.states import Standing
from ccdr.plans.runbook import Steps
from ccdr.plans.runbook_made import Runbook
from tests.support.clocks import NOON

STEPS: TypeAdapter[Steps] = TypeAdapter(Steps)


def runbook(steps: str | Mapping[str, Any]) -> Runbook:
    """`steps` is YAML, one step a line."""
    of = yaml.safe_load(textwrap.dedent(steps)) if isinstance(steps, str) else steps
    return Runbook("p", STEPS.validate_python(of), made=False)


@dataclass
class ByHand:
    """A run whose happenings a test says, a second apart."""

    runbook: Runbook
    events: list[Event] = field(default_factory=list)
    session: str = "one"
    seconds: float = 0.0
    jumped: float = 0.0
    boot: str = ""

    def __post_init__(self) -> None:
        self.happens("begun")
        self.happens("session")

    def happens(self, what: What, step: str | None = None, after: float = 1.0, **of: Any) -> ByHand:
        self.seconds += after if self.events else 0.0
        at = NOON + timedelta(seconds=self.seconds + self.jumped)
        of = {"by": "ana", "host": "dr1", **of}
        self.events.append(
            Event(
                seq=len(self.events) + 1,
                what=what,
                time=at,
                mono=self.seconds,
                session=self.session,
                step=step,
                boot=self.boot,
                **of,
            )
        )
        return self

    def done(self, step: str, after: float = 1.0, **of: Any) -> ByHand:
        if not self.runbook.steps[step].by_person:
            self.happens("step.begun", step, 0.0, attempt=1)
        return self.happens("step.done", step, after, **of)

    def resumed(self, session: str = "two", after: float = 1.0) -> ByHand:
        self.session = session
        return self.happens("session", None, after)

    @property
    def standing(self) -> Standing:
        return Standing(self.runbook, tuple(self.events), self.session)
