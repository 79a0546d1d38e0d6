"""`ccdr ledger schema`: the JSON Schema of each kind of record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
    pass


@verb(short_help="Print the JSON Schema of each kind of record.")
@click.argument("kind", required=False)
def schema(kind: str | None) -> Exit:
    """Print the JSON Schema (2020-12) of a KIND of record, as this ccdr writes it; without KIND, the list of them.

    \b
    Examples:
      ccdr ledger schema
      ccdr ledger schema restore_test.end > restore_test.end.json
      ccdr ledger schema --json > all.json
    """
    from ccdr.evidence.records import VERSIONS
    from ccdr.evidence.records.schema import schema_of, schemas

    if kind is not None and kind not in VERSIONS:
        raise UsageProblem(f"there is no kind of record {kind!r}", hint=f"one of: {', '.join(VERSIONS)}")
    if kind is not None:
        print_json(schema_of(kind))
    elif settings().json:
        print_json({"schemas": schemas()})
    else:
        rows = [(name, str(VERSIONS[name]), str(described["description"])) for name, described in schemas().items()]
        table(("kind", "version", "what it tells"), rows)
    return Exit.OK
