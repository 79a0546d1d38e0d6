"""`ccdr ledger collect`: other hosts' ledgers, taken in."""

from __future__ import annotations

from pathlib import Path

import click

from ccdr.cli.ledger.taken import taken
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem


@verb(short_help="Take in the ledgers of other hosts.")
@click.argument("directories", metavar="DIR...", nargs=-1, required=True)
def collect(directories: tuple[str, ...]) -> Exit:
    """Take in the ledgers of other hosts: copies of their state directories, of `ledger/` in them, or packages of all
    of it (`ccdr ledger export`).

    Each is verified, compared with what the snapshots known here attest of it, and kept read-only in STATE/ledgers/ID.
    From then on every command reads it with this host's as one population. One that does not verify, is shorter than
    what is here of it, or another chain under the same id, is refused: exit 1.

    \b
    Examples:
      ccdr ledger collect /mnt/db1/var/lib/ccdr /mnt/db2/var/lib/ccdr
    """
    from ccdr.jobs.attest.beside import collect as take_in

    options = settings()
    services = options.services()
    for directory in directories:
        if not Path(directory).is_dir():
            raise UsageProblem(f"there is no directory {directory}")
    return taken([take_in(Path(directory), services) for directory in directories])
