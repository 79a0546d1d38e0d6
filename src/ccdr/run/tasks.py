"""Schedules of plans as tasks, what a run did of them, and what it left."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccdr.engines import EngineConfig
from ccdr.evidence.pauses import PAUSED
from ccdr.evidence.records.upkeep import MissedRuns, PassedRuns, SkippedRuns
from ccdr.evidence.records.values import code
from ccdr.evidence.records.writing import unsealed
from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import CcdrError, Exit, own_error, worst
from ccdr.model.schedule import Missed
from ccdr.model.values import Verb, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.model import NIGHTLY
from ccdr.ports.place import Outcome, Progress
from ccdr.run.responsible import Change

# What `--only` may name: a database host backs up, another host tests without the database's credentials.
KINDS = {
    "backups": frozenset({Verb.BACKUP}),
    "tests": frozenset({Verb.TEST, Verb.CONTROL}),
    "upkeep": frozenset({Verb.PRUNE, Verb.CHECK, Verb.COPY, Verb.PACKAGE}),
}
ALL = frozenset(Verb)
UNCOUNTED = frozenset({Verb.PACKAGE})  # no population has it: its own records, and PACKAGE_LATE, tell of it


@dataclass(frozen=True, eq=False)
class Task:
    """One schedule of a plan. `asset` is None for what concerns the whole repository."""

    loaded: LoadedPlan
    verb: Verb
    asset: str | None
    cron: str
    copy: str | None = None  # of the plan's, where it is about that repository

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def group(self) -> str | None:
        """What it is carried out together with; None for what is done alone."""
        return self.loaded.plan.assets[self.asset].group if self.asset and self.verb is Verb.BACKUP else None

    @property
    def tenant(self) -> str:
        return self.loaded.plan.tenant_of(self.asset)

    @property
    def timezone(self) -> str:
        return self.loaded.plan.timezone

    @property
    def name(self) -> str:
        """`outbound/crm backup`, for people."""
        if self.copy is not None:
            return f"{self.plan} {self.copy}: {self.verb}"
        return f"{self.plan}/{self.asset} {self.verb}" if self.asset else f"{self.plan} {self.verb}"


@dataclass(frozen=True)
class Performed:
    """`done`: carried out, whatever it found; what was not is tried again."""

    outcome: Outcome
    done: bool


Perform = Callable[[Task, Trigger, Services, Progress], Performed]
# Of each task, in order: what came of it, or why it could not start. Locked where another run is at one of them.
Together = Callable[[Sequence[Task], Sequence[Trigger], Services, Progress], list[Performed | CcdrError]]


@dataclass(frozen=True)
class Did:
    """One task that this run carried out, or tried to. `reason` is why it could not even begin."""

    task: Task
    due: datetime
    outcome: Outcome | None
    done: bool
    code: Exit
    reason: str | None = None
    hint: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.task.plan,
            "asset": self.task.asset,
            "copy": self.task.copy,
            "verb": self.task.verb.value,
            "due": rfc3339(self.due),
            "done": self.done,
            "exit": int(self.code),
            "reason": self.reason,
            "result": self.outcome and self.outcome.as_json(),
        }


@dataclass(frozen=True)
class Passed:
    """Due times of a task that passed without a try."""

    task: Task
    missed: Missed
    run: str
    paused: bool = False  # the plan was, then

    def ended(self) -> PassedRuns:
        off = "nothing ran then: the machine or cron was off, or an earlier run was still at work"
        make: Any = SkippedRuns if self.paused else MissedRuns
        passed: PassedRuns = make(
            plan=self.task.plan,
            asset=self.task.asset,
            run=self.run,
            verb=code(self.task.verb),
            due=self.missed.last,
            first_due=self.missed.first,
            count=self.missed.count,
            reason=PAUSED if self.paused else off,
            tenant=self.task.tenant,
            copy=self.task.copy,
        )
        return passed

    def as_json(self) -> dict[str, object]:
        return unsealed(self.ended())


@dataclass
class RunResult:
    """What one run did. `busy` is what another run, or a person, was at; `paused` is what is due, and waits for the end
    of its plan's pause, `skipped` what passed in one; `next_due` is when to look again; `changes` is
    what became this host's to do by it, or another's."""

    did: list[Did] = field(default_factory=list)
    missed: list[Passed] = field(default_factory=list)
    skipped: list[Passed] = field(default_factory=list)
    paused: list[Task] = field(default_factory=list)
    busy: list[Task] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    next_due: datetime | None = None

    @property
    def exit_code(self) -> Exit:
        """That something was missed is a finding; that another run is at work is not."""
        return worst([d.code for d in self.did] + [Exit.FINDING for _ in self.missed])

    def as_json(self) -> dict[str, object]:
        return {
            "did": [d.as_json() for d in self.did],
            "missed": [p.as_json() for p in self.missed],
            "skipped": [p.as_json() for p in self.skipped],
            "paused": [t.name for t in self.paused],
            "busy": [t.name for t in self.busy],
            "duties": [{"plan": change.plan, "change": str(change)} for change in self.changes],
            "wakes": self.next_due and rfc3339(self.next_due),
        }


def tasks(plans: Sequence[LoadedPlan], only: Collection[Verb] = ALL) -> list[list[Task]]:
    """Every schedule of these plans, as chains: what is in one is done one after the other, but for the backups of a
    group, which are done together. An asset's backup comes before its test; a plan's last chains are its repository's
    upkeep, that of each copy, which is filled first, and the package for a group."""
    chains = []
    for loaded in plans:
        for names in captured_together(loaded.plan.assets):
            assets = [(name, loaded.plan.assets[name]) for name in names]
            backups = [Task(loaded, Verb.BACKUP, name, a.backup.schedule) for name, a in assets if a.backup]
            tests = [Task(loaded, Verb.TEST, name, a.restore_test.schedule) for name, a in assets if a.restore_test]
            controls = [
                Task(loaded, Verb.CONTROL, name, c.schedule) for name in names if (c := loaded.plan.control_of(name))
            ]
            chains.append([task for task in backups + tests + controls if task.verb in only])
        upkeep = [(Verb.PRUNE, loaded.plan.upkeep.prune), (Verb.CHECK, loaded.plan.upkeep.check)]
        chains.append([Task(loaded, verb, None, cron) for verb, cron in upkeep if verb in only])
        for name, copy in loaded.plan.copies.items():
            care = copy.upkeep or loaded.plan.upkeep
            of_copy = [(Verb.COPY, copy.schedule), (Verb.PRUNE, care.prune), (Verb.CHECK, care.check)]
            chains.append([Task(loaded, verb, None, cron, name) for verb, cron in of_copy if verb in only])
        if loaded.plan.package is not None and Verb.PACKAGE in only:
            chains.append([Task(loaded, Verb.PACKAGE, None, NIGHTLY)])
    return [chain for chain in chains if chain]


def captured_together(assets: Mapping[str, EngineConfig]) -> list[list[str]]:
    """A plan's assets in its order, those of a group in one list."""
    by_group: dict[str, list[str]] = {}
    for name, asset in assets.items():
        by_group.setdefault(f"group {asset.group}" if asset.group else name, []).append(name)
    return list(by_group.values())


def as_done(task: Task, due: datetime, came: Performed | Exception) -> Did:
    if isinstance(came, Performed):
        return Did(task, due, came.outcome, came.done, came.outcome.exit_code)
    if isinstance(came, CcdrError):
        return Did(task, due, None, False, came.exit_code, str(came), came.hint)
    return Did(task, due, None, False, Exit.NOT_CARRIED_OUT, *own_error(came))
