"""Everything that is due, once: what cron calls.

Each schedule has a slot on disk and a lock, so any number of runs may overlap: whoever has the lock carries the work
out, the others pass it by. A slot is stamped as begun before the work and as done only after its success.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from ccdr.engines import EngineConfig
from ccdr.evidence.history.kinds import CLEAN, DAMAGED, DONE, MISSED, NOT_BEGUN, STORED
from ccdr.host import interrupts
from ccdr.host.state import State, write_durably
from ccdr.jobs import in_force
from ccdr.jobs.backup import backup
from ccdr.jobs.group_backup import backup_together
from ccdr.jobs.leftovers import reap
from ccdr.jobs.restore_test import next_turn, restore_test
from ccdr.jobs.retired import let_go
from ccdr.jobs.services import Services, Trigger
from ccdr.jobs.upkeep import check, prune
from ccdr.model.errors import CcdrError, Exit, Locked, own_error, worst
from ccdr.model.schedule import Missed, Slot, advance, occurrences
from ccdr.model.values import Verb, Verdict, rfc3339, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.place import Outcome, Progress
from ccdr.run.duties import Change, asked

# What `--only` may name: a database host backs up, another host tests without the database's credentials.
KINDS = {
    "backups": frozenset({Verb.BACKUP}),
    "tests": frozenset({Verb.TEST}),
    "upkeep": frozenset({Verb.PRUNE, Verb.CHECK}),
}
ALL = frozenset(Verb)


@dataclass(frozen=True, eq=False)
class Task:
    """One schedule of a plan. `asset` is None for what concerns the whole repository."""

    loaded: LoadedPlan
    verb: Verb
    asset: str | None
    cron: str

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
        return f"{self.plan}/{self.asset} {self.verb}" if self.asset else f"{self.plan} {self.verb}"


@dataclass(frozen=True)
class Performed:
    """`done`: carried out, whatever it found; what was not is tried again."""

    outcome: Outcome
    done: bool


Perform = Callable[[Task, Trigger, Services, Progress], Performed]
# Of each task, in order: what came of it, or why it could not begin. Locked where another run is at one of them.
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

    def body(self) -> dict[str, object]:
        return {
            "verb": self.task.verb.value,
            "due": rfc3339(self.missed.last),
            "first_due": rfc3339(self.missed.first),
            "count": self.missed.count,
            "reason": "nothing ran then: the machine, cron or an earlier run stood in the way",
        }


@dataclass
class RunResult:
    """What one run did. `busy` is what another run, or a person, was at; `wakes` is when to look again; `duties` is
    what became this host's to do by it, or another's."""

    did: list[Did] = field(default_factory=list)
    missed: list[Passed] = field(default_factory=list)
    busy: list[Task] = field(default_factory=list)
    duties: list[Change] = field(default_factory=list)
    wakes: datetime | None = None

    @property
    def exit_code(self) -> Exit:
        """That something was missed is a finding; that another run is at work is not."""
        return worst([d.code for d in self.did] + [Exit.FINDING for _ in self.missed])

    def as_json(self) -> dict[str, object]:
        return {
            "did": [d.as_json() for d in self.did],
            "missed": [{"plan": p.task.plan, "asset": p.task.asset, **p.body()} for p in self.missed],
            "busy": [t.name for t in self.busy],
            "duties": [{"plan": change.plan, "change": str(change)} for change in self.duties],
            "wakes": self.wakes and rfc3339(self.wakes),
        }


def tasks(plans: Sequence[LoadedPlan], only: Collection[Verb] = ALL) -> list[list[Task]]:
    """Every schedule of these plans, as chains: what is in one is done one after the other, but for the backups of a
    group, which are done together. An asset's backup comes before its test; a plan's last chain is its repository's
    upkeep."""
    chains = []
    for loaded in plans:
        for names in captured_together(loaded.plan.assets):
            assets = [(name, loaded.plan.assets[name]) for name in names]
            backups = [Task(loaded, Verb.BACKUP, name, a.backup.schedule) for name, a in assets if a.backup]
            tests = [Task(loaded, Verb.TEST, name, a.restore_test.schedule) for name, a in assets if a.restore_test]
            chains.append([task for task in backups + tests if task.verb in only])
        upkeep = [(Verb.PRUNE, loaded.plan.upkeep.prune), (Verb.CHECK, loaded.plan.upkeep.check)]
        chains.append([Task(loaded, verb, None, cron) for verb, cron in upkeep if verb in only])
    return [chain for chain in chains if chain]


def captured_together(assets: Mapping[str, EngineConfig]) -> list[list[str]]:
    """A plan's assets in its order, those of a group in one list."""
    found: dict[str, list[str]] = {}
    for name, asset in assets.items():
        found.setdefault(f"group {asset.group}" if asset.group else name, []).append(name)
    return list(found.values())


