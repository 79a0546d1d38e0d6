"""Where the anchors stand now, from the ledger and anchors.yaml alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.judgement.anchors import AnchorAsked, AnchorsStanding
from ccdr.evidence.judgement.anchors import standing as judged
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.lineage.anchored import ANCHORED, Anchoring
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.jobs.services import Services
from ccdr.model.errors import PlanInvalid, UsageProblem
from ccdr.model.values import utc
from ccdr.plans import LoadedPlan
from ccdr.plans.anchors import BESIDE, SLACK, anchors_beside
from ccdr.telling.anchoring.making import tries


def plans_of(plans: Iterable[LoadedPlan]) -> Path | None:
    """The directory of these plans."""
    return next((loaded.path.parent for loaded in plans), None)


def standing(plans: Path | None, services: Services, lineage: Lineage) -> AnchorsStanding:
    """By the file beside the directory of plans; where that is wrong, or there is none (None), by what was recorded.
    CcdrError where the ledger cannot be read."""
    mistake, known = None, lineage.anchoring
    asked = _recorded(known)
    try:
        if plans is not None:
            asked = [
                AnchorAsked(one.name, one.kind, one.interval, one.overdue_after, one.where_sha256)
                for one in anchors_beside(plans)
            ]
    except PlanInvalid as error:
        first = error.problems[0]
        mistake = f"{BESIDE} is wrong, and nothing is anchored: line {first.line}: {first.message}"
    except UsageProblem as error:
        mistake = f"{BESIDE} cannot be read, and nothing is anchored: {error}"
    now = services.clock.now()
    sizes = {one.name: last.size if (last := known.last.get(one.name)) else 0 for one in asked}
    waits = _waiting(services.ledger, set(sizes.values())) if known.key is not None else {}
    since = {name: waits.get(size) for name, size in sizes.items()}
    found = judged(asked, known, now, since, dict(tries(services, lineage)) if asked else {})
    return replace(found, mistake=mistake)


def _recorded(known: Anchoring) -> list[AnchorAsked]:
    return [
        AnchorAsked(one.name, one.kind, every := timedelta(seconds=one.every), 2 * every + SLACK, one.where_sha256)
        for one in known.configured
    ]


def _waiting(ledger: Ledger, sizes: set[int]) -> dict[int, datetime | None]:
    """By size: of when the first record behind it is that is to be anchored: of one that says that something was
    anchored there is no need."""
    numbered, found = ledger.numbering(), dict[int, datetime | None]()
    for size in sizes:
        seq = size + 1
        while (record := numbered(seq)) is not None and record["kind"] == ANCHORED:
            seq += 1
        found[size] = None if record is None else utc(record["time"])
    return found
