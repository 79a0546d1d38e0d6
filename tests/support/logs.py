"""A source's log, as the host that ships it writes down how far it is stored."""

from __future__ import annotations

from ccdr.evidence.log_standing import LogStanding, directory, write_standing
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from tests.support.sparse import append_sparse


def ships(services: Services, plan: str, asset: str, standing: LogStanding, *, recorded: bool = True) -> None:
    """It stands so by now, and the ledger was just told: no more is believed than what it was told of lately."""
    write_standing(directory(services.state, plan, asset), standing)
    if not recorded:
        return
    now, newest = services.clock.now(), standing.newest
    points = [[(at - now).total_seconds() for at in (newest.consistent, newest.usable)]] if newest else []
    body = {"since": rfc3339(now), "points": points, "snapshots": len(points), "added_bytes": 1, "gaps": []}
    append_sparse(
        services.ledger, "log.shipped", plan=plan, asset=asset, run="s", body={**body, "trouble": None, "findings": []}
    )