def run(
    plans: Sequence[LoadedPlan],
    services: Services,
    progress: Progress,
    *,
    only: Collection[Verb] = ALL,
    jobs: int = 1,
    stated: Collection[str] = (),
    perform: Perform | None = None,
    perform_together: Together | None = None,
) -> RunResult:
    """Carry out what is due now, and record what was missed. `stated` are the plans that have a file, whether or not
    they are among `plans`. Raises CcdrError where the state cannot be used, and
    KeyboardInterrupt once all that was under way has been stopped and cleaned up."""
    _tidy(services)
    with contextlib.suppress(CcdrError):  # a full disk is told of by what is due
        let_go(plans, stated, services)
    in_force.record_all(plans, services)
    with contextlib.suppress(CcdrError):
        for directory in {loaded.path.parent for loaded in plans} if stated else ():
            in_force.withdraw(stated, directory, services)
    turns = _Turns(services, progress, perform or perform_task, perform_together or perform_group)
    with contextlib.suppress(CcdrError):  # a ledger that cannot be read is told when all is done
        turns.result.duties += asked(plans, services, only)
    chains = tasks(plans, only)
    if jobs <= 1:
        for chain in chains:
            turns.go_through(chain)
    else:
        _side_by_side(chains, turns.go_through, jobs)
    turns.result.wakes = min(turns.wakes, default=None)
    return turns.result


def _tidy(services: Services) -> None:
    """Remove what a crash has left, before anything new needs its room. Docker is asked only after a crash."""
    services.state.forget_private(services.clock.now())
    if services.state.dead_runs(services.clock.now()) or services.state.captures():
        with contextlib.suppress(CcdrError):  # whoever needs Docker will say that it does not answer
            reap(services)


def _side_by_side(chains: list[list[Task]], go_through: Callable[[list[Task]], None], jobs: int) -> None:
    """Independent chains at the same time; a plan's upkeep, which wants its repository alone, after its others."""
    with interrupts.threads(jobs, stopped_by=BaseException) as pool:
        running: dict[Future[None], str] = {}
        upkeep = {chain[0].plan: chain for chain in chains if chain[0].asset is None}
        for chain in chains:
            if chain[0].asset is not None:
                running[pool.submit(go_through, chain)] = chain[0].plan
        while running or upkeep:
            for plan in set(upkeep) - set(running.values()):
                running[pool.submit(go_through, upkeep.pop(plan))] = plan
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                future.result()


@dataclass(frozen=True)
class Standing:
    """Where one schedule stands: what is due, when what failed is tried again, and when the next will come due.
    `seen`: `ccdr run` knows it; a schedule counts from then."""

    task: Task
    due: datetime | None
    again: datetime | None
    next: datetime
    failures: int
    seen: bool

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.task.plan,
            "asset": self.task.asset,
            "verb": self.task.verb.value,
            "due": self.due and rfc3339(self.due),
            "again": self.again and rfc3339(self.again),
            "seen": self.seen,
            "next": rfc3339(self.next),
            "failures": self.failures,
        }


