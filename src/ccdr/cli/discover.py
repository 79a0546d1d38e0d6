"""`ccdr discover`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.progress import progress
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.host.state_files import plain
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import human_bytes

if TYPE_CHECKING:
    from ccdr.setup.discover.unprotected import Discovered


@verb(short_help="What do the plans leave out? What was never tested?")
@click.argument("names", metavar="[PLAN]...", nargs=-1)
def discover(names: tuple[str, ...]) -> Exit:
    """What do the plans leave out, and what was never tested?

    Asks every server that a plan names, and those on this host, for databases that no plan names, and looks beside
    every directory for others with audio in them, and for SQLite databases. It reads names and sizes, and changes
    nothing. With PLANs, only around those. What needs no backup stands in a plan: `ignore: [scratch, /var/spool/old]`.

    \b
    Examples:
      ccdr discover
      ccdr discover outbound --json
    """
    from ccdr.plans import plan_names
    from ccdr.setup.discover.unprotected import discover as look_around

    options = settings()
    every = [options.load(name) for name in plan_names(options.plans)]
    if not every:
        raise UsageProblem(f"there is no plan in {options.plans}", hint="write one with `ccdr init URL|PATH…`")
    chosen = [options.load(name) for name in names] or every
    with progress() as watched:
        discovered = look_around(every, chosen, options.services(), watched, this_host=not names)
    if options.json:
        print_json(plain(discovered))
    else:
        _tell(discovered)
    return discovered.exit_code


def _tell(discovered: Discovered) -> None:
    if discovered.unprotected:
        click.echo("In no plan:")
        rows = [
            (u.kind, u.name, "?" if u.bytes is None else human_bytes(u.bytes), u.server) for u in discovered.unprotected
        ]
        table(("kind", "name", "size", "where"), rows)
        click.echo("→ add an asset for it to a plan, or write one (ccdr init URL|PATH), or name it in `ignore:`\n")
    for untested in discovered.untested:
        click.echo(f"{word('untested')}  {untested.plan}/{untested.asset}: {untested.why}")
    for unreachable in discovered.unreachable:
        click.echo(f"{word('unknown')}  {unreachable.server}: {unreachable.why}")
    if discovered.exit_code == Exit.OK:
        click.echo("everything found is in a plan, and every asset was tested")
