"""One run of a job, as the use-cases hand it from part to part."""

from __future__ import annotations

from dataclasses import dataclass

from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.restic import Restic


@dataclass(frozen=True)
class JobRun:
    """One run of a job: the asset that it is of, and what it is carried out with."""

    job: Job
    services: Services
    repo: Restic
    run: Run
    progress: Progress
