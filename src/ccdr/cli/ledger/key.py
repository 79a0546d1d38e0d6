"""`ccdr ledger key`: the key that signs this ledger's checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    from ccdr.jobs.checkpoints.creation import Recorded


@click.group(epilog=EXIT_STATUS, short_help="The key that signs the ledger's checkpoints.")
def key() -> None:
    """The key that signs this ledger's checkpoints (Ed25519). An auditor pins its public half once, by a way that is
    not this host's: a checkpoint that another key signed is a finding from then on."""


@verb(short_help="Make the ledger's first key.")
@click.option("--lost", is_flag=True, help="The key of before is lost: nobody hands over to the new one.")
def create(lost: bool) -> Exit:
    """Make the ledger's first key, in STATE/keys/ledger, mode 0600, and record it.

    Where the key of before is lost, `--lost` makes another. Nothing shows then that the same people have it: whoever
    pinned the old one pins the new one, too.

    \b
    Examples:
      ccdr ledger key create
      ccdr ledger key create --lost
    """
    from ccdr.jobs.checkpoints.creation import create as make

    return _made(make(settings().services(), lost=lost))


@verb(short_help="Replace the key; the old one hands over.")
def rotate() -> Exit:
    """Replace the key by a new one. Both sign that, in a record: whoever pinned the old one follows. The old one is
    destroyed.

    \b
    Examples:
      ccdr ledger key rotate
    """
    from ccdr.jobs.checkpoints.creation import rotate as replace

    return _made(replace(settings().services()))


@verb(short_help="Print the public key, for your auditor.")
@click.option("--pem", is_flag=True, help="As PEM, for openssl.")
def show(pem: bool) -> Exit:
    """Print the public key, for your auditor to pin: a line as `ccdr ledger verify --pin` takes it, and its
    fingerprint, to be read over the telephone.

    \b
    Examples:
      ccdr ledger key show
      ccdr ledger key show --pem > ledger.pem
    """
    from ccdr.evidence.checkpoints.keys import keys_in
    from ccdr.evidence.records import LedgerKey
    from ccdr.jobs.checkpoints.creation import private_of

    options = settings()
    services = options.services()
    newest_first = list(services.ledger.newest(LedgerKey))
    keys, _ = keys_in(reversed(newest_first), services.lineage().ledger)
    if not keys:
        raise UsageProblem("no key signs this ledger's checkpoints", hint="`ccdr ledger key create` makes one")
    newest = keys[-1].key
    here = private_of(services.state, newest) is not None
    if options.json:
        listed = [{"key": str(k.key), "fingerprint": k.key.fingerprint, "from_record": k.seq} for k in keys]
        print_json({"key": str(newest), "fingerprint": newest.fingerprint, "here": here, "keys": listed})
    elif pem:
        click.echo(newest.pem, nl=False)
    else:
        click.echo(str(newest))
        rows = [(one.key.id, str(one.seq), one.key.fingerprint) for one in keys]
        table(("key", "from record", "fingerprint: SHA-256 of the public key, DER"), rows)
        if not here:
            click.echo("ccdr: its private half is not in the state directory: nothing can be signed", err=True)
    return Exit.OK


def _made(made: Recorded) -> Exit:
    if settings().json:
        body = {"key": str(made.key), "fingerprint": made.key.fingerprint}
        print_json({**body, "replaces": made.replaces and str(made.replaces), "record": made.record.as_json()})
        return Exit.OK
    click.echo(str(made.key))
    click.echo(f"  fingerprint {made.key.fingerprint}, from record {made.record.seq} on")
    click.echo(
        "  → give both to your auditor, by a way that is not this host's: `ccdr ledger verify --pin` takes either"
    )
    return Exit.OK


for _verb, _name in ((create, "create"), (rotate, "rotate"), (show, "show")):
    key.add_command(_verb, _name)
