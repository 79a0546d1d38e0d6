"""`ccdr notify test`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan


@click.group(epilog=EXIT_STATUS, short_help="Send a test message; `ccdr run` sends the real ones.")
def notify() -> None:
    """Telling people: `ccdr run` does it by itself, to the addresses that a plan names under notify."""


@verb()
@plan_argument
@dry_run_option
def test(plan: str, dry_run: bool) -> Exit:
    """Send a test message to every address of PLAN. Exit 3 where one does not take it.

    With --dry-run nothing is sent: it shows what the next `ccdr run` would tell, as things stand, and to whom.

    \b
    Examples:
      ccdr notify test outbound
      ccdr notify test outbound --dry-run
    """
    from ccdr.telling.notify import send_test

    options = settings()
    loaded = options.load(plan)
    if loaded.plan.notify.urls_file is None:
        hint = "write `notify: {urls_file: FILE}` into the plan, and one Apprise URL a line into the file"
        raise UsageProblem(f"plan {plan} sends no messages: it has no notify.urls_file", hint=hint)
    if dry_run:
        return _dry_run(loaded)
    answers = send_test(loaded, options.services())
    if options.json:
        print_json({"plan": plan, "sent": [{"to": t.name, "taken": why is None, "reason": why} for t, why in answers]})
    else:
        for target, why in answers:
            click.echo(f"{word('FAILED')}  {target.name} {why}" if why else f"taken by {target.name}")
    return Exit.NOT_CARRIED_OUT if any(why for _, why in answers) else Exit.OK


def _dry_run(loaded: LoadedPlan) -> Exit:
    from ccdr.run.ending import our_own
    from ccdr.telling.notify import would_tell

    services = settings().services()
    ours = our_own([loaded], services)
    letters = would_tell(loaded, services, ours.assets, ours.upkeep, ours.elsewhere)
    if settings().json:
        print_json({"would_send": [{**letter.as_json(), "body": letter.body} for letter in letters]})
        return Exit.OK
    for letter in letters:
        click.echo(f"would tell {letter.to}: {letter.subject}\n")
        click.echo("".join(f"    {line}\n" for line in letter.body.splitlines()))
    if not letters:
        click.echo("there is no news: ccdr would send nothing")
    return Exit.OK


notify.add_command(test)
