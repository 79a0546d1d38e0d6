"""`ccdr ledger show`: the newest records."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccdr.evidence.ledger.ledger import Ledger
    from ccdr.jobs.services import Services


@verb()
@click.option("--plan", help="Only records of this plan.")
@click.option("--asset", help="Only records of this asset.")
@click.option("--kind", help="Only records of this kind, such as restore_test.end.")
@click.option("--ledger", "which", metavar="ID", help="Another ledger that is here, by the beginning of its id.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest ones.")
def show(plan: str | None, asset: str | None, kind: str | None, which: str | None, last: int) -> Exit:
    """Show the newest records.

    \b
    Examples:
      ccdr ledger show
      ccdr ledger show --plan outbound --kind restore_test.end --json
      ccdr ledger show --ledger 3f2a    one that was collected, or brought back
    """
    from ccdr.evidence.records import of_mapping
    from ccdr.evidence.records.statements import kind_of

    options = settings()
    wanted = {"plan": plan, "asset": asset}
    kept: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=last)
    matching = 0
    for record in _ledger(options.services(), which).records():
        told = kind_of(of_mapping(record))
        right = kind is None or kind in (record["kind"], told)
        if right and all(value is None or record.get(key) == value for key, value in wanted.items()):
            kept.append((told, record))
            matching += 1
    if options.json:
        print_json({"records": [record for _, record in kept]})
        return Exit.OK
    rows = [
        (
            str(r["seq"]),
            str(r["time"])[:19] + "Z",
            str(r.get("actor") or ""),
            told,
            "/".join(str(r[of]) for of in ("plan", "asset") if r.get(of)),
            word(str(r.get("verdict") or r.get("result") or "")),
            str(r.get("reason") or ""),
        )
        for told, r in kept
    ]
    table(("seq", "time", "who", "kind", "asset", "result", "reason"), rows)
    if more := matching - len(kept):
        click.echo(f"{so_many(more, 'older record')} not shown: `--last {matching}` shows all, --json with every field")
    return Exit.OK


def _ledger(services: Services, which: str | None) -> Ledger:
    """The live one, or another one that is here."""
    from ccdr.evidence.lineage.comparison import reader
    from ccdr.jobs.attest.other_ledgers import others

    if which is None or (services.lineage().ledger or "").startswith(which or "-"):
        return services.ledger
    matching = [path for name, path in others(services.state) if name.startswith(which)]
    if len(matching) != 1:
        here = ", ".join(name for name, _ in others(services.state)) or "none"
        raise UsageProblem(
            f"{'no' if not matching else 'more than one'} ledger here is {which}…", hint=f"there is {here}"
        )
    return reader(matching[0])
