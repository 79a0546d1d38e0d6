"""`ccdr status`."""

from __future__ import annotations

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.status_seen import document, gather
from ccdr.cli.status_told import tell
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, worst


@verb(short_help="Can the contact centre be brought back?")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
def status(names: tuple[str, ...]) -> Exit:
    """Can the contact centre be brought back? Objectives against achieved, coverage, what is late.

    From the ledger and the catalogue alone: it answers when the repository does not. A plan is judged by the version
    that was recorded when somebody last acted by it; where its file differs by now, that is said.

    \b
    Examples:
      ccdr status
      ccdr status outbound --json
    """
    options = settings()
    loaded, wrong_plans = options.load_all(names)
    for error in wrong_plans:
        click.echo(f"ccdr: {error}", err=True)
    services = options.services()
    if not services.state.has_contents:  # a wrong --state looks like a plan that was never carried out
        click.echo(f"ccdr: {services.state.root} holds nothing yet: is it the right --state?", err=True)
    seen = gather(loaded, services, options)
    if options.json:
        print_json(document(seen))
    else:
        tell(seen)
    return worst([seen.code, *(e.exit_code for e in wrong_plans)])
