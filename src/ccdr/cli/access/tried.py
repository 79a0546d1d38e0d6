"""`ccdr access test`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.access import AccessTest
    from ccdr.plans import LoadedPlan

FOUND = {
    "works": "works",
    "unknown": "the store does not know it",
    "refused": "may not even read what it must",
    "not_here": "not on this host",
    "not_named": "the plan names none",
}
RESULT = {
    "HELD": "held",
    "BROKEN": "broken",
    "CANNOT_SEPARATE": "cannot be separated here",
    "NOT_SHOWN": "not shown",
}


@verb(short_help="Try each role's credential at PLAN's store.")
@plan_argument
@dry_run_option
def test(plan: str, dry_run: bool) -> Exit:
    """Try at the real store what each role's credential may do, as far as it lies on this host, and record it.

    ccdr puts small objects into the folders of the repository, under names that restic passes over, overwrites and
    deletes them by each credential, and removes them at the end by prune's. Beside each refusal that it looks for it
    tries what the same credential must be able to do. Without the credentials of backup and prune it writes nothing.

    Each promise is held, broken, not shown (something lacks to show it), or cannot be separated here (the store has no
    means for it). `ccdr controls` shows what was found, until it is three months old.

    Exits with 1 where a promise is broken, or the store does not know a credential.

    \b
    Examples:
      ccdr access test outbound --dry-run
      ccdr access test outbound
      ccdr access test outbound --json
    """
    options = settings()
    loaded, services = options.load(plan), options.services()
    if dry_run:
        return _dry_run(loaded)
    from ccdr.jobs.access import test_access

    done = test_access(loaded, services)
    if options.json:
        print_json(done.as_json())
    else:
        _tell(done)
    return done.exit_code


def _dry_run(loaded: LoadedPlan) -> Exit:
    named = [(role.value, one.here) for role, one in loaded.plan.access.named()]
    if settings().json:
        print_json({"would_try": {"plan": loaded.plan.plan, "roles": [n for n, here in named if here]}})
        return Exit.OK
    for name, here in named:
        click.echo(f"would try {name}" if here else f"would not try {name}: its credential is not on this host")
    if not named:
        click.echo("would try nothing: the plan names no role's credential")
    return Exit.OK


def _tell(done: AccessTest) -> None:
    from ccdr.model.access import SAYS

    table(("role", "credential"), [(role.value, FOUND[state.value]) for role, state in done.states.items()])
    click.echo()
    rows = [
        (word(RESULT[one.result.value]), SAYS[one.promise], one.why or so_many(one.tried, "try", "tries"))
        for one in done.kept
    ]
    table(("", "promise", ""), rows)
    if done.left:
        click.echo(f"left behind: {so_many(done.left, 'version')} of canaries that the store does not let go yet")
    if done.record is not None:
        click.echo(f"record: {done.record.seq} {done.record.hash[:16]}…")
