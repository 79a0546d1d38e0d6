"""The repository, asked once for all assets of a recovery; beside it the repository that their logs are stored in."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.host import interrupts
from ccdr.jobs.fetch import NewestFirst, counted, no_more
from ccdr.jobs.restore.request import Told
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.log_archive import LogArchive, archives_of, log_repository
from ccdr.model.errors import CcdrError, CommandFailed, Locked
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.synchronised import Synchronised

FRESH = 60.0  # seconds in which what was told is taken for what is there: a person may have been asked meanwhile


@dataclass(frozen=True)
class Asked:
    """What there is, and by asset what is stored of its log, or why nobody can tell; at which monotonic time."""

    synchronised: Synchronised
    logs: Mapping[str, LogArchive | CcdrError]
    at: float

    def log(self, asset: str) -> LogArchive:
        """Raises as the repository did."""
        found = self.logs[asset]
        if isinstance(found, CcdrError):
            raise found
        return found

    def told(self, asset: str, restic: str) -> Told:
        """Of one asset; where its log could not be asked for, whoever needs it asks again, and says so in its place."""
        log = self.logs.get(asset)
        return Told(restic, self.synchronised.of_asset(asset), log if isinstance(log, LogArchive) else None)


@contextlib.contextmanager
def reading_on(loaded: LoadedPlan, services: Services) -> Iterator[bool]:
    """From looking ahead to the end of the work: is nothing removed from the repository by this host meanwhile? Where
    it is just now, whoever begins the work is told so then."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(services.state.reading(loaded.plan.repository.location))
        except Locked:
            yield False
            return
        yield True


def ask(
    loaded: LoadedPlan,
    jobs: Sequence[Job],
    by_log: Collection[str],
    services: Services,
    histories: Mapping[str, AssetHistory],
    reading: NewestFirst | None = None,
    progress: Progress | None = None,
) -> Asked:
    """`by_log` are the assets whose logs are asked for, too; `reading` which manifests are read (None: no more than
    what is new since a choice was made). Raises as the plan's own repository."""
    at, shipped = services.clock.monotonic(), [job for job in jobs if job.asset in by_log]
    with interrupts.threads(1) as pool:
        logs = pool.submit(_logs_of, shipped, services)
        synchronised = _synchronised(loaded, jobs, services, histories, reading or no_more(), progress)
        return Asked(synchronised, logs.result(), at)


def ask_further(
    before: Asked,
    loaded: LoadedPlan,
    jobs: Sequence[Job],
    services: Services,
    histories: Mapping[str, AssetHistory],
    reading: NewestFirst,
    progress: Progress,
) -> Asked:
    """As `ask`, of more snapshots; the log is as it was."""
    return replace(before, synchronised=_synchronised(loaded, jobs, services, histories, reading, progress))


def _synchronised(
    loaded: LoadedPlan,
    jobs: Sequence[Job],
    services: Services,
    histories: Mapping[str, AssetHistory],
    reading: NewestFirst,
    progress: Progress | None,
) -> Synchronised:
    stored_here = {s for history in histories.values() for s in history.stored_here}
    repo, assets = services.repository(loaded, jobs[0].limits), [job.asset for job in jobs]
    reads = counted(progress) if progress is not None else lambda done, of: None
    return services.synchronise(loaded, repo, assets, stored_here, wanted=reading.wanted, reads=reads)


def _logs_of(jobs: Sequence[Job], services: Services) -> Mapping[str, LogArchive | CcdrError]:
    """Of one plan, which has one repository of logs."""
    if not jobs:
        return {}
    assets = [job.asset for job in jobs]
    try:
        return archives_of(jobs[0].plan, assets, log_repository(jobs[0], services))
    except CcdrError as error:
        return dict.fromkeys(assets, error)


def told_of_each(
    loaded: LoadedPlan,
    jobs: Sequence[Job],
    by_log: Collection[str],
    services: Services,
    before: Asked | None = None,
) -> dict[str, Told]:
    """For the restore of each of them; of none where restic does not even tell its version, so that each says why.
    `before` is what was asked of the same assets, and more, where nothing was removed from the repository since: it is
    not asked again within a minute."""
    if not jobs:
        return {}
    try:
        version = services.repository(loaded, jobs[0].limits).version()
    except CommandFailed:
        return {}
    if before is not None and services.clock.monotonic() - before.at <= FRESH:
        asked = before
    else:
        known = services.histories()
        histories = {job.asset: known.get((job.plan, job.asset), AssetHistory()) for job in jobs}
        asked = ask(loaded, jobs, by_log, services, histories)
    return {job.asset: asked.told(job.asset, version) for job in jobs}
