"""One asset's log that is shipped: what all that have to do with it work with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ccdr.engines.base import LogShipping
from ccdr.evidence.log_standing import LogStanding, directory, read_standing
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Batch
from ccdr.jobs.shipping.journal import Journal
from ccdr.jobs.shipping.log_repository import log_of
from ccdr.jobs.shipping.spool import Spool
from ccdr.model.values import Manifest
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.ports.place import Clock, Progress


@dataclass(frozen=True)
class Shipment:
    """It is received into the `spool`, goes from there into the `batch` that is being stored, and how it stands is
    written into the `journal`."""

    job: Job
    services: Services
    run: Run
    progress: Progress
    settings: LogShipping
    log: ShippedLog
    spool: Spool
    batch: Batch
    journal: Journal

    @classmethod
    def of(cls, job: Job, services: Services, run: Run, progress: Progress) -> Shipment:
        """As it was left when it was shipped last. UsageProblem where the plan does not want it shipped."""
        settings, log = log_of(job)
        home = directory(services.state, job.plan, job.asset)
        received = services.state.directory("shipping", job.plan, job.asset, "spool")
        standing = read_standing(services.state, job.plan, job.asset) or LogStanding()
        return cls(
            job=job,
            services=services,
            run=run,
            progress=progress,
            settings=settings,
            log=log,
            spool=Spool(log, received, settings.spool_limit, services.clock),
            batch=Batch(log, received, home / "batch", services.digest, services.clock),
            journal=Journal(job, services, run, progress, home, standing),
        )

    @property
    def clock(self) -> Clock:
        return self.services.clock

    @property
    def standing(self) -> LogStanding:
        """As it is now."""
        return self.journal.standing

    def bases(self) -> Iterator[Manifest]:
        """That its log goes on from, newest first."""
        snapshots = self.services.catalogue.snapshots(self.job.plan, self.job.asset)
        return filter(self.log.goes_on_from, (self.services.catalogue.manifest(one) for one in reversed(snapshots)))

    def newest_base(self) -> Manifest | None:
        return next(self.bases(), None)
