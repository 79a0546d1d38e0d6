"""`ccdr runbook show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import Exit
from ccdr.model.values import human_seconds

if TYPE_CHECKING:
    from ccdr.jobs.runbook.states import Forecast
    from ccdr.plans.runbook_made import Runbook


@verb(short_help="Show the runbook of a plan.")
@plan_argument
def show(plan: str) -> Exit:
    """Show the steps of PLAN's runbook, in order: what each does, what it waits for, how long it takes, whom to phone.

    Without `runbook:` in the plan, the one that is made from it: is it really dead, stand still, recover, check,
    switch, protect again, all clear.

    \b
    Examples:
      ccdr runbook show outbound
      ccdr runbook show outbound --json
    """
    from ccdr.jobs.runbook.outlook import described, expected_of
    from ccdr.jobs.runbook.states import Standing, forecast
    from ccdr.plans.runbook_made import runbook_of

    options = settings()
    loaded, services = options.load(plan), options.services()
    runbook = runbook_of(loaded.plan)
    expected = expected_of(runbook, services, loaded)
    standing = Standing(runbook, ())
    ahead = forecast(standing, expected)
    if options.json:
        print_json(
            {
                "plan": plan,
                "runbook": "made" if runbook.made else "plan",
                "sha256": runbook.sha256,
                "predicted_s": ahead.seconds,
                "unknown": list(ahead.unknown),
                "steps": [described(name, runbook.steps[name], runbook, expected) for name in standing.order],
            }
        )
    else:
        tell_steps(runbook, expected, ahead)
    return Exit.OK


def tell_steps(runbook: Runbook, expected: Mapping[str, float], ahead: Forecast) -> None:
    """The steps in the order in which they may be done."""
    from ccdr.jobs.runbook.states import Standing
    from ccdr.plans.runbook import Manual
    from ccdr.telling.runbook import does

    standing = Standing(runbook, ())
    made = ", made from the plan: it states none" if runbook.made else ""
    click.echo(f"runbook of {runbook.plan}{made}")
    phase = None
    for number, name in enumerate(standing.order, 1):
        step = runbook.steps[name]
        if step.phase != phase:
            phase = step.phase
            click.echo(f"\n{click.style((phase or 'steps').upper(), bold=True)}")
        takes = f"  about {human_seconds(expected[name])}" if name in expected else ""
        click.echo(f" {number:2}. {click.style(name, bold=True)}: {runbook.title(name)}{takes}")
        for line in does(step, runbook.plan):
            click.echo(f"       {line}")
        for line in step.instructions if isinstance(step, Manual) else ():
            click.echo(f"       – {line}")
        if waits := standing.needs[name]:
            click.echo(f"       after {', '.join(dict.fromkeys(waits))}")
        if step.phone:
            click.echo(f"       phone {step.phone}")
    unknown = f"; nobody has said how long {', '.join(ahead.unknown)} take" if ahead.unknown else ""
    click.echo(f"\nin all about {human_seconds(ahead.seconds)}{unknown}")
