"""`ccdr kit page`."""

from __future__ import annotations

from pathlib import Path

import click

from ccdr.cli.output import print_json, write_out
from ccdr.cli.settings import settings
from ccdr.cli.verbs import EXIT_STATUS, verb
from ccdr.model.errors import Exit
from ccdr.model.values import so_many


@click.group(epilog=EXIT_STATUS, short_help="What to keep elsewhere, to recover with nothing else.")
def kit() -> None:
    """What must lie elsewhere, so that a plan can be brought back when its host and its site are gone."""


@verb(short_help="A printable page: where URL, key and credentials lie.")
@click.argument("names", metavar="[PLAN...]", nargs=-1)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there.")
def page(names: tuple[str, ...], out: Path | None) -> Exit:
    """Print where each plan's repository, key and credentials lie, whom to phone, and the three commands that bring it
    back: one page of A4 a plan, to print and keep elsewhere.

    No value of a secret is on it. A fingerprint is the beginning of what `sha256sum FILE` prints; a secret that is
    short, and could be guessed by it, has none.

    \b
    Examples:
      ccdr kit page --out recovery.html
      ccdr kit page outbound --out outbound.html
      ccdr kit page --json
    """
    from ccdr.telling.kit import html, sheets

    options = settings()
    loaded, wrong = options.load_all(names)
    services = options.services()
    made = sheets(loaded)
    text = html(made, services.ledger.host, services.clock.now())
    if out is not None:
        write_out(out, text)
    if options.json:
        print_json({"plans": [sheet.as_json() for sheet in made], "out": str(out) if out else None})
    elif out is None:
        click.echo(text, nl=False)
    if out is not None:
        click.echo(f"ccdr: {out} has {so_many(len(made), 'page')}: print it, and keep it elsewhere", err=True)
    for error in wrong:
        click.echo(f"ccdr: {error}", err=True)
    return Exit.USAGE if wrong else Exit.OK


kit.add_command(page, "page")
