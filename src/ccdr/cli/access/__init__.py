"""`ccdr access`."""

from __future__ import annotations

import click

from ccdr.cli.access.policies import policies
from ccdr.cli.access.reviewed import review
from ccdr.cli.access.tried import test
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS, short_help="A credential for each role: policies, trials, reviews.")
def access() -> None:
    """Who may do what: a credential for each role at the store (backup, verify, prune, restore, auditor), with
    policies that are ready to be attached; each tried at the real store; and the review of who has access.
    """


access.add_command(policies, "policies")
access.add_command(test, "test")
access.add_command(review, "review")
