"""`ccdr sandbox reap`."""

from __future__ import annotations

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, dry_run_option, verb
from ccdr.model.errors import Exit


@click.group(epilog=EXIT_STATUS)
def sandbox() -> None:
    """The throwaway containers of restore tests."""


@verb(short_help="Remove what a crash left behind.")
@dry_run_option
def reap(dry_run: bool) -> Exit:
    """Remove what a crash left: our own containers, volumes and scratch whose run is dead or has expired.

    Nothing without our label is touched, and nothing of a run that is still under way. What another ccdr (with another
    --state) left on the same Docker daemon goes once it has ended, and expired by the clock of the daemon's host.

    \b
    Examples:
      ccdr sandbox reap --dry-run
      ccdr sandbox reap
    """
    from ccdr.jobs.leftovers import clear_leftovers

    options = settings()
    done = clear_leftovers(options.services(), dry_run=dry_run)
    if options.json:
        print_json({"dry_run": dry_run, "removed": done.removed, "left": done.left, "problems": done.problems})
    else:
        for name in done.removed:
            click.echo(f"{'would remove' if dry_run else 'removed'} {name}")
        for text in (*done.left, *done.problems):
            click.echo(text)
        if not (done.removed or done.left or done.problems):
            click.echo("nothing to remove")
    return Exit.LEFT_BEHIND if done.problems else Exit.OK


sandbox.add_command(reap, "reap")
