"""`ccdr ledger export`: the live ledger, for others to verify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.cli.settings import Settings
    from ccdr.jobs.services import Services

CONTROLS = "controls.json"


@verb(short_help="Copy the live ledger, for others to verify.")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
def export(directory: Path) -> Exit:
    """Copy the live ledger, with its id, into DIR, which must be empty or not there: `ccdr ledger verify DIR` verifies
    it. In DIR/schemas lies the JSON Schema of each kind of record; DIR/controls.json is what `ccdr controls --json`
    says of it now.

    \b
    Examples:
      ccdr ledger export /mnt/auditor/export
    """
    from ccdr.jobs.attest.taking_in import exported

    options = settings()
    services = options.services()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UsageProblem(f"{directory} is not an empty directory", hint="name one that is not there yet")
    verification = exported(services, directory)
    _controls(options, services, directory)
    if options.json:
        print_json({"directory": str(directory), "ledger": services.lineage().ledger, "records": verification.records})
    else:
        click.echo(f"{so_many(verification.records, 'record')} in {directory}")
    return Exit.FINDING if verification.problems else Exit.OK


def _controls(options: Settings, services: Services, directory: Path) -> None:
    """What the ledger shows of the twelve measures, beside it. The ledger itself is given away without plans, too."""
    import orjson

    from ccdr.host.files import write_durably
    from ccdr.jobs.in_force import as_recorded
    from ccdr.telling.controls import Asked, controls

    try:
        loaded, _ = options.load_all(())
        histories = services.histories()
        judged = [one.loaded for one in as_recorded(loaded, histories, services) if one.loaded]
        found = controls(judged, services, histories, Asked.beside(options.plans))
        write_durably(directory / CONTROLS, orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2).decode() + "\n")
    except CcdrError as error:
        click.echo(f"ccdr: {CONTROLS} is not in the export: {error}", err=True)
