"""Where restored data lay, and how it was shut off: as Docker told of each sandbox once it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import FAILING, LACKING, LATE, PRESENT
from ccdr.evidence.controls.values import Observed, behind
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.coverage import STALE
from ccdr.evidence.verdicts import Record
from ccdr.model.values import so_many, to_the_second


def _tested(known: Known) -> Iterator[tuple[PlanKnown, AssetStatus, Record | None, Mapping[str, Any]]]:
    """Each asset's newest test that has a verdict, and its sandbox."""
    for plan, asset in known.assets:
        test = known.history(plan.name, asset.asset).last_conclusive_test
        yield plan, asset, test, (test or {}).get("sandbox") or {}


def storage(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: restored data that lies on a disk is as safe as that disk."""
    for plan, asset, test, box in _tested(known):
        where = plan.name, asset.asset, behind(test)
        if test is None or box.get("storage") is None:
            yield Observed(LACKING, "no restore test tells where its data lay", *where)
        elif (test.get("disposal") or {}).get("left_behind"):
            yield Observed(FAILING, "its last restore test left data behind", *where, "ccdr sandbox reap")
        elif asset.coverage == STALE:
            yield Observed(LATE, "its last restore test is too old to tell", *where)
        elif box["storage"] == "memory":
            yield Observed(PRESENT, f"restored in memory on {to_the_second(test['time'])}, and removed", *where)
        else:
            text = "restored on this host's disk, and removed: whether that is encrypted is for its owner to attest"
            yield Observed(LACKING, text, *where)


def isolation(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: was its sandbox as it was asked for?"""
    for plan, asset, test, box in _tested(known):
        where = plan.name, asset.asset, behind(test)
        if test is None or (box.get("image") is not None and box.get("network") is None):
            yield Observed(LACKING, "no restore test tells of its sandbox", *where)
        elif box.get("image") is not None and (box.get("differs") or box["network"] != "none"):
            facts = ", ".join(str(one.get("fact")) for one in box.get("differs") or ()) or "network"
            yield Observed(FAILING, f"its sandbox was not shut off as it was asked for: {facts}", *where)
        elif asset.coverage == STALE:
            yield Observed(LATE, "its last restore test is too old to tell", *where)
        elif box.get("image") is None:
            yield Observed(PRESENT, "its restore test needed no sandbox: nothing of what was restored was run", *where)
        else:
            limits = so_many(len(box.get("unlimited") or ()), "limit")
            more = f"; this kernel lacks {limits}" if box.get("unlimited") else ""
            text = f"no network, {box.get('root')} root, capabilities: {box.get('capabilities')}{more}"
            yield Observed(PRESENT, text, *where)
