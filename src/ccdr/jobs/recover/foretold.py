"""How long a recovery of a plan's newest snapshots should take, by what this host knows alone: no repository is asked.
`outlook.py` knows better, once it has looked."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ccdr.jobs.recover.gathering import newest_first
from ccdr.jobs.recover.measured import told_of
from ccdr.jobs.recover.outlook import work_of
from ccdr.jobs.recover.predict import predicted
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.side_by_side import Means, Task, at_once, schedule
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.plans.runbook_made import place_of
from ccdr.sandbox.lab import memory_available


def foretold(loaded: LoadedPlan, assets: Sequence[str], services: Services) -> float | None:
    """Seconds, side by side as `ccdr recover` works; None where one of them was never measured. What the log adds is
    not in it: how much there will be nobody knows yet."""
    plan, catalogue = loaded.plan, services.catalogue
    try:
        told = told_of(newest_first(services), plan.plan, assets, services.clock.now())
        tasks = []
        for asset in assets:
            job, snapshots = Job(loaded, asset), catalogue.snapshots(plan.plan, asset)
            if not snapshots:
                return None
            newest = max(snapshots, key=lambda one: one.consistent_point)
            took = predicted(told[asset].runs, work_of(job, place_of(plan, asset), newest.bytes, 0))
            if took is None:
                return None
            memory = job.engine.sandbox(catalogue.manifest(newest)).memory if job.engine.has_server else 0
            tasks.append(Task(asset, took.seconds, memory, tuple(a for a in job.engine.depends_on if a in assets)))
    except (CcdrError, ValueError, KeyError):  # a ledger or a manifest that cannot be read: nobody knows
        return None
    processors = os.cpu_count() or 1
    return schedule(tasks, Means(at_once(processors), memory_available(), processors)).seconds
