"""Defence against cyber-threats: does what is backed up still look like what it was?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import FAILING, LACKING, LATE, PRESENT, failed_before, first_of, taken_out
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.leaps import LEARNING
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second


def leaps(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup: looked at for what ransomware leaves."""
    for plan, asset in known.assets:
        yield _leap(known, plan, asset)
    for name, out, history in taken_out(known):
        yield from failed_before(known, name, out, history.suspect, "a backup of it looked encrypted or emptied")


def _leap(known: Known, plan: PlanKnown, asset: AssetStatus) -> Observed:
    history, where = known.history(plan.name, asset.asset), (plan.name, asset.asset)
    good = history.last_good_backup
    if suspect := first_of(asset.troubles, (Trouble.SNAPSHOT_SUSPECT,)):
        return by_problem(FAILING, suspect, *where, history.suspect)
    seen = (good or {}).get("canaries") or {}
    there = [name for name, digest in seen.items() if digest]
    compared = len(history.grown) > LEARNING and (good or {}).get("growth") is not None
    if good is None or not (compared or there):
        text = f"it has no canary, and fewer than {LEARNING} backups before the newest to compare that one with"
        if len(history.grown) > LEARNING:
            text = "it has no canary, and restic counts nothing of what its newest backup is made of"
        return Observed(LACKING, text, *where, behind(good))
    named = plan.loaded.plan.assets[asset.asset].canaries
    if absent := [name for name in named if name not in there]:
        text = f"no backup has found the canary {', '.join(absent)}: nothing is compared with it"
        return Observed(LACKING, text, *where, behind(good), "look at its path, or its query, in the plan")
    if late := first_of(asset.troubles, (Trouble.BACKUP_LATE,)):
        return by_problem(LATE, late, *where, good)
    canaries = so_many(len(there), "canary", "canaries")
    leaps_ = "does not leap" if compared else "has nothing to be compared with"
    text = f"the backup of {to_the_second(good['time'])} {leaps_}; {canaries} as they are to be"
    return Observed(PRESENT, text, *where, behind(good))
