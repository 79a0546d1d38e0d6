"""Each task's turn: its lock, its slot on disk, its work; at once where its source began anew."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock

from ccdr.evidence.due_gaps import SCHEDULED, schedule_of
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.pauses import Pause, within
from ccdr.evidence.records import Unread
from ccdr.evidence.records.upkeep import NotBegun
from ccdr.evidence.records.values import code
from ccdr.evidence.renewed import due_at_once
from ccdr.host import interrupts
from ccdr.host.state import State
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.pausing import Pauses
from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.schedule import Missed, Slot, advance, newest, occurrences
from ccdr.model.values import Verb
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.run.tasks import UNCOUNTED, Did, Passed, Perform, Performed, RunResult, Task, Together, as_done

# When each schedule was last tried: the slots on disk.


class Slots:
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
        return state_or_none(self._path(task), Slot)

    def write(self, task: Task, slot: Slot) -> None:
        write_state(self._path(task), slot)

    def _path(self, task: Task) -> Path:
        return self._state.root / "schedule" / f"{self._name(task)}.json"

    @staticmethod
    def _name(task: Task) -> str:
        return f"{task.plan}.{task.asset or (f'@{task.copy}' if task.copy else '')}.{task.verb}"


# Which tasks are due at once, since their source began anew.


class Renewals:
    """By the ledger, which is read once; again for an asset that something is due of, since a backup makes its test so.
    Where it cannot be read nothing is: that is told by the work."""

    def __init__(self, services: Services) -> None:
        self._services, self._lock = services, Lock()
        self._known: Histories | None = None

    def wants(self, task: Task) -> bool:
        """Of a group all are captured where one is."""
        if task.asset is None:
            return False
        verb, assets = task.verb, task.loaded.plan.assets
        together = [name for name, one in assets.items() if task.group and one.group == task.group]
        return any(self._wants(Job(task.loaded, asset), verb) for asset in together or [task.asset])

    def _wants(self, job: Job, verb: Verb) -> bool:
        with self._lock, contextlib.suppress(CcdrError):
            if self._known is None:
                self._known = self._services.histories()
            if any(due_at_once(job, self._of(job), one) for one in (Verb.BACKUP, Verb.TEST)):
                self._known = self._services.histories()
            return due_at_once(job, self._of(job), verb)
        return False

    def _of(self, job: Job) -> AssetHistory:
        return (self._known or {}).get((job.plan, job.asset), AssetHistory())


class Turns:
    """Takes each task's turn: its lock, its slot, its work. A group's backups have theirs together."""

    def __init__(self, services: Services, progress: Progress, perform: Perform, perform_together: Together) -> None:
        self._services, self._progress = services, progress
        self._perform, self._perform_together = perform, perform_together
        self._slots, self._lock = Slots(services.state), Lock()
        self._pauses, self._renewals = Pauses(services), Renewals(services)
        self._run_id = services.state.run_id(services.clock)
        self.result, self.next_due = RunResult(), list[datetime]()

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
                        self.next_due.append(self._now() + timedelta(minutes=1))

    def _take(self, tasks: list[Task]) -> bool:
        """False where another run, or a person, is at one of them."""
        with contextlib.ExitStack() as turns:
            if not all(turns.enter_context(self._slots.turn(task)) for task in tasks):
                return self._busy(tasks)
            now = self._now()
            slots = {task: self._slot_as_of(task, now) for task in tasks}
            ready = [task for task in tasks if slots[task].ready(now)]
            if ready and (pause := self._pauses.of(ready[0].plan)):
                return self._waits(ready, pause, now)
            if ready:
                try:
                    slots |= self._carry_out({task: slots[task] for task in ready})
                except Locked:  # a person is at it: not our try
                    for task in ready:
                        self._slots.write(task, slots[task])
                    return self._busy(ready)
            with self._lock:  # as of when they were looked at: what came due while others worked is due at once
                self.next_due += [slot.wakes(now) for slot in slots.values()]
            return True

    def _slot_as_of(self, task: Task, now: datetime) -> Slot:
        before = self._slots.read(task)
        slot, missed = advance(before, task.cron, task.timezone, now)
        if before is not None and self._renewals.wants(task):
            slot = slot.at_once(now)
        if slot != before:
            self._slots.write(task, slot)  # first: on a full disk the same times would be missed again and again
        if before is not None and missed is not None and task.verb not in UNCOUNTED:
            self._record_missed(task, missed, self._begun_since(task, before, missed.first))
        return slot

    def _record_missed(self, task: Task, missed: Missed, begun: Collection[datetime]) -> None:
        """But for what was `begun`; and what passed in a pause was to be let be."""
        paused = self._pauses.windows(task.plan)
        _, left = missed.apart(lambda due: due in begun)
        skipped, passed = left.apart(lambda due: within(due, paused)) if left else (None, None)
        for times, of in ((skipped, True), (passed, False)):
            if times is not None:
                self._record(Passed(task, times, self._run_id, paused=of))

    def _begun_since(self, task: Task, slot: Slot, since: datetime) -> set[datetime]:
        """The due times for which such work was begun since then. What a person begins is for the newest of them, as a
        report counts it."""
        begun = set[datetime]()
        for record in self._services.ledger.newest(SCHEDULED[task.verb]):
            if (at := record.time) < since:
                break
            if isinstance(record, Unread) or record.plan != task.plan:
                continue
            if schedule_of(record, task.verb) == (task.copy or task.asset, task.verb):
                begun |= {record.trigger.due or newest(slot.cron, slot.timezone, at) or at}
        return begun

    def _carry_out(self, slots: dict[Task, Slot]) -> dict[Task, Slot]:
        """Where their schedules stand afterwards."""
        begun = {task: slot.begun(self._now()) for task, slot in slots.items()}
        for task, slot in begun.items():
            self._slots.write(task, slot)
        for (task, slot), came in zip(begun.items(), self._attempt(slots), strict=True):
            assert slot.pending is not None
            did = as_done(task, slot.pending, came)
            if did.outcome is None and task.verb not in UNCOUNTED:  # no use-case has left a record of it
                not_begun = NotBegun(
                    plan=task.plan,
                    asset=task.asset,
                    run=self._run_id,
                    verb=code(task.verb),
                    due=slot.pending,
                    reason=did.reason,
                    tenant=task.tenant,
                    attempt=slot.tries,
                    copy=task.copy,
                )
                self._services.ledger.write(not_begun)
            begun[task] = slot.done() if did.done else slot.failed(self._now())
            self._slots.write(task, begun[task])
            with self._lock:
                self.result.did.append(did)
        return begun

    def _attempt(self, slots: dict[Task, Slot]) -> Sequence[Performed | Exception]:
        tasks, triggers = (
            list(slots),
            [Trigger(slot.pending, slot.tries + 1, renewed=self._renewals.wants(task)) for task, slot in slots.items()],
        )
        try:
            if len(tasks) > 1:
                return self._perform_together(tasks, triggers, self._services, self._progress)
            return [self._perform(tasks[0], triggers[0], self._services, self._progress)]
        except Locked:
            raise
        except Exception as error:  # one asset's trouble must not keep the others from their turn
            return [error] * len(tasks)

    def _record(self, passed: Passed) -> None:
        self._services.ledger.write(passed.ended())
        with self._lock:
            (self.result.skipped if passed.paused else self.result.missed).append(passed)

    def _waits(self, tasks: list[Task], pause: Pause, now: datetime) -> bool:
        """For the end of its plan's pause: the newest that came due is carried out then."""
        with self._lock:
            self.result.paused += tasks
            self.next_due += [min(pause.until, next(occurrences(t.cron, t.timezone, now))) for t in tasks]
        return True

    def _busy(self, tasks: list[Task]) -> bool:
        with self._lock:
            self.result.busy += tasks
            self.next_due.append(self._now() + timedelta(minutes=1))
        return False

    def _now(self) -> datetime:
        return self._services.clock.now()
