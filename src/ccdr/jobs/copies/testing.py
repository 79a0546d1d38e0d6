"""Restore tests that fetch from a copy: of so many tests of an asset, one more is made there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.copies.view import jobs_from
from ccdr.jobs.restore_test import AT, RestoreTest, restore_test
from ccdr.jobs.services import Services, Trigger
from ccdr.model.errors import Locked
from ccdr.model.values import LATEST, at_copy
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget
from ccdr.ports.place import Progress


def from_copies(job: Job, services: Services, progress: Progress, trigger: Trigger) -> Iterator[RestoreTest]:
    """Test the newest state of the asset from each of the plan's copies whose turn it is: it was never restored from
    there, or so many tests ago. By the log where that is how the plan tests it. One that broke has not had its turn."""
    for name, copy in job.loaded.plan.copies.items():
        known = services.histories()
        there, own = (known.get((at_copy(job.plan, at), job.asset), AssetHistory()) for at in (name, None))
        filled = known.get((at_copy(job.plan, name), None), AssetHistory()).last_copy
        if filled is None or not (filled["there"] or {}).get(job.asset):
            continue
        if there.last_conclusive_test is not None and own.tests - there.tests_then < copy.test_every:
            continue
        (seen,), services_there = jobs_from([job], services, name)
        by_log = AT in job.rules and job.asset in (filled.get("log_until") or {})
        rule, at = (AT, RecoveryTarget()) if by_log else (LATEST, None)
        with suppress(Locked):
            yield restore_test(seen, rule, services_there, progress, at=at, trigger=trigger)
