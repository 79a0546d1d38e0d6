"""Up to when a log is stored that leads on from a good base: as this host wrote it down, or by the repository alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from ccdr.evidence.log_standing import LogStanding, read_standing
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.branches import covers, line_to
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import log_of
from ccdr.model.errors import BackupBad
from ccdr.model.measure import Point
from ccdr.model.values import Snapshot
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog


def _on_its_branch(standing: LogStanding, archive: LogArchive, log: ShippedLog) -> LogStanding:
    """The same, with where in the log's history it stands as the repository has it."""
    if archive.newest is None:
        return standing
    return replace(standing, branch=log.branch(archive.newest.ends), forks=archive.forks(archive.newest.anew))


def logged(
    job: Job,
    services: Services,
    usable: Sequence[Snapshot],
    disproved: Callable[[Snapshot], bool] = lambda _: False,
    archive: Callable[[], LogArchive] | None = None,
    standing: LogStanding | None = None,
) -> list[Point]:
    """How far the log is stored, as this host wrote it down (`standing`: as far as that is believed), if the newest
    usable base is one that it goes on from, and the log from there on is not `disproved`. With an `archive`, no more
    than what is there: it is asked after what was written down was read, for it may grow meanwhile. Where another host
    ships it, the log archive alone tells."""
    standing = standing or read_standing(services.state, job.plan, job.asset)
    log = job.engine.log("")
    if standing is None and log is not None and archive is not None:  # another host ships it
        return stored(job, services, usable, disproved, archive())
    if standing is not None and log is not None and standing.newest is not None and archive is not None:
        asked = archive()
        there = asked.contiguous(log)
        since, point = (there[0].begins, min(standing.newest.consistent, there[-1].point)) if there else (None, None)
        standing = replace(standing, since=standing.since and since, point=point)
        standing = _on_its_branch(standing, asked, log)
    if log is None or standing is None or standing.newest is None or standing.since is None:
        return []
    for snapshot in reversed(usable):
        with suppress(BackupBad):
            manifest = services.catalogue.manifest(snapshot)
            if log.goes_on_from(manifest):
                if disproved(snapshot) or (standing.anew and manifest.consistent_point < standing.anew):
                    return []
                branch = max(log.branch(log.needed_from(manifest)), standing.branch or 1)
                if not line_to(log, standing.forks, branch).leads_on_from(manifest):
                    continue  # the source was recovered to before it: an older one may lead there
                return [standing.newest] if covers(log, standing.since, log.needed_from(manifest)) else []
    return []


def stored(
    job: Job, services: Services, usable: Sequence[Snapshot], disproved: Callable[[Snapshot], bool], archive: LogArchive
) -> list[Point]:
    """The same by what is in the repository alone: for a host that ships nothing itself. `usable` are oldest first."""
    _, log = log_of(job)
    there, newest = archive.contiguous(log), archive.newest
    if newest is None or newest.dated_ahead(services.clock.now()):
        return []
    for snapshot in reversed(usable):
        manifest = services.catalogue.manifest(snapshot)
        if log.goes_on_from(manifest):
            if disproved(snapshot) or archive.torn_from(manifest.consistent_point) is not None:
                return []
            if not archive.line(log).leads_on_from(manifest):
                continue  # as in `logged`
            held = covers(log, there[0].begins, log.needed_from(manifest))
            return [Point(newest.point, newest.usable_at)] if held else []
    return []
