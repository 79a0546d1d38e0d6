"""`ccdr schema`."""

from __future__ import annotations

import click

from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem


@verb(short_help="Print the JSON Schema of what a command prints with --json.")
@click.argument("command", nargs=-1)
def schema(command: tuple[str, ...]) -> Exit:
    """Print the JSON Schema (2020-12) of what COMMAND prints with --json; without COMMAND, the list of commands.

    Plan files have theirs in `ccdr plan schema`, the ledger's records in `ccdr ledger schema`.

    \b
    Examples:
      ccdr schema
      ccdr schema status > status.schema.json
      ccdr schema plan check
      ccdr schema --json > all.json
    """
    from ccdr.cli.documents import OUTPUTS, output_schema

    named = " ".join(command)
    if named and named not in OUTPUTS:
        raise UsageProblem(f"no command {named!r} prints JSON", hint=f"one of: {', '.join(OUTPUTS)}")
    if named:
        print_json(output_schema(named))
    elif settings().json:
        print_json({"schemas": {name: output_schema(name) for name in OUTPUTS}})
    else:
        for name in OUTPUTS:
            click.echo(name)
    return Exit.OK
