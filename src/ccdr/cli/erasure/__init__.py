"""`ccdr erasure`."""

from __future__ import annotations

import click

from ccdr.cli.erasure.register import add, list_, withdraw
from ccdr.cli.erasure.replayed import prove, replay, review
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS, short_help="People who were erased, and stay erased in whatever is restored.")
def erasure() -> None:
    """People who were erased at the source, and must stay erased in whatever is restored.

    Backups are not changed. A register beside them says who was erased; `restore`, `recover` and each restore test
    replay it before anything is handed over, and record what was found.
    """


erasure.add_command(add, "add")
erasure.add_command(list_, "list")
erasure.add_command(prove, "prove")
erasure.add_command(replay, "replay")
erasure.add_command(review, "review")
erasure.add_command(withdraw, "withdraw")
