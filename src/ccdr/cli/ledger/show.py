"""`ccdr ledger show`: the newest records."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem

if TYPE_CHECKING:
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
    options = settings()
    wanted = {"plan": plan, "asset": asset, "kind": kind}
    records = _ledger(options.services(), which).records()
    kept = deque((r for r in records if all(v is None or r.get(k) == v for k, v in wanted.items())), maxlen=last)
    if options.json:
        print_json({"records": list(kept)})
        return Exit.OK
    rows = [
        (
            str(r["seq"]),
            str(r["time"])[:19] + "Z",
            str(r["kind"]),
            "/".join(str(r[of]) for of in ("plan", "asset") if r.get(of)),
            word(str(r.get("verdict") or r.get("result") or "")),
            str(r.get("reason") or ""),
        )
        for r in kept
    ]
    table(("seq", "time", "kind", "asset", "result", "reason"), rows)
    return Exit.OK


def _ledger(services: Services, which: str | None) -> Ledger:
    """The live one, or another one that is here."""
    from ccdr.evidence.lineage.beside import reader
    from ccdr.jobs.attest.beside import others

    if which is None or (services.lineage().ledger or "").startswith(which or "-"):
        return services.ledger
    matching = [path for name, path in others(services.state) if name.startswith(which)]
    if len(matching) != 1:
        here = ", ".join(name for name, _ in others(services.state)) or "none"
        raise UsageProblem(
            f"{'no' if not matching else 'more than one'} ledger here is {which}…", hint=f"there is {here}"
        )
    return reader(matching[0])
