"""The runbook of a plan: shown, printed, carried out. A command, a file; `going.py` is what those share that carry it
out, `terminal.py` asks people, `shown.py` is what they read."""

from __future__ import annotations

import click

from ccdr.cli.runbook import carried_out, one_step, printed, show, standing
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS, short_help="Show, print and carry out a plan's runbook.")
def runbook() -> None:
    """What people and ccdr do in an emergency, step by step: the plan's `runbook:`, or the one made from the plan."""


for _verb, _name in (
    (show.show, "show"),
    (printed.printed, "print"),
    (carried_out.run, "run"),
    (carried_out.resume, "resume"),
    (one_step.retry, "retry"),
    (one_step.skip, "skip"),
    (standing.status, "status"),
    (carried_out.take_over, "take-over"),
):
    runbook.add_command(_verb, _name)
