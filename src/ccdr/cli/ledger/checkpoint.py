"""`ccdr ledger checkpoint`: sign what the ledger is now."""

from __future__ import annotations

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit
from ccdr.model.values import so_many


@verb(short_help="Sign what the ledger is now.")
@click.option("--print-anchors", is_flag=True, help="Print an anchors.yaml, to be copied and edited, and stop.")
def checkpoint(print_anchors: bool) -> Exit:
    """Sign what the ledger is now: its number of records, and one hash that stands for all of them (C2SP
    tlog-checkpoint). `ccdr run` does that each hour, and at once after a FAIL or a breach.

    Whoever keeps a checkpoint elsewhere can tell later whether a record before it was changed. It is in
    STATE/checkpoints, and printed.

    \b
    Examples:
      ccdr ledger checkpoint
      ccdr ledger checkpoint | mail -s checkpoint auditor@example.com
    """
    from ccdr.jobs.checkpoints.making import make
    from ccdr.plans.anchors import example

    if print_anchors:
        click.echo(example(), nl=False)
        return Exit.OK

    options = settings()
    made = make(options.services())
    checkpoint = made.checkpoint
    if options.json:
        body = {"origin": checkpoint.origin, "records": checkpoint.size, "root": checkpoint.root.hex()}
        print_json({**body, "note": str(checkpoint.note), "new": made.new, "path": str(made.path)})
        return Exit.OK
    click.echo(str(checkpoint.note), nl=False)
    how = "signed" if made.new else "signed before, and no record came since"
    click.echo(f"ccdr: {so_many(checkpoint.size, 'record')} {how}: {made.path}", err=True)
    return Exit.OK
