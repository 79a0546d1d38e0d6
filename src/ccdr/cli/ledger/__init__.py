"""The evidence: shown (`ccdr ledger show`), verified, exported, brought back, and other hosts' taken in. A command, a
file; `verified.py` is what several of them tell.
"""

from __future__ import annotations

import click

from ccdr.cli.ledger import checkpoint, export, key, other_ledgers, proof, schema, show, verify
from ccdr.cli.verbs import EXIT_STATUS


@click.group(epilog=EXIT_STATUS)
def ledger() -> None:
    """The evidence: every run's start and end, chained by hash."""


for _verb, _name in (
    (show.show, "show"),
    (verify.verify, "verify"),
    (schema.schema, "schema"),
    (checkpoint.checkpoint, "checkpoint"),
    (key.key, "key"),
    (proof.proof, "proof"),
    (export.export, "export"),
    (other_ledgers.recover, "recover"),
    (other_ledgers.collect, "collect"),
):
    ledger.add_command(_verb, _name)
