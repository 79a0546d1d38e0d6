"""`ccdr backup`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.shell import asset_option, dry_run_option, each_asset, plan_argument, print_json, settings, verb, word
from ccdr.errors import Exit
from ccdr.model import human_bytes, human_seconds, rfc3339

if TYPE_CHECKING:
    from ccdr.backup import BackupResult
    from ccdr.interfaces import Progress
    from ccdr.services import Job


@verb()
@plan_argument
@asset_option
@dry_run_option
def backup(plan: str, asset: str | None, dry_run: bool) -> Exit:
    """Capture every asset of PLAN (or one) now, and store it in the plan's repository.

    A snapshot counts only once its manifest is in the repository and in the catalogue. A backup that fails
    never replaces a good one.

    \b
    Examples:
      ccdr backup outbound
      ccdr backup outbound --asset crm --json
      ccdr backup outbound --dry-run
    """
    from ccdr.backup import backup as back_up

    options = settings()
    jobs = options.jobs(plan, asset)
    if dry_run:
        return _dry_run(jobs)
    services = options.services()

    def do(job: Job, watched: Progress) -> BackupResult:
        return back_up(job, services, watched)

    return each_asset(jobs, do, tell, many="backups", locked={"result": "LOCKED"})


def _dry_run(jobs: list[Job]) -> Exit:
    said = [
        {
            "plan": job.plan,
            "asset": job.asset,
            "engine": job.engine.engine_name,
            "method": job.engine.method,
            "repository": job.loaded.plan.repository.location,
        }
        for job in jobs
    ]
    if settings().json:
        print_json({"would_back_up": said})
        return Exit.OK
    for line in said:
        click.echo(f"would back up {line['asset']} ({line['engine']}, {line['method']}) to {line['repository']}")
    return Exit.OK


def tell(result: BackupResult) -> None:
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
        click.echo(f"  {result.detail or result.reason}")
        if result.hint:
            click.echo(f"  → {result.hint}")
    for note in [*result.notes, *result.left_behind]:
        click.echo(f"  {note}")
    for finding in result.findings:
        click.echo(f"  finding: {finding}")
