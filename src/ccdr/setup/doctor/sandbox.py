"""Where backups are restored for a test: image, version, room."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, TestBroken
from ccdr.model.values import Probe, human_bytes
from ccdr.plans.job import Job
from ccdr.ports.restored import SandboxNeeds
from ccdr.sandbox.docker import DockerFacts, Image
from ccdr.sandbox.lab import Lab


@dataclass
class Majors:
    """Which version each image holds, asked of each once: many assets share one."""

    _known: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, job: Job, image: Image, services: Services) -> str | None:
        key = (job.engine.engine_name, image.id)
        with self._lock:
            if key not in self._known:
                with services.state.run(services.clock) as run:  # its name tells the reaper that it is in use
                    self._known[key] = services.lab.major_in(job.engine, image, run.id)
            return self._known[key]


def sandbox(job: Job, services: Services, daemon: DockerFacts | None, majors: Majors) -> Iterator[Probe]:
    """Nothing for an asset that is not tested, or is tested without a sandbox; unless another asset's test needs one
    to look at it."""
    what, engine = "sandbox", job.engine
    tested = engine.restore_test is not None and (engine.in_sandbox or any(c.needs_sandbox for c in job.checks))
    if not tested and not job.looked_into_beside:
        return
    if daemon is None:
        yield Probe.unknown(what, "Docker does not answer, and restore tests need it", "start Docker")
        return
    needs = _needs(job, services)
    major = needs.major if needs else None
    candidates = engine.image_candidates(major)
    image = services.lab.docker.find(engine.image, candidates)
    if image is None:
        names = engine.image or " or ".join(candidates[:2])
        yield Probe.fail(
            what, f"there is no image {names} on this host", f"docker pull {names.split()[0]}, or make images"
        )
        return
    held = majors.of(job, image, services)
    if engine.in_sandbox and held is None:
        yield Probe.fail(what, f"{image.name} holds no client of {engine.engine_name}", "name another with `image:`")
    elif engine.has_server and major is not None and held != major:
        problem = f"{image.name} holds version {held}, the newest backup is of {major}"
        yield Probe.fail(what, problem, f"name an image of major version {major} with `image:`")
    else:
        yield Probe.ok(what, f"{image.name}" + (f", version {held}, as the source" if held and major else ""))
    if needs is not None:
        yield _room(job, needs, daemon)


def _needs(job: Job, services: Services) -> SandboxNeeds | None:
    """What testing the newest snapshot needs; None where there is none, or its catalogue entry is damaged."""
    known = services.catalogue.snapshots(job.plan, job.asset)
    try:
        return job.engine.sandbox(services.catalogue.manifest(known[-1])) if known else None
    except (BackupBad, KeyError, TypeError, ValueError):
        return None


def _room(job: Job, needs: SandboxNeeds, daemon: DockerFacts) -> Probe:
    what = "room for a sandbox"
    data = f"up to {human_bytes(needs.bytes)} of data" if needs.bytes else "almost no data"
    size = f"{data} and {human_bytes(needs.memory)} of memory beside it"
    try:
        on_disk = Lab.on_disk(needs, job.engine.storage)
    except TestBroken as error:
        return Probe.fail(what, str(error), error.hint or "free memory")
    if not needs.data_dir or not on_disk:
        return Probe.ok(what, f"{size}: fits into memory")
    if not _is_here(daemon.root):
        return Probe.ok(what, f"{size}: the data goes to Docker's own disk")
    free = shutil.disk_usage(daemon.root).free
    if free < needs.bytes:
        problem = f"{size}, and {daemon.root} has {human_bytes(free)} free"
        return Probe.fail(what, problem, "free space there, or give this host more memory")
    return Probe.ok(what, f"{size}: the data goes to disk ({human_bytes(free)} free at {daemon.root})")


def _is_here(path: Path) -> bool:
    return path.is_dir()
