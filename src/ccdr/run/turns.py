"""Each task's turn: its lock, its slot, its work."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from threading import Lock

from ccdr.evidence.pauses import Pause, within
from ccdr.evidence.records.upkeep import NotBegun
from ccdr.evidence.records.values import code
from ccdr.host import interrupts
from ccdr.jobs.pausing import Pauses
from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import CcdrError, Locked
from ccdr.model.schedule import Slot, advance, occurrences
from ccdr.ports.place import Progress
from ccdr.run.renewals import Renewals
from ccdr.run.slots import Slots
from ccdr.run.tasks import Did, Passed, Perform, Performed, RunResult, Task, Together, as_done


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
        if missed is not None:
            paused = self._pauses.windows(task.plan)
            skipped, missed = missed.apart(lambda due: within(due, paused))
            for times, of in ((skipped, True), (missed, False)):
                if times is not None:
                    self._record(Passed(task, times, self._run_id, paused=of))
        return slot

    def _carry_out(self, slots: dict[Task, Slot]) -> dict[Task, Slot]:
        """Where their schedules stand afterwards."""
        begun = {task: slot.begun(self._now()) for task, slot in slots.items()}
        for task, slot in begun.items():
            self._slots.write(task, slot)
        for (task, slot), came in zip(begun.items(), self._attempt(slots), strict=True):
            assert slot.pending is not None
            did = as_done(task, slot.pending, came)
            if did.outcome is None:  # no use-case has left a record of it
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
