"""Everything that is due, once: what cron calls.

Each schedule has a slot on disk and a lock, so any number of runs may overlap: whoever has the lock carries the work
out, the others pass it by. A slot is stamped as begun before the work and as done only after its success.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.history.kinds import CAUGHT, CLEAN, DAMAGED, DONE, PASSED, STORED
from ccdr.host import interrupts
from ccdr.host.who import who
from ccdr.jobs import in_force
from ccdr.jobs.backup import backup
from ccdr.jobs.by_itself import came
from ccdr.jobs.copies import copy, from_copies, from_site
from ccdr.jobs.group_backup import backup_together
from ccdr.jobs.leftovers import clear_leftovers, let_go
from ccdr.jobs.negative_control import negative_control
from ccdr.jobs.restore_test import next_turn, restore_test
from ccdr.jobs.services import Services, Trigger
from ccdr.jobs.upkeep import check, prune
from ccdr.model.errors import CcdrError
from ccdr.model.schedule import advance, occurrences
from ccdr.model.values import LATEST, Verb, Verdict, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.access import Role
from ccdr.plans.job import Job
from ccdr.plans.roles import as_role
from ccdr.ports.place import Progress
from ccdr.run.responsible import asked
from ccdr.run.tasks import ALL, Perform, Performed, RunResult, Task, Together, tasks
from ccdr.run.turns import Renewals, Slots, Turns

# The use-case behind each verb.

_ROLES = {
    Verb.BACKUP: Role.BACKUP,
    Verb.TEST: Role.VERIFY,
    Verb.CONTROL: Role.VERIFY,
    Verb.CHECK: Role.VERIFY,
    Verb.PRUNE: Role.PRUNE,
}


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
    if task.verb is Verb.COPY:
        copied = copy(task.loaded, str(task.copy), services, progress, trigger=trigger)
        return Performed(copied, copied.done)
    if task.verb is Verb.CONTROL:
        controlled = negative_control(_job(task), services, progress, trigger=trigger)
        return Performed(controlled, controlled.result in (CAUGHT, PASSED))
    if task.verb is Verb.PACKAGE:
        from ccdr.run.nightly import write_nightly  # no other run need read what writes reports

        written = write_nightly(task.loaded, services)
        return Performed(written, written.ended.result == DONE)
    loaded, services = from_site(as_role(task.loaded, _ROLES[task.verb]), services, task.copy)
    if task.verb is Verb.PRUNE:
        pruned = prune(loaded, services, progress, trigger=trigger)
        return Performed(pruned, pruned.result == DONE)
    if task.verb is Verb.CHECK:
        checked = check(loaded, services, progress, trigger=trigger)
        return Performed(checked, checked.result in (CLEAN, DAMAGED))
    job = _job(task)
    if trigger.renewed and LATEST in (job.rules or (LATEST,)):
        selection, at = LATEST, None
    else:
        selection, at = next_turn(job, services, trigger.due)
    tested = restore_test(job, selection, services, progress, at=at, trigger=trigger)
    also = list(from_copies(job, services, progress, trigger))
    worse = next((one for one in also if one.exit_code and not tested.exit_code), tested)
    return Performed(worse, tested.verdict in (Verdict.PASS, Verdict.FAIL))


def _job(task: Task) -> Job:
    assert task.asset is not None
    return Job(as_role(task.loaded, _ROLES[task.verb]), task.asset)


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
    with contextlib.suppress(CcdrError, OSError):  # it only says that somebody calls this
        came([loaded.plan.plan for loaded in plans], who(), services)
    in_force.record_all(plans, services)
    with contextlib.suppress(CcdrError):
        for directory in {loaded.path.parent for loaded in plans} if stated else ():
            in_force.withdraw(stated, directory, services)
    turns = Turns(services, progress, perform or perform_task, perform_together or perform_group)
    with contextlib.suppress(CcdrError):  # a ledger that cannot be read is told when all is done
        turns.result.changes += asked(plans, services, only)
    chains = tasks(plans, only)
    if jobs <= 1:
        for chain in chains:
            turns.go_through(chain)
    else:
        _side_by_side(chains, turns.go_through, jobs)
    turns.result.next_due = min(turns.next_due, default=None)
    return turns.result


def _tidy(services: Services) -> None:
    """Remove what a crash has left, before anything new needs its room. Docker is asked only after a crash."""
    services.state.forget_private(services.clock.now())
    if services.state.dead_runs(services.clock.now()) or services.state.captures():
        with contextlib.suppress(CcdrError):  # whoever needs Docker will say that it does not answer
            clear_leftovers(services)


def _side_by_side(chains: list[list[Task]], go_through: Callable[[list[Task]], None], jobs: int) -> None:
    """Independent chains at the same time; a plan's upkeep, which wants its repository alone, after its others."""
    with interrupts.threads(jobs, stopped_by=BaseException) as pool:
        running: dict[Future[None], str] = {}
        upkeep: dict[str, list[list[Task]]] = {}  # one after the other: each may want the plan's repository alone
        for chain in chains:
            if chain[0].asset is None:
                upkeep.setdefault(chain[0].plan, []).append(chain)
        for chain in chains:
            if chain[0].asset is not None:
                running[pool.submit(go_through, chain)] = chain[0].plan
        while running or upkeep:
            for plan in set(upkeep) - set(running.values()):
                running[pool.submit(go_through, upkeep[plan].pop(0))] = plan
                if not upkeep[plan]:
                    del upkeep[plan]
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
            "copy": self.task.copy,
            "verb": self.task.verb.value,
            "due": self.due and rfc3339(self.due),
            "again": self.again and rfc3339(self.again),
            "seen": self.seen,
            "next": rfc3339(self.next),
            "failures": self.failures,
        }


def renewed_meanwhile(plans: Sequence[LoadedPlan], services: Services, only: Collection[Verb] = ALL) -> bool:
    """Has a source begun anew since the run looked at what is due of it?"""
    slots, renewals = Slots(services.state), Renewals(services)
    seen = ((task, slots.read(task)) for chain in tasks(plans, only) for task in chain)
    return any(slot is not None and slot.pending is None and renewals.wants(task) for task, slot in seen)


def standing(plans: Sequence[LoadedPlan], services: Services, only: Collection[Verb] = ALL) -> list[Standing]:
    """Where each schedule stands now; nothing is stamped or recorded."""
    now, slots, renewals = services.clock.now(), Slots(services.state), Renewals(services)
    standings = []
    for task in (task for chain in tasks(plans, only) for task in chain):
        before = slots.read(task)
        slot, _ = advance(before, task.cron, task.timezone, now)
        if before is not None and renewals.wants(task):
            slot = slot.at_once(now)
        coming = next(occurrences(task.cron, task.timezone, now))
        standings.append(Standing(task, slot.pending, slot.retry_at, coming, slot.failures, before is not None))
    return standings
