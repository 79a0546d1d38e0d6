"""The repository that an asset's log is stored in: what is there, and marks of what does not count."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.log_archive import LogArchive, arranged
from ccdr.jobs.shipping.stored_batch import LOG, VOID, held_of, key_of, read_batch
from ccdr.model.errors import RepositoryMissing, UsageProblem
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.restic import Restic


def log_of(job: Job) -> tuple[LogShipping, ShippedLog]:
    """UsageProblem where the plan does not want it shipped."""
    settings, log = job.engine.shipping, job.engine.log(f"{job.plan}/{job.asset}")
    if settings is None or log is None:
        raise UsageProblem(
            f"{job.plan}/{job.asset} ships no log", hint="`log_shipping: {interval: 60s}` in the plan asks for it"
        )
    return settings, log


def log_repository(job: Job, services: Services) -> Restic:
    """Where an asset's log is stored: below the plan's repository, so that pruning one does not stop the other."""
    repo = services.repository(job.loaded, job.limits)
    return replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")


def archive_of(job: Job, repo: Restic) -> LogArchive:
    """Ask the repository; an empty log archive where nothing was ever stored."""
    return _archive(_listed(job, repo))


def archives_of(plan: str, assets: Collection[str], repo: Restic) -> dict[str, LogArchive]:
    """As `archive_of`, of several assets of a plan whose logs lie in the same repository, which is asked once."""
    there: list[RepoSnapshot] = []
    with contextlib.suppress(RepositoryMissing):
        there = repo.snapshots([OURS, f"kind={LOG}", f"plan={plan}"])
    return {asset: _archive([s for s in there if f"asset={asset}" in s.tags]) for asset in assets}


def void_of(job: Job, repo: Restic) -> list[str]:
    """Ids of snapshots that do not count, and of the marks that say so, where a newer one holds all that they claim:
    whoever may write to the repository may write a mark."""
    there = _listed(job, repo)
    newest = {key_of(batch): batch for batch in _archive(there).batches}
    marks = {(s.tag(VOID), s.tag("run")): s.id for s in there if s.tag(VOID)}
    void = []
    for s in there:
        mark, batch = marks.get((s.id, s.tag("run"))), read_batch(s)
        if mark and batch and key_of(batch) in newest and held_of(newest[key_of(batch)]) >= held_of(batch):
            void += [s.id, mark]
    return void


def _archive(there: Sequence[RepoSnapshot]) -> LogArchive:
    void = {(s.tag(VOID), s.tag("run")) for s in there}
    return arranged(batch for s in there if (s.id, s.tag("run")) not in void and (batch := read_batch(s)) is not None)


def take_back(job: Job, run: str, repo: Restic, snapshot: str, beside: Path) -> None:
    """Leave a mark that a snapshot does not count; `beside` is any file, for something has to be stored. Whoever ships
    need not have the right to remove anything."""
    labels = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"{VOID}={snapshot}"]
    repo.backup([beside], tags=labels)


def _listed(job: Job, repo: Restic) -> list[RepoSnapshot]:
    with contextlib.suppress(RepositoryMissing):
        return repo.snapshots([OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}"])
    return []
