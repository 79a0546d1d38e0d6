"""`ccdr runbook print`."""

from __future__ import annotations

from pathlib import Path

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import plan_argument, verb
from ccdr.model.errors import CcdrError, Exit


@verb(short_help="Print the runbook: one page of HTML, for paper.")
@plan_argument
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it there (default: to the screen).")
def printed(plan: str, out: Path | None) -> Exit:
    """Write the runbook of PLAN as one HTML page for paper: black and white, A4, nothing but itself.

    The first page is for whoever is called at three in the morning: is it really dead; what to stop, what not to touch;
    what to type, in which order, and how long it takes. Then each step, and each asset by hand. It says where the
    repository and its key lie, never what they are: print it, and keep it where the lights stay on.

    \b
    Examples:
      ccdr runbook print outbound --out runbook.html
      ccdr runbook print outbound > runbook.html
    """
    from ccdr.jobs.runbook.outlook import expected_of, known_of
    from ccdr.plans.runbook_made import runbook_of
    from ccdr.telling.runbook.page import page

    options = settings()
    loaded, services = options.load(plan), options.services()
    runbook = runbook_of(loaded.plan)
    measured, manifests = known_of(services, loaded)
    text = page(loaded, runbook, expected_of(runbook, services, loaded), measured, manifests, services.clock.now())
    if out is None:
        print_json({"plan": plan, "out": None, "html": text}) if options.json else click.echo(text, nl=False)
        return Exit.OK
    try:
        out.write_text(text, "utf-8")
    except OSError as error:
        raise CcdrError(f"{out} cannot be written: {error.strerror}") from None
    if options.json:
        print_json({"plan": plan, "out": str(out), "html": None})
    click.echo(f"{out}: open it in a browser and print it", err=True)
    return Exit.OK