def standing(plans: Sequence[LoadedPlan], services: Services, only: Collection[Verb] = ALL) -> list[Standing]:
    """Where each schedule stands now; nothing is stamped or recorded."""
    now, book = services.clock.now(), Book(services.state)
    found = []
    for task in (task for chain in tasks(plans, only) for task in chain):
        before = book.read(task)
        slot, _ = advance(before, task.cron, task.timezone, now)
        coming = next(occurrences(task.cron, task.timezone, now))
        found.append(Standing(task, slot.pending, slot.retry_at, coming, slot.failures, before is not None))
    return found


class _Turns:
    """Takes each task's turn: its lock, its slot, its work. A group's backups have theirs together."""

    def __init__(self, services: Services, progress: Progress, perform: Perform, perform_together: Together) -> None:
        self._services, self._progress = services, progress
        self._perform, self._perform_together = perform, perform_together
        self._book, self._lock = Book(services.state), Lock()
        self._run_id = services.state.run_id(services.clock)
        self.result, self.wakes = RunResult(), list[datetime]()

    def go_through(self, chain: list[Task]) -> None:
        for _, link in itertools.groupby(chain, key=lambda task: task.group or task.name):
            tasks = list(link)
            interrupts.tick()
            try:
                if not self._take(tasks):
                    return  # what comes after it wants its result
            except CcdrError as error:  # the ledger or the state: told of at the end, and the others have their turn
                for task in tasks:
                    did = Did(task, self._now(), None, False, error.exit_code, str(error), error.hint)
                    with self._lock:
                        self.result.did.append(did)
                        self.wakes.append(self._now() + timedelta(minutes=1))

    def _take(self, tasks: list[Task]) -> bool:
        """False where another run, or a person, is at one of them."""
        with contextlib.ExitStack() as turns:
            if not all(turns.enter_context(self._book.turn(task)) for task in tasks):
                return self._busy(tasks)
            now = self._now()
            slots = {task: self._looked_at(task, now) for task in tasks}
            if ready := [task for task in tasks if slots[task].ready(now)]:
                try:
                    slots |= self._carry_out({task: slots[task] for task in ready})
                except Locked:  # a person is at it: not our try
                    for task in ready:
                        self._book.write(task, slots[task])
                    return self._busy(ready)
            with self._lock:  # as of when they were looked at: what came due while others worked is due at once
                self.wakes += [slot.wakes(now) for slot in slots.values()]
            return True

    def _looked_at(self, task: Task, now: datetime) -> Slot:
        before = self._book.read(task)
        slot, missed = advance(before, task.cron, task.timezone, now)
        if slot != before:
            self._book.write(task, slot)  # first: on a full disk the same times would be missed again and again
        if missed is not None:
            self._record(Passed(task, missed))
        return slot

    def _carry_out(self, slots: dict[Task, Slot]) -> dict[Task, Slot]:
        """Where their schedules stand afterwards."""
        begun = {task: slot.begun(self._now()) for task, slot in slots.items()}
        for task, slot in begun.items():
            self._book.write(task, slot)
        for (task, slot), came in zip(begun.items(), self._attempt(slots), strict=True):
            assert slot.pending is not None
            did = _did(task, slot.pending, came)
            if did.outcome is None:  # no use-case has left a record of it
                where = {"plan": task.plan, "asset": task.asset, "run": self._run_id}
                body = {"verb": task.verb.value, "due": rfc3339(slot.pending), "reason": did.reason}
                body |= {"tenant": task.tenant}
                self._services.ledger.append(NOT_BEGUN, **where, body={**body, "attempt": slot.tries})
            begun[task] = slot.done() if did.done else slot.failed(self._now())
            self._book.write(task, begun[task])
            with self._lock:
                self.result.did.append(did)
        return begun

    def _attempt(self, slots: dict[Task, Slot]) -> Sequence[Performed | Exception]:
        tasks, triggers = list(slots), [Trigger(slot.pending, slot.tries + 1) for slot in slots.values()]
        try:
            if len(tasks) > 1:
                return self._perform_together(tasks, triggers, self._services, self._progress)
            return [self._perform(tasks[0], triggers[0], self._services, self._progress)]
        except Locked:
            raise
        except Exception as error:  # one asset's trouble must not keep the others from their turn
            return [error] * len(tasks)

    def _record(self, passed: Passed) -> None:
        task = passed.task
        where = {"plan": task.plan, "asset": task.asset, "run": self._run_id}
        self._services.ledger.append(MISSED, **where, body={**passed.body(), "tenant": task.tenant})
        with self._lock:
            self.result.missed.append(passed)

    def _busy(self, tasks: list[Task]) -> bool:
        with self._lock:
            self.result.busy += tasks
            self.wakes.append(self._now() + timedelta(minutes=1))
        return False

    def _now(self) -> datetime:
        return self._services.clock.now()


