"""The repository, asked for what one restore needs: where many of an asset's snapshots are new here, not for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.fetch import Candidates, candidates
from ccdr.jobs.newest_first import FEW, NEWEST, NewestFirst, counted
from ccdr.jobs.restore.request import Request
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Snapshot
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised


def asked(
    job: Job,
    request: Request,
    services: Services,
    repo: Restic,
    history: AssetHistory,
    latest: Callable[[Candidates, Synchronised], Snapshot],
    progress: Progress,
) -> Synchronised:
    """`latest` chooses the newest that counts, and raises UsageProblem where there is none. A recovery by the log may
    need any base."""
    progress.step("asking the repository")
    reading, reads = NewestFirst(), counted(progress)

    def named(asset: str, new: Sequence[RepoSnapshot]) -> Sequence[RepoSnapshot]:
        ordered = sorted(new, key=lambda s: (s.time, s.id), reverse=True)
        if len(new) <= FEW:
            return ordered
        return [s for n, s in enumerate(ordered) if n < NEWEST or s.id.startswith(request.snapshot)]

    if request.at is not None:
        return services.synchronise(job.loaded, repo, [job.asset], history.stored_here, reads=reads)
    if request.snapshot != "latest":
        return services.synchronise(job.loaded, repo, [job.asset], history.stored_here, wanted=named, reads=reads)
    while True:
        synchronised = services.synchronise(
            job.loaded, repo, [job.asset], history.stored_here, wanted=reading.wanted, reads=reads
        )
        synchronised.understood()
        if not synchronised.unlooked:
            return synchronised
        try:
            point = latest(candidates(job, services, synchronised), synchronised).consistent_point
        except UsageProblem:
            point = None
        if point is not None and reading.settled(job.asset, synchronised, point):
            return synchronised
        reading.further([job.asset])
