"""`ccdr deviation`."""

from __future__ import annotations

import click

from ccdr.cli.deviation.said import assign, close, note
from ccdr.cli.deviation.shown import list_, show
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS, short_help="Deviations: what went wrong, who answers for it, what ended it.")
def deviation() -> None:
    """What went wrong: each failed backup or restore test, objective that was breached, run that was missed, test that
    proved nothing twice in a row, loosening of a plan, finding of the ledger. ccdr opens a deviation by its records and
    closes it by a retest: nobody does either by hand.

    People say who answers for it, its cause, and what is done. Somebody who may approve can accept its risk until a
    day, by a signature.
    """


deviation.add_command(assign, "assign")
deviation.add_command(close, "close")
deviation.add_command(list_, "list")
deviation.add_command(note, "note")
deviation.add_command(show, "show")
