"""Which tasks are due at once, since their source began anew."""

from __future__ import annotations

import contextlib
from threading import Lock

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.places import Histories
from ccdr.evidence.renewed import due_at_once
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import Verb
from ccdr.plans.job import Job
from ccdr.run.tasks import Task


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
