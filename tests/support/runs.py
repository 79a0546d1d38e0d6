"""`ccdr run` by a clock of our own, with work that a test makes up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import CcdrError, Exit
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.run.scheduled import Verb, run
from ccdr.run.tasks import KINDS, Performed, RunResult, Task
from tests.support.clocks import Clock
from tests.support.harness import Quiet, Site

START = datetime(2026, 11, 24, 12, 0, 3, tzinfo=UTC)


@dataclass
class SetClock(Clock):
    """Stands where it is put; what it measures goes on."""

    at: datetime = START

    def monotonic(self) -> float:
        return time.monotonic()


@dataclass(frozen=True)
class Result:
    exit_code: Exit = Exit.OK

    def as_json(self) -> dict[str, object]:
        return {}


@dataclass
class World:
    """A site, a clock, and work that is only noted."""

    site: Site
    clock: SetClock = field(default_factory=SetClock)
    did: list[tuple[str, str]] = field(default_factory=list)
    act: Callable[[Task], Performed | None] = lambda task: None
    together: list[list[str]] = field(default_factory=list)
    tries: list[int | None] = field(default_factory=list)

    @property
    def services(self) -> Services:
        return self.site.services(self.clock)

    @property
    def plans(self) -> list[LoadedPlan]:
        return [self.site.loaded(p.stem) for p in sorted((self.site.root / "plans").glob("*.yaml"))]

    def perform(self, task: Task, trigger: Trigger, services: Services, progress: Progress) -> Performed:
        assert trigger.due is not None
        self.tries.append(trigger.attempt)
        self.did.append((task.name, f"{trigger.due:%d %H:%M}"))
        return self.act(task) or Performed(Result(), done=True)

    def perform_together(
        self, tasks: Sequence[Task], triggers: Sequence[Trigger], services: Services, progress: Progress
    ) -> list[Performed | CcdrError]:
        self.together.append([task.name for task in tasks])
        done: list[Performed | CcdrError] = []
        for task, trigger in zip(tasks, triggers, strict=True):
            try:
                done.append(self.perform(task, trigger, services, progress))
            except CcdrError as error:
                done.append(error)
        return done

    def run(self, only: str | None = None, jobs: int = 1) -> RunResult:
        verbs, both = KINDS[only] if only else frozenset(Verb), self.perform_together
        return run(
            self.plans,
            self.services,
            Quiet(),
            only=verbs,
            jobs=jobs,
            stated=[p.stem for p in (self.site.root / "plans").glob("*.yaml")],
            perform=self.perform,
            perform_together=both,
        )

    def news(self) -> list[tuple[str, str]]:
        told, self.did = self.did, []
        return told

    def missed(self) -> list[tuple[object, object, object]]:
        return [(r["asset"], r["verb"], r["count"]) for r in self.site.records("missed")]


ONE = """
a:
  engine: files
  paths: [/srv/a]
  backup: {schedule: "*/30 * * * *"}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
"""
NEVER = "upkeep: {prune: 0 5 1 1 *, check: 0 6 1 1 *}\n"
