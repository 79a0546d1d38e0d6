"""`ccdr backup`."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from ccdr.cli.one_by_one import Outcomes
from ccdr.cli.output import print_json, tell_why, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.signing import signed_at_once
from ccdr.cli.verbs import assets_option, dry_run_option, plan_argument, tell_paused, verb
from ccdr.model.errors import CcdrError, Exit, Locked
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import Verb, human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from ccdr.jobs.backup import BackupResult
    from ccdr.jobs.group_backup import GroupResult
    from ccdr.jobs.services import Services
    from ccdr.plans.job import Job


@verb(short_help="Capture the assets of PLAN into its repository, now.")
@plan_argument
@assets_option
@dry_run_option
@signed_at_once
def backup(plan: str, assets: tuple[str, ...], dry_run: bool) -> Exit:
    """Capture every asset of PLAN (or one) now, and store it in the plan's repository.

    A snapshot counts only once its manifest is in the repository and in the catalogue. A backup that fails
    never replaces a good one. Assets of the same group are captured at the same time; one that is named with
    --asset is captured alone.

    \b
    Examples:
      ccdr backup outbound
      ccdr backup outbound --asset crm --json
      ccdr backup outbound --dry-run
    """
    from ccdr.evidence.history.kinds import STORED
    from ccdr.jobs.plan_in_repository import store
    from ccdr.plans.access import Role

    options = settings()
    jobs = options.jobs(plan, assets, Role.BACKUP)
    if dry_run:
        return _dry_run(jobs)
    services = options.services()
    tell_paused(services, plan)

    outcomes = Outcomes({"result": "LOCKED"})
    try:
        with ExitStack() as ours:  # in the plan's order: of two that overlap, one begins
            for job in jobs:
                ours.enter_context(services.state.lock(job.plan, job.asset, Verb.BACKUP, whole=True))
            groups = _carry_out(jobs, services, outcomes)
    except Locked as error:  # half of it would be another one's, and both would end so
        outcomes.passed_over(jobs, error)
        groups = []
    if jobs and any(document.get("result") == STORED for document in outcomes.documents):
        for note in store([jobs[0].loaded], services):
            click.echo(f"ccdr: {note}", err=True)
    return outcomes.end("backups", {"groups": groups} if groups else None)


def _carry_out(jobs: list[Job], services: Services, outcomes: Outcomes) -> list[dict[str, object]]:
    """The groups, as documents."""
    from ccdr.jobs.backup import backup as back_up
    from ccdr.jobs.group_backup import backup_together

    groups: list[dict[str, object]] = []
    for unit in _units(jobs):
        try:
            with progress() as watched:
                group = backup_together(unit, services, watched) if len(unit) > 1 else None
                results = list(group.results.values()) if group else [back_up(unit[0], services, watched)]
        except Locked as error:
            outcomes.passed_over(unit, error)
            continue
        except CcdrError as error:
            if len(jobs) == 1:
                raise
            for job in unit:  # one that cannot begin keeps no other from it
                outcomes.could_not_begin(job, error)
            continue
        for result in results:
            outcomes.did(result, partial(tell, way_back=_way_back(result, jobs, services)))
        if group is not None:
            for job in unit:
                if job.asset in group.errors:
                    outcomes.could_not_begin(job, group.errors[job.asset])
            groups.append(group.as_json())
            if not settings().json:
                tell_group(group)
    return groups


def _way_back(result: BackupResult, jobs: list[Job], services: Services) -> str | None:
    """Where its source is gone, as `ccdr status` says it: that names what is lost, as no record may."""
    if result.source is None:
        return None
    from ccdr.telling.status import status

    troubles = (p for s in status([jobs[0].loaded], services) if s.asset == result.asset for p in s.troubles)
    return next((p.step for p in troubles if p.trouble is Trouble.SOURCE_AWAY), None)


def _units(jobs: list[Job]) -> list[list[Job]]:
    """What is captured together, in the plan's order."""
    by_group: dict[str, list[Job]] = {}
    for job in jobs:
        by_group.setdefault(",".join(job.grouped) or job.asset, []).append(job)
    return list(by_group.values())


def _dry_run(jobs: list[Job]) -> Exit:
    planned = [
        {
            "plan": job.plan,
            "asset": job.asset,
            "engine": job.engine.engine_name,
            "method": job.engine.method,
            "together_with": [name for name in job.grouped if len(jobs) > 1 and name != job.asset],
            "repository": job.loaded.plan.repository.location,
        }
        for job in jobs
    ]
    if settings().json:
        print_json({"would_back_up": planned})
        return Exit.OK
    for line in planned:
        others = line["together_with"]
        beside = f", together with {', '.join(map(str, others))}" if isinstance(others, list) and others else ""
        what = f"{line['asset']} ({line['engine']}, {line['method']}){beside}"
        click.echo(f"would back up {what} to {line['repository']}")
    return Exit.OK


def tell(result: BackupResult, way_back: str | None = None) -> None:
    """The backup for people."""
    snapshot = result.snapshot
    click.echo(f"{word(result.result)}  {result.plan}/{result.asset}", nl=False)
    if snapshot is not None:
        took = human_seconds(sum(result.phases.values()))
        click.echo(
            f"  snapshot {snapshot.short}, consistent at {rfc3339(snapshot.consistent_point)}, "
            f"{human_bytes(snapshot.bytes)} captured, {human_bytes(result.added)} added, {took}"
        )
    else:
        tell_why(result.reason, way_back or result.hint)
    for note in [*result.notes, *result.left_behind]:
        click.echo(f"  {note}")
    for finding in result.findings:
        click.echo(f"  finding: {finding}")
    if result.other_cluster:
        click.echo(f"  → {next_step(Trouble.OTHER_CLUSTER, result.plan, result.asset)}")


def tell_group(done: GroupResult) -> None:
    """What was captured together, for people."""
    skew = "" if done.skew is None else f"consistent points {human_seconds(done.skew)} apart"
    lacks = [] if done.complete else [f"there is no new snapshot of {', '.join(done.missing)}"]
    click.echo(f"{word(done.ended().result)}  group {done.group.name}: {'; '.join([*lacks, *filter(None, [skew])])}")
