"""The use-case behind each verb."""

from __future__ import annotations

from collections.abc import Sequence

from ccdr.evidence.history.kinds import CAUGHT, CLEAN, DAMAGED, DONE, PASSED, STORED
from ccdr.jobs.backup.backup import backup
from ccdr.jobs.copies import copy, from_copies, from_site
from ccdr.jobs.group_backup import backup_together
from ccdr.jobs.negative_control import negative_control
from ccdr.jobs.restore_test import next_turn, restore_test
from ccdr.jobs.services import Services, Trigger
from ccdr.jobs.upkeep import check, prune
from ccdr.model.errors import CcdrError
from ccdr.model.values import LATEST, Verb, Verdict
from ccdr.plans.access import Role
from ccdr.plans.job import Job
from ccdr.plans.roles import as_role
from ccdr.ports.place import Progress
from ccdr.run.tasks import Performed, Task

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
