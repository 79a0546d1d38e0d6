"""`ccdr incident`."""

from __future__ import annotations

import click

from ccdr.cli.incident.shown import clocks, list_, show
from ccdr.cli.incident.statements import close, note, open_, reopen
from ccdr.cli.incident.written import draft, register
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS, short_help="Incidents: what has to be notified, by when, and what was done.")
def incident() -> None:
    """Incidents, each with its clocks: what has to be notified, to whom, and by when.

    Every recovery opens one, unless one is open for the plan; a person opens one by hand. `ccdr status` tells what is
    due next, and what is overdue. ccdr writes drafts from what it has recorded, and keeps the register of GDPR 33(5);
    it files nothing: a person does, and records the receipt.
    """


incident.add_command(clocks, "clocks")
incident.add_command(close, "close")
incident.add_command(draft, "draft")
incident.add_command(list_, "list")
incident.add_command(note, "note")
incident.add_command(open_, "open")
incident.add_command(register, "register")
incident.add_command(reopen, "reopen")
incident.add_command(show, "show")
