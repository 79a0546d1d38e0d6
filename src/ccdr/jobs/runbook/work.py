"""What a machine's step is handed, and what comes of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ccdr.host.interrupts import tick
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, Exit
from ccdr.plans import LoadedPlan
from ccdr.plans.runbook import AnyStep
from ccdr.ports.place import Progress


@dataclass(frozen=True)
class StepResult:
    """What came of a step. `reason` and `facts` are ours, and may be recorded; `words` are a program's."""

    ok: bool
    reason: str | None = None
    hint: str | None = None
    code: Exit = Exit.OK
    facts: Mapping[str, str] = field(default_factory=dict)
    left_behind: tuple[str, ...] = ()
    words: FreeText = field(default_factory=FreeText)


@dataclass(frozen=True)
class Work:
    """What a runner is handed. `since`: when an earlier attempt was first begun, which may have got somewhere. `begun`
    is when the run was, `recoveries` are those that its steps have told of. `unseen`: how the last attempt ended,
    nobody was told. `approval` is a request that somebody else has signed: for the recovery that a step begins."""

    loaded: LoadedPlan
    services: Services
    run: Run
    directories: Mapping[str, Path]  # by the option that names them: --plans, --restore-tests, --state
    progress: Progress
    since: datetime | None = None
    unseen: bool = False
    begun: datetime | None = None
    recoveries: tuple[str, ...] = ()
    approval: Path | None = None


class Runner(Protocol):
    """Carries out a step of one kind. CcdrError where it could not be carried out, or found something."""

    def __call__(self, name: str, step: AnyStep, work: Work) -> StepResult: ...


def failed(error: CcdrError) -> StepResult:
    code = error.exit_code if error.exit_code in (Exit.FINDING, Exit.LEFT_BEHIND) else Exit.NOT_CARRIED_OUT
    return StepResult(False, str(error), error.hint, code, words=error.words or FreeText())


def nap(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tick()
        time.sleep(0.1)
