"""The one call that a restore test makes: what a restore for real would erase before it hands anything over is erased
here too, after all checks, and proven."""

from __future__ import annotations

from collections.abc import Sequence

from ccdr.jobs.erasure.replaying import TEST, Outcome, Replaying
from ccdr.jobs.job_run import JobRun
from ccdr.model.values import Manifest, Snapshot
from ccdr.ports.check import CheckContext
from ccdr.storage.listing import RepoSnapshot


def rehearse(
    of: JobRun, listed: Sequence[RepoSnapshot], snapshot: Snapshot, manifest: Manifest, context: CheckContext
) -> Outcome | None:
    """None where the plan's register holds nobody of the asset."""
    job, services = of.job, of.services
    replaying = Replaying.opened(services, job.loaded, job.asset, of.run.id, TEST, of.repo, listed, snapshot, manifest)
    if not replaying.due:
        return None
    of.progress.step(f"erasing who was erased at the source of {job.asset}")
    outcome = replaying.replay(job.engine, context, context.point)
    replaying.record(outcome)
    return outcome
