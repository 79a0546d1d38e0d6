"""What the plan's own repository had newer than a copy that is recovered from: as far as this host knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.log_standing import read_standing
from ccdr.jobs.recover.choosing import Candidate
from ccdr.jobs.services import Services
from ccdr.model.values import human_seconds, rfc3339
from ccdr.plans.job import Job
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future


@dataclass(frozen=True)
class Primary:
    """Its newest state by the moment, `newer` by so many seconds than what is taken; None where it has none that is.
    `known`: has this host ever heard of it?"""

    point: datetime | None = None
    newer: float = 0.0
    known: bool = True

    @property
    def note(self) -> str | None:
        if not self.known:
            return "whether the primary had something newer than this copy, nobody knows on this host"
        if self.point is None:
            return None
        return newer_than_the_copy(self.point, self.newer)


def newer_than_the_copy(point: datetime, newer: float) -> str:
    return (
        f"the primary had it as of {rfc3339(point)}, {human_seconds(newer)} newer than this copy: that much is lost if "
        "it does not come back"
    )


def primary_of(job: Job, taken: Candidate, moment: datetime | None, services: Services) -> Primary:
    """Nothing of it where all is fetched from the primary itself."""
    if services.there is None:
        return Primary()
    now = services.clock.now()
    snapshots = [
        s
        for s in services.there.catalogue.snapshots(job.plan, job.asset)
        if of_source(s, job.engine.source_name) and not dated_in_future(s, now)
    ]
    points = [s.consistent_point for s in snapshots if moment is None or s.consistent_point <= moment]
    standing = read_standing(services.state, job.plan, job.asset) if job.engine.shipping is not None else None
    if standing is not None and standing.point is not None:
        points.append(standing.point if moment is None else min(moment, standing.point))
    newest = max(points, default=None)
    newer = 0.0 if newest is None else (newest - taken.point).total_seconds()
    if newest is None or newer <= 0:
        return Primary(known=bool(snapshots) or standing is not None)
    return Primary(newest, newer)
