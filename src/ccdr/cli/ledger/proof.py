"""`ccdr ledger proof`: one restore test, for one client's auditor."""

from __future__ import annotations

import os
from pathlib import Path

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import so_many


@verb(short_help="Prove one run's record, and disclose no other.")
@click.argument("run")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--records", type=click.IntRange(1), help="By the checkpoint of so many records: the one that its reader holds."
)
def proof(run: str, directory: Path, records: int | None) -> Exit:
    """Prove the record with which RUN ended, in DIR, which must be empty or not there: the record, its inclusion proof
    with the checkpoint that it leads to (C2SP tlog-proof), and the receipts of that checkpoint's anchors.

    Nothing of any other record is in it but hashes. `ccdr ledger verify DIR` verifies it, with the public key and a
    checkpoint that its reader had by another way.

    \b
    Examples:
      ccdr ledger proof 20261124T023000-3f2a1c /mnt/auditor/proof
      ccdr ledger proof 20261124T023000-3f2a1c /mnt/auditor/proof --records 5210
    """
    from ccdr.evidence.checkpoints.names import ANCHORS
    from ccdr.evidence.checkpoints.proof import PROOF, RECORD
    from ccdr.host.files import write_durably
    from ccdr.jobs.checkpoints.creation import prove

    options = settings()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageProblem(f"{directory} is not an empty directory", hint="name one that is not there yet")
    proven = prove(options.services(), run, records)
    made = proven.proof
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(directory / RECORD, made.line)
        for receipt in proven.receipts:
            (directory / ANCHORS).mkdir(mode=0o700, exist_ok=True)
            write_durably(directory / ANCHORS / receipt.name, receipt.read_bytes())
        write_durably(directory / PROOF, made.contents)
    except OSError as error:
        raise CcdrError(f"{directory} cannot be written: {os.strerror(error.errno or 0)}", hint="make room") from None
    if options.json:
        body = {"directory": str(directory), "run": run, "kind": proven.kind, "record": made.index + 1}
        print_json({**body, "checkpoint": made.checkpoint.size, "anchors": len(proven.receipts)})
        return Exit.OK
    anchors = so_many(len(proven.receipts), "receipt of an anchor", "receipts of anchors")
    click.echo(f"record {made.index + 1}, {proven.kind} of {run}, in {directory}")
    click.echo(f"  by the checkpoint of {so_many(made.checkpoint.size, 'record')}, with {anchors}")
    click.echo(f"  → whoever gets it: `ccdr ledger verify {directory} --pin KEY --anchor CHECKPOINT`")
    return Exit.OK
