"""One run of a job, as the use-cases hand it from part to part."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ccdr.evidence.records.restores import Difference, Sandbox
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import Image
from ccdr.storage.restic import Restic


@dataclass(frozen=True)
class JobRun:
    """One run of a job: the asset that it is of, and what it is carried out with."""

    job: Job
    services: Services
    repo: Restic
    run: Run
    progress: Progress


def recorded_sandbox(image: Image, box: Box, memory_available: int | None = None) -> Sandbox:
    """For the record of a test: how it was shut off. `memory_available` is what the host had left, bytes."""
    return Sandbox(
        image=image.name,
        **{"image_digest": image.id, **box.facts},
        differs=[Difference(**asdict(one)) for one in box.differs],
        memory_available=memory_available,
    )
