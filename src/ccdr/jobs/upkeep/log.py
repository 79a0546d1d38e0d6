"""Old log goes with the bases that it leads on from."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from ccdr.jobs.services import Services
from ccdr.jobs.shipping.log_archive import let_go
from ccdr.jobs.shipping.log_repository import archive_of, log_of, log_repository, void_of
from ccdr.jobs.shipping.stored_batch import StoredBatch, rank
from ccdr.model.errors import Locked
from ccdr.model.values import Manifest, Snapshot
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.storage import upkeep as storage

PATIENCE = 60.0  # seconds; whoever ships stores for some seconds at a time


def prune_log(job: Job, services: Services, kept: Sequence[Snapshot]) -> list[StoredBatch]:
    """Remove the log that none of the asset's `kept` snapshots needs; what was removed. Never what one of them does."""
    _, log = log_of(job)
    repo = log_repository(job, services)
    deadline = services.clock.monotonic() + PATIENCE
    while True:
        try:
            with services.state.rewriting(repo.location):
                needed, since = needed_log(log, map(services.catalogue.manifest, kept))
                gone, void = let_go(archive_of(job, repo), needed, log, since), void_of(job, repo)
                storage.forget(repo, [*(batch.id for batch in gone), *void])
                if gone or void:
                    storage.prune(repo)
                return gone
        except Locked:
            if services.clock.monotonic() > deadline:
                raise
            time.sleep(0.2)


def needed_log(log: ShippedLog, kept: Iterable[Manifest]) -> tuple[str | None, datetime | None]:
    """The first segment that any base begins with, and of when the oldest is."""
    earliest: str | None = None
    since: datetime | None = None
    for manifest in kept:
        if not log.goes_on_from(manifest):
            continue
        needed = log.needed_from(manifest)
        if earliest is None or rank(needed) < rank(earliest):  # of another branch, too: what was written first
            earliest = needed
        since = min(since or manifest.consistent_point, manifest.consistent_point)
    return earliest, since
