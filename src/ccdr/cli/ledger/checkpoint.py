"""`ccdr ledger checkpoint`: sign what the ledger is now, and have it anchored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from msgspec import to_builtins

from ccdr.cli.output import print_json, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.checkpoints.creation import Made
    from ccdr.telling.anchoring import AnchorMade


@verb(short_help="Sign what the ledger is now, and anchor it.")
@click.option("--no-anchors", is_flag=True, help="Sign it, and give it to nobody.")
@click.option("--print-anchors", is_flag=True, help="Print an anchors.yaml, to be copied and edited, and stop.")
def checkpoint(no_anchors: bool, print_anchors: bool) -> Exit:
    """Sign what the ledger is now: its number of records, and one hash that stands for all of them (C2SP
    tlog-checkpoint). `ccdr run` does that each hour, and at once after a FAIL or a breach.

    Then each anchor of anchors.yaml, beside the plans, is given the checkpoint: whoever keeps one elsewhere can tell
    later whether a record before it was changed. It is in STATE/checkpoints, and printed. Exits 3 where it is signed,
    and an anchor could not be made.

    \b
    Examples:
      ccdr ledger checkpoint
      ccdr ledger checkpoint --no-anchors | mail -s checkpoint auditor@example.com
      ccdr ledger checkpoint --print-anchors > anchors.yaml
    """
    from ccdr.jobs.checkpoints.creation import make
    from ccdr.plans.anchors import anchors_beside, example
    from ccdr.telling.anchoring import anchor_newest, note_configured

    if print_anchors:
        click.echo(example(), nl=False)
        return Exit.OK
    options = settings()
    services = options.services()
    anchors = () if no_anchors else tuple(anchors_beside(options.plans))  # first: what is wrong there is told at once
    if not no_anchors:
        note_configured(anchors, services, services.lineage())
    lineage = services.lineage()
    made = make(services, lineage)
    outcomes = anchor_newest(anchors, services, lineage, every=True)
    if options.json:
        print_json(_document(made, outcomes))
    else:
        _tell(made, outcomes)
    if len(outcomes) < len(anchors):
        click.echo("ccdr: another process is at the anchors now: `ccdr status` shows what came of it", err=True)
    failed = any(one.why is not None for one in outcomes) or len(outcomes) < len(anchors)
    return Exit.NOT_CARRIED_OUT if failed else Exit.OK


def _document(made: Made, outcomes: Sequence[AnchorMade]) -> dict[str, object]:
    checkpoint = made.checkpoint
    return {
        "origin": checkpoint.origin,
        "records": checkpoint.size,
        "root": checkpoint.root.hex(),
        "note": str(checkpoint.note),
        "new": made.new,
        "path": str(made.path),
        "anchors": to_builtins(outcomes),
    }


def _tell(made: Made, outcomes: Sequence[AnchorMade]) -> None:
    """The note alone on standard output: that is what others keep."""
    click.echo(str(made.checkpoint.note), nl=False)
    how = "signed" if made.new else "signed before, and no record came since"
    click.echo(f"ccdr: {so_many(made.checkpoint.size, 'record')} {how}: {made.path}", err=True)
    for one in outcomes:
        what = word("FAILED") + f": {one.why}" if one.why else f"holds it since {one.at:%Y-%m-%d %H:%M} UTC"
        click.echo(f"ccdr: anchor {one.name} ({one.kind}): {what}", err=True)
