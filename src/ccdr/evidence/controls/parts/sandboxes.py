"""Where restored data lay, and how it was shut off: as Docker told of each sandbox once it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.evidence.attested import ATTESTATION
from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.attested import attests, stated_by
from ccdr.evidence.controls.parts.shared import CONTRADICTED, EXPIRED, NOTHING, SHOWN, STATED
from ccdr.evidence.controls.values import Observed, RecordBehind, behind
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.coverage import STALE
from ccdr.evidence.verdicts import Record
from ccdr.model.values import rfc3339, so_many, to_the_second

_SAFE = ("memory", "encrypted")
_FETCHED = {
    "memory": "fetched into memory",
    "encrypted": "fetched onto an encrypted disk",
    "plain": "fetched onto a disk that this host does not encrypt",
    "unknown": "fetched onto a disk of which this host cannot see whether it is encrypted",
}
_RESTORED = {"": "there", "memory": "in memory", "disk": "on this host's disk"}
_AGAIN = "ccdr test {} --asset {}   records it"
_ENCRYPT = "put STATE/scratch on tmpfs or on an encrypted volume (LUKS), or `ccdr attest disk-encryption`"


def _tested(known: Known) -> Iterator[tuple[PlanKnown, AssetStatus, Record | None, Mapping[str, Any]]]:
    """Each asset's newest test that has a verdict, and its sandbox."""
    for plan, asset in known.assets:
        test = known.history(plan.name, asset.asset).last_conclusive_test
        yield plan, asset, test, (test or {}).get("sandbox") or {}


def sandboxes_of(test: Record | None) -> list[Mapping[str, Any]]:
    """The sandbox of a test, and those of what was restored beside it, as far as there were any."""
    told = [] if test is None else [test, *(test.get("others") or ())]
    return [box for box in (one.get("sandbox") or {} for one in told) if box.get("image") is not None]


def _open(test: Record | None) -> list[Mapping[str, Any]]:
    """Those of them that were not shut off as far as they tell."""
    return [box for box in sandboxes_of(test) if box.get("differs") or box.get("network") not in (None, "none")]


def storage(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: every place where restored data lay in plain is as safe as its disk."""
    for plan, asset, test, box in _tested(known):
        where, last = (plan.name, asset.asset, behind(test)), asset.last_test
        if left := [one for one in (last, test) if one and (one.get("disposal") or {}).get("left_behind")]:
            text = "its last restore test left data behind"
            yield Observed(CONTRADICTED, text, plan.name, asset.asset, behind(left[0]), "ccdr sandbox reap")
        elif test is None:
            yield Observed(NOTHING, "no restore test tells where its data lay", *where)
        elif asset.coverage == STALE:
            yield Observed(EXPIRED, "its last restore test is too old to tell", *where)
        else:
            yield _lay(known, plan, asset, test, box)


def _lay(known: Known, plan: PlanKnown, asset: AssetStatus, test: Record, box: Mapping[str, Any]) -> Observed:
    """What was fetched, and what ran in sandboxes, beside it among them."""
    where, scratch = (plan.name, asset.asset), test.get("scratch")
    if not scratch:
        text, step = "its last restore test does not tell where what it fetched lay", _AGAIN.format(*where)
        return Observed(NOTHING, text, *where, behind(test), step)
    others = [one.get("sandbox") or {} for one in test.get("others") or ()]
    boxes = {one["storage"] for one in (box, *others) if one.get("storage") is not None}
    on, device = scratch.get("filesystem") or "a file system that this host does not tell of", scratch.get("device")
    on += f", device {device}" if device else ""
    fetched = f"{_FETCHED[scratch['kept']]} ({on})"
    text = f"{fetched}; restored {_RESTORED[min(boxes, default='')]}; and removed, on {to_the_second(test['time'])}"
    if scratch["kept"] in _SAFE and "disk" not in boxes:
        return Observed(SHOWN, text, *where, behind(test))
    if (said := attests("disk-encryption", known, str(test["host"]))) is not None:
        text += f"; that it is encrypted below, where this host cannot see it, is {(by := stated_by(said))}"
        record = RecordBehind(said.seq, rfc3339(said.made), ATTESTATION)
        return Observed(STATED, text, *where, (record, *behind(test)), stated=by)
    return Observed(NOTHING, text, *where, behind(test), _ENCRYPT)


def isolation(known: Known) -> Iterator[Observed]:
    """Each asset's newest test: was its sandbox as it was asked for, and each beside it? Where one was not, the test
    ends without a verdict."""
    for plan, asset, test, box in _tested(known):
        where, boxes = (plan.name, asset.asset, behind(test)), sandboxes_of(test)
        if (last := next((one for one in (asset.last_test, test) if _open(one)), None)) is not None:
            facts = dict.fromkeys(str(one.get("fact")) for of in _open(last) for one in of.get("differs") or ())
            text = f"its sandbox was not shut off as it was asked for: {', '.join(facts) or 'network'}"
            yield Observed(CONTRADICTED, text, plan.name, asset.asset, behind(last))
        elif test is None or any(one.get("network") is None for one in boxes):
            yield Observed(NOTHING, "no restore test tells of its sandbox", *where)
        elif asset.coverage == STALE:
            yield Observed(EXPIRED, "its last restore test is too old to tell", *where)
        elif not boxes and test["verdict"] != "PASS":
            yield Observed(NOTHING, "its last restore test ended before there was a sandbox, if it needs one", *where)
        elif box.get("image") is None:
            yield Observed(SHOWN, "its restore test needed no sandbox: nothing of what was restored was run", *where)
        else:
            limits = so_many(len(box.get("unlimited") or ()), "limit")
            more = f"; this kernel lacks {limits}" if box.get("unlimited") else ""
            text = f"no network, {box.get('root')} root, capabilities: {box.get('capabilities')}{more}"
            yield Observed(SHOWN, text, *where)
