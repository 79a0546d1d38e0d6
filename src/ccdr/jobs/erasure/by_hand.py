"""The register replayed where something was restored already: by hand, or by a break of the glass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.host.state import Run
from ccdr.jobs.erasure.replay import BY_HAND, Outcome, Replaying
from ccdr.jobs.restore.directory import Staging
from ccdr.jobs.restore.examination import Sources
from ccdr.jobs.restore.into_directory import IntoDirectory
from ccdr.jobs.restore.request import RestoreResult
from ccdr.jobs.restore.ways import Held, Order
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Snapshot
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Progress
from ccdr.storage.listing import OURS
from ccdr.storage.restic import Restic


@dataclass(frozen=True)
class Where:
    """What stands there is of `snapshot` (an id, or `latest`). `to` is a directory, or a server's URL."""

    to: str
    snapshot: str = "latest"
    password_file: Path | None = None
    ca_file: Path | None = None
    others: Sequence[LoadedPlan] = ()


def replay(job: Job, where: Where, services: Services, progress: Progress) -> Outcome | None:
    """None where the register holds nobody of the asset. UsageProblem where a source is there, or nothing at all."""
    repo = services.repository(job.loaded, job.limits)
    with (
        services.state.lock(job.plan, job.asset, "restore"),
        services.state.reading(repo.location),
        services.state.run(services.clock) as run,
    ):
        try:
            return _replay(job, where, services, repo, run, progress)
        finally:
            run.clear()


def _replay(job: Job, where: Where, services: Services, repo: Restic, run: Run, progress: Progress) -> Outcome | None:
    progress.step("asking the repository")
    listed = repo.snapshots([OURS, f"plan={job.plan}"])
    snapshot = _snapshot(job, where.snapshot, services)
    manifest = services.catalogue.manifest(snapshot)
    replaying = Replaying.opened(services, job.loaded, job.asset, run.id, BY_HAND, repo, listed, snapshot, manifest)
    if not replaying.due:
        return None
    order = Order(job, services, repo, run, snapshot, manifest, RestoreResult(job.plan, job.asset, run.id))
    with _standing(order, where, progress) as held:
        progress.step(f"erasing who was erased at the source of {job.asset}")
        outcome = replaying.replay(held.restored, held.context)
    replaying.record(outcome)
    return outcome


def _snapshot(job: Job, wanted: str, services: Services) -> Snapshot:
    known = services.catalogue.snapshots(job.plan, job.asset)
    found = known[-1:] if wanted == "latest" else [s for s in known if s.id.startswith(wanted)]
    if len(found) != 1:
        raise UsageProblem(
            f"{job.plan}/{job.asset} has no snapshot {wanted!a} that is known here",
            hint=f"`ccdr snapshots {job.plan}` lists them",
        )
    return found[0]


def _standing(order: Order, where: Where, progress: Progress) -> contextlib.AbstractContextManager[Held]:
    return _on_server(order, where, progress) if "://" in where.to else _in_directory(order, where)


@contextlib.contextmanager
def _on_server(order: Order, where: Where, progress: Progress) -> Iterator[Held]:
    services, run, manifest = order.services, order.run, order.manifest
    target = order.engine.onto(where.to, where.password_file, where.ca_file)
    credentials = run.directory("credentials")
    services.write_credentials_of(target.client, credentials, what="--to")
    limit = order.job.limits.no_progress
    opened = services.lab.source(target.client, run.id, run.scratch, credentials, limit, progress, gentle=False)
    with opened as (source, _):
        target.refuse_source(source, Sources(order.job, services, where.others).known(manifest))
        out = run.directory("out")
        context = CheckContext(manifest, out, out, out, source.place, services.host, services.digest)
        yield Held(target.as_named(source, manifest), context)


@contextlib.contextmanager
def _in_directory(order: Order, where: Where) -> Iterator[Held]:
    place = Path(where.to).expanduser().resolve()
    if order.engine.has_server:
        raise UsageProblem(
            f"{order.job.asset} needs a server: a dump in a directory cannot be replayed",
            hint="load it, and name that database with --to postgresql://… or mysql://…",
        )
    if not place.is_dir():
        raise UsageProblem(f"{place} is no directory", hint="name what was restored with --to")
    for guarded in Sources(order.job, order.services, where.others).guarded(order.manifest):
        path = guarded.path.resolve()
        if path == place or path in place.parents or place in path.parents:
            raise UsageProblem(f"{place} is, holds or lies in {path}, {guarded.what}: ccdr never writes there")
    staging = Stands(place, order.run.directory("standing"), inside=False)
    staging.out.mkdir(mode=0o700)
    way = IntoDirectory(order, staging, erased=True)
    with way.beside(programs=order.engine.in_sandbox) as held:
        assert held is not None
        yield held


class Stands(Staging):
    """Where nothing is made ready: the tree has its final name."""

    @property
    def tree(self) -> Path:
        return self.target
