"""`ccdr ledger recover`: a lost ledger, brought back from repositories."""

from __future__ import annotations

import click

from ccdr.cli.ledger.taken import taken
from ccdr.cli.settings import settings
from ccdr.cli.trouble import tell_error
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, worst
from ccdr.model.values import so_many


@verb(short_help="Bring a lost ledger back from repositories.")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
@click.option(
    "--ledger",
    "said",
    metavar="ID",
    help="This one, by the beginning of its id, is of the host that this one stands in for, and is lost.",
)
def recover(names: tuple[str, ...], said: str | None) -> Exit:
    """Bring a lost ledger back from the repositories of PLAN... (of all), where it is stored daily.

    It is put beside the new one, read-only, linked to it by a record, and read with it; reports tell of it for a year.
    What it holds is compared with what the snapshots attest of it first. Records from after it was last stored are
    lost: how many is said, as far as snapshots tell. One that was collected before (`ccdr ledger collect`) is linked
    without asking.

    A new host, or a state directory at another path, knows of no ledger before it. Where repositories hold some of
    others, this names them, and brings back the one that you say was lost (--ledger). That is recorded.

    \b
    Examples:
      ccdr ledger recover
      ccdr ledger recover outbound
      ccdr ledger recover outbound --ledger b465c9bf    after the host that had it is lost
    """
    from ccdr.jobs.attest.recovering import recover as bring_back

    options = settings()
    plans, wrong = options.load_all(names)
    for error in wrong:
        click.echo(f"ccdr: {error}", err=True)
    services = options.services()
    recovered, failed = bring_back(plans, services, said)
    code = worst([error.exit_code for error in failed])
    if options.json:
        taken(recovered, failed)
    for one in () if options.json else recovered:
        where = f"from the repository of {one.source}" if one.source else "from a copy that was collected here"
        until = f", up to {one.until[:16].replace('T', ' ')} UTC" if one.until else ""
        count = one.lost.of_these(one.records) if one.lost else so_many(one.records, "record")
        click.echo(f"recovered the lost ledger {one.ledger[:8]}… {where}: {count}{until}")
        click.echo(f"  it is in {one.directory}, read-only; every command reads it together with the new one")
        if one.record is not None:
            click.echo(f"  record {one.record.seq} of the new ledger links it: reports show the loss for a year")
        if one.missing:
            lost = so_many(one.missing, "record is", "records are")
            click.echo(f"  at least {lost} lost: what was written after it was stored; the backups of then are there")
    if not options.json:
        click.echo(
            "  → `ccdr ledger verify --repository` compares both with the snapshots; `ccdr status` judges by both"
        )
    for why in failed:
        tell_error(why, in_json=False)
    return code