def _did(task: Task, due: datetime, came: Performed | Exception) -> Did:
    if isinstance(came, Performed):
        return Did(task, due, came.outcome, came.done, came.outcome.exit_code)
    if isinstance(came, CcdrError):
        return Did(task, due, None, False, came.exit_code, str(came), came.hint)
    return Did(task, due, None, False, Exit.NOT_CARRIED_OUT, *own_error(came))


def perform_group(
    tasks: Sequence[Task], triggers: Sequence[Trigger], services: Services, progress: Progress
) -> list[Performed | CcdrError]:
    """The backups of a group. Each counts for itself; what the group lacks is in its own record."""
    by_asset = {str(task.asset): trigger for task, trigger in zip(tasks, triggers, strict=True)}
    group = backup_together([_job(task) for task in tasks], services, progress, triggers=by_asset)
    return [
        group.errors[asset]
        if asset in group.errors
        else Performed(group.results[asset], group.results[asset].result == STORED)
        for asset in by_asset
    ]


def perform_task(task: Task, trigger: Trigger, services: Services, progress: Progress) -> Performed:
    """The use-case behind each verb, and when its work counts as done: a restore test's FAIL is its result, a
    backup's failure is not."""
    if task.verb is Verb.BACKUP:
        stored = backup(_job(task), services, progress, trigger=trigger)
        return Performed(stored, stored.result == STORED)
    if task.verb is Verb.PRUNE:
        pruned = prune(task.loaded, services, progress, trigger=trigger)
        return Performed(pruned, pruned.result == DONE)
    if task.verb is Verb.CHECK:
        checked = check(task.loaded, services, progress, trigger=trigger)
        return Performed(checked, checked.result in (CLEAN, DAMAGED))
    job = _job(task)
    selection, at = next_turn(job, services, trigger.due)
    tested = restore_test(job, selection, services, progress, at=at, trigger=trigger)
    return Performed(tested, tested.verdict in (Verdict.PASS, Verdict.FAIL))


def _job(task: Task) -> Job:
    assert task.asset is not None
    return Job(task.loaded, task.asset)


class Book:
    """The slots on disk: STATE/schedule/PLAN.ASSET.VERB.json."""

    def __init__(self, state: State) -> None:
        self._state = state

    @contextlib.contextmanager
    def turn(self, task: Task) -> Iterator[bool]:
        """Is it our turn? The lock is given back by any death of this process."""
        with self._state.turn(f"run.{self._name(task)}") as mine:
            yield mine

    def read(self, task: Task) -> Slot | None:
        """None for a task that was never seen, or whose slot cannot be read: then it counts from now."""
        try:
            body = json.loads(self._path(task).read_text("utf-8"))
            for key in ("settled", "pending", "retry_at"):
                body[key] = body[key] and utc(body[key])
            return Slot(**body)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, task: Task, slot: Slot) -> None:
        body = asdict(slot)
        for key in ("settled", "pending", "retry_at"):
            body[key] = body[key] and rfc3339(body[key])
        write_durably(self._path(task), json.dumps(body) + "\n")

    def _path(self, task: Task) -> Path:
        return self._state.root / "schedule" / f"{self._name(task)}.json"

    @staticmethod
    def _name(task: Task) -> str:
        return f"{task.plan}.{task.asset or ''}.{task.verb}"
