"""`ccdr notify test`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, dry_run_option, plan_argument, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.plans import LoadedPlan
    from ccdr.telling.notify import SentMessage


@click.group(epilog=EXIT_STATUS, short_help="Send a test message; `ccdr run` sends the real ones.")
def notify() -> None:
    """Telling people: `ccdr run` does it by itself, to the addresses that a plan names under notify."""


@verb()
@plan_argument
@dry_run_option
def test(plan: str, dry_run: bool) -> Exit:
    """Send a test message to every address of PLAN. Exit 3 where one does not take it; 2 where the file names what is
    no address, and nothing is sent.

    With --dry-run nothing is sent: it shows that message and whom it would go to; and, apart from it, what the next
    `ccdr run` would send, as things stand.

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
    from ccdr.telling.notify import would_tell, would_test

    services = settings().services()
    tests = would_test(loaded, services)
    ours = our_own([loaded], services)
    letters = would_tell(loaded, services, ours.assets, ours.upkeep, ours.elsewhere)
    if settings().json:
        of_run, of_test = ([{**one.as_json(), "body": one.body} for one in some] for some in (letters, tests))
        print_json({"would_send": of_test, "next_run_would_send": of_run})
        return Exit.OK
    _show(tests)
    click.echo(f"the next `ccdr run` would send{', as things stand:' if letters else ' nothing: there is no news'}")
    _show(letters)
    return Exit.OK


def _show(letters: Sequence[SentMessage]) -> None:
    for letter in letters:
        click.echo(f"would send to {letter.to}: {letter.subject}\n")
        click.echo("".join(f"    {line}\n" for line in letter.body.splitlines()))


notify.add_command(test)
