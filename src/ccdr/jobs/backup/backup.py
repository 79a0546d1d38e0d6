"""Capture one asset and store it. A snapshot counts only once its manifest is in repository and catalogue."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import STORED
from ccdr.evidence.lineage.comparing import keep
from ccdr.evidence.lineage.own_records import installation
from ccdr.evidence.records.backups import BackupStart
from ccdr.host.files import remove_tree
from ccdr.jobs.attest import compared
from ccdr.jobs.backup.attempt import BackupRun
from ccdr.jobs.backup.failure import failed
from ccdr.jobs.backup.result import BackupResult, Member
from ccdr.jobs.job_run import JobRun
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.services import BY_HAND, Services, Trigger
from ccdr.jobs.shipping.successor import is_successor
from ccdr.model.errors import (
    CcdrError,
)
from ccdr.model.values import rfc3339, source_digest
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import PROBE_WAIT

ANOTHER = (
    "the source is another PostgreSQL server than that of the backups before: its system identifier is {}, and theirs "
    "is {} ({})"
)
HURRY = 10.0  # seconds that somebody who interrupts us may have to wait for a dead store


def backup(
    job: Job, services: Services, progress: Progress, *, trigger: Trigger = BY_HAND, member: Member | None = None
) -> BackupResult:
    """Back one asset up now. UsageProblem and Locked are raised before anything is done; whatever happens
    after that is in the result and in the ledger, an interrupt included (and raised again). Of a group's `member`
    the caller holds the lock already."""
    job.refuse_recovery_only("a backup")
    repo = services.repository(job.loaded, job.limits, gentle=True)
    with (
        services.state.lock(job.plan, job.asset, "backup") if member is None else contextlib.nullcontext(),
        services.state.reading(repo.location),
        services.state.run(services.clock) as run,
    ):
        result = BackupResult(job.plan, job.asset, run.id, group=member.group if member else None)
        credentials = run.directory("credentials")
        services.write_credentials(job, credentials)
        recorded = RecordedRun(services, job.loaded, job.asset, run.id, trigger)
        of = JobRun(job, services, repo, run, progress)
        begun = recorded.begin(
            BackupStart, engine=job.engine.engine_name, method=job.engine.method, group=result.ended().group
        )
        attempt = BackupRun(of, credentials, result, member, begun)
        with recorded.attempt(partial(failed, of, result)):
            attempt.carry_out()
        with recorded.conclusion():  # it was stored, or it was not
            if result.result == STORED:
                with contextlib.suppress(CcdrError):  # a ledger that cannot be read is told when it is written to
                    result.notes += _in_doubt(job, services)
                    history = services.history(job)
                    if history.is_another(result.server):
                        result.made_by_recovery = is_successor(job, services, result.server, result.recovery)
                        result.other_cluster = not result.made_by_recovery
                        why = "OTHER_CLUSTER" if result.other_cluster else "a recovery by ccdr made it"
                        result.notes.append(ANOTHER.format(result.server, history.server, why))
                    result.suspect = history.suspicion(
                        result.growth, result.canaries, _source(result), drains=job.engine.drains
                    )
            result.left_behind += remove_tree(attempt.into.parent)  # first: its room may be needed to say anything
            if result.result != STORED:
                attempt.storing.mark_failed(within=HURRY if recorded.interrupted else PROBE_WAIT, ended=True)
            services.state.keep_words(run.id, result.words)
            if attempt.storing.listed is not None:
                with contextlib.suppress(CcdrError):
                    result.notes += _contradicted(job, services, attempt.storing.listed)
                    result.notes += _by_turns(job, services, attempt.storing.listed)
            result.record = recorded.end(result.ended())
            with contextlib.suppress(CcdrError):
                keep(services.state, services.ledger)
    return result


def _source(result: BackupResult) -> str | None:
    return source_digest(result.snapshot.source) if result.snapshot else None


def _in_doubt(job: Job, services: Services) -> list[str]:
    """Stored well, and perhaps onto a piece that is missing."""
    known = services.histories()
    upkeep, asset = (known.get((job.plan, name), AssetHistory()) for name in (None, job.asset))
    if (damage := asset.doubted(upkeep)) is None:
        return []
    test = f"`ccdr test {job.plan} --asset {job.asset} --snapshot latest`"
    return [f"{damage}: this snapshot counts only after {test} passes; docs/how-to/recover.md, A damaged repository"]


def _contradicted(job: Job, services: Services, listed: Sequence[RepoSnapshot]) -> list[str]:
    """Stored or not: is the ledger what the repository's snapshots attest?"""
    outcome = compared(services, job.plan, listed, recent=True)
    problems = [f"the ledger: {problem}" for problem in outcome.problems]
    return [*problems, *(f"the ledger of this host is lost: {one}" for one in outcome.lost)]


def _by_turns(job: Job, services: Services, listed: Sequence[RepoSnapshot]) -> list[str]:
    """Has a host whose ledger is not known here backed up the same asset since this one did? Two may do so by one plan,
    and count as one asset: whoever has copied a plan to a host with other data has not meant that."""
    lineage, here = services.lineage(), installation(services.state, services.ledger.host)
    known = (None, *lineage.known, *lineage.beside)
    backups = [s for s in listed if s.tag("kind") == "backup" and s.tag("asset") == job.asset]
    others = [s for s in backups if s.tag("ledger") not in known and s.tag("installation") != here]
    last = max((s.time for s in backups if s not in others), default=None)
    since = [s.time for s in others if last is None or s.time > last]
    if not since:
        return []
    return [
        f"another host has backed up {job.asset} by this plan, too, last on {rfc3339(max(since))}: if its data are "
        "others, give it a plan of its own; if they are the same, `ccdr ledger collect DIR` adds its ledger; if that "
        f"host is lost, and this one stands in for it, `ccdr ledger recover {job.plan}` brings its ledger back, where "
        "that was stored"
    ]
