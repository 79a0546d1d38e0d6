"""`ccdr plan trust`, and the question that other verbs ask before a command of a plan from a repository runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit, PlanUnconfirmed

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan
    from ccdr.plans.trust import Command


def agree(loaded: LoadedPlan, commands: Sequence[Command] | None = None, yes_i_mean: str | None = None) -> None:
    """Have these commands (None: all of the plan's) confirmed by who sits here: shown, and the plan's name asked for.
    PlanUnconfirmed, and nothing was begun, where nobody does; nothing where all were confirmed before."""
    from ccdr.plans.trust import confirm, unconfirmed

    waiting = unconfirmed(loaded, commands)
    if not waiting:
        return
    name = loaded.plan.plan
    click.echo(
        f"the plan {name} came from a repository. It names these commands, which would run on this host:", err=True
    )
    for command in waiting:
        click.echo(f"  {command.where}:\n    {command.shown}", err=True)
    refused = PlanUnconfirmed(name, [command.where for command in waiting])
    if yes_i_mean is None:
        if not sys.stdin.isatty():
            raise refused
        try:
            yes_i_mean = click.prompt(f"To let them run here, type the plan's name ({name})", err=True)
        except click.Abort:
            raise refused from None
    if yes_i_mean != name:
        raise refused
    confirm(loaded, waiting)


@verb(short_help="Confirm the commands of a PLAN that came from a repository.")
@plan_argument
@click.option("--yes-i-mean", metavar="PLAN", help="The plan's name, instead of typing it.")
def trust(plan: str, yes_i_mean: str | None) -> Exit:
    """Show every command that PLAN names, and confirm that they may run on this host.

    Whoever holds a repository's password could have stored a plan there. So no command of a plan that `ccdr bootstrap`
    wrote runs before it was confirmed. One that was written by hand needs no confirmation.

    \b
    Examples:
      ccdr plan trust outbound
      ccdr plan trust outbound --yes-i-mean outbound
    """
    from ccdr.plans.trust import commands_of, origin_of, unconfirmed

    options = settings()
    loaded = options.load(plan)
    waiting = {command.digest for command in unconfirmed(loaded)}
    commands = commands_of(loaded.plan)
    if waiting:
        agree(loaded, None, yes_i_mean)
    if options.json:
        shown = [{"where": c.where, "command": list(c.words), "new": c.digest in waiting} for c in commands]
        print_json({"plan": plan, "from_repository": origin_of(loaded) is not None, "commands": shown})
    elif waiting:
        click.echo(f"confirmed: {len(waiting)} of the plan's commands may run on this host from now on")
    elif origin_of(loaded) is None:
        click.echo(f"the plan {plan} was written here: nothing is to be confirmed")
    else:
        click.echo(f"nothing is to be confirmed: {'it names no command' if not commands else 'all were before'}")
    return Exit.OK
