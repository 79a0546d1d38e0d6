"""Defence against cyber-threats: does what is backed up still look like what it was?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import (
    CONTRADICTED,
    EXPIRED,
    LOOKED_AT,
    NOTHING,
    SHOWN,
    elsewhere,
    failed_before,
    first_of,
    taken_out,
)
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.history.kinds import LOCK_EXTENDED
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.leaps import LEARNING
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second, utc
from ccdr.plans.copies import kept_locked

_EXTEND = "ccdr lock extend {}   does it now; `ccdr run` does it once a day, on the host that has the credential"


def object_locks(known: Known) -> Iterator[Observed]:
    """What each repository in a bucket is made of, kept locked for as long as the plan says."""
    for plan in known.plans:
        there = kept_locked(plan.loaded)
        for name in there:
            yield _locked(known, plan, name)
        if not there:
            step = "add `lock:` to a repository in a bucket: docs/how-to/keys.md"
            yield Observed(
                NOTHING, "nothing keeps what is in use locked (`lock:` of a repository)", plan.name, step=step
            )


def _locked(known: Known, plan: PlanKnown, name: str) -> Observed:
    newest, done = (known.history(plan.name).newest.get(f"{LOCK_EXTENDED}.{name}{end}") for end in ("", ".done"))
    wrong = [p for p in plan.care if p.about == name]
    if short := first_of(wrong, (Trouble.OBJECTS_OVERWRITTEN, Trouble.LOCK_SHORT)):
        return by_problem(CONTRADICTED, short, plan.name, None, newest)
    if done is None:
        text = f"nobody has pushed the locks of {name} forward"
        return Observed(NOTHING, text, plan.name, None, behind(newest), _EXTEND.format(plan.name))
    at = to_the_second(done["time"])
    if known.now - utc(done["time"]) > LOOKED_AT:
        text = f"the locks of {name} were last pushed forward on {at}"
        return Observed(EXPIRED, text, plan.name, None, behind(done), _EXTEND.format(plan.name))
    if (moved := elsewhere(known, plan.name, name, done, _EXTEND.format(plan.name))) is not None:
        return moved
    what_is_there = f"ccdr snapshots {plan.name}   says what is there"
    if not done["objects"]:
        text = f"nothing of {name} was in use on {at}: it is empty, or all of it is hidden by deletes"
        return Observed(NOTHING, text, plan.name, None, behind(done), what_is_there)
    in_use = f"{name}: {so_many(done['objects'], 'object')} in use"
    if done.get("holds_until") is None:
        return Observed(NOTHING, f"{in_use}, locked nobody knows until when", plan.name, None, behind(done))
    text = f"{in_use}, locked until {to_the_second(done['holds_until'])} at least"
    return Observed(SHOWN, text, plan.name, None, behind(done))


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
        return by_problem(CONTRADICTED, suspect, *where, history.suspect)
    seen = (good or {}).get("canaries") or {}
    there = [name for name, digest in seen.items() if digest]
    compared = len(history.grown) > LEARNING and (good or {}).get("growth") is not None
    if good is None or not (compared or there):
        text = f"it has no canary, and fewer than {LEARNING} backups before the newest to compare that one with"
        if len(history.grown) > LEARNING:
            text = "it has no canary, and restic counts nothing of what its newest backup is made of"
        return Observed(NOTHING, text, *where, behind(good))
    named = plan.loaded.plan.assets[asset.asset].canaries
    if absent := [name for name in named if name not in there]:
        text = f"no backup has found the canary {', '.join(absent)}: nothing is compared with it"
        return Observed(NOTHING, text, *where, behind(good), "look at its path, or its query, in the plan")
    if late := first_of(asset.troubles, (Trouble.BACKUP_LATE,)):
        return by_problem(EXPIRED, late, *where, good)
    canaries = so_many(len(there), "canary", "canaries")
    leaps_ = "does not leap" if compared else "has nothing to be compared with"
    text = f"the backup of {to_the_second(good['time'])} {leaps_}; {canaries} as they are to be"
    return Observed(SHOWN, text, *where, behind(good))
