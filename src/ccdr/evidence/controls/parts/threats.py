"""Defence against cyber-threats: does what is backed up still look like what it was?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known, PlanKnown
from ccdr.evidence.controls.parts.shared import FAILING, LACKING, LATE, LOOKED_AT, PRESENT, first_of
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.evidence.history.kinds import LOCK_EXTENDED
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second, utc
from ccdr.plans.copies import kept_locked

_EXTEND = "ccdr lock extend {}   does it now; `ccdr run` does it once a day, on the host that has the credential"
_COMPARED = 3  # backups: with fewer before it none is judged by how it has grown


def object_locks(known: Known) -> Iterator[Observed]:
    """What each repository in a bucket is made of, kept locked for as long as the plan says."""
    for plan in known.plans:
        there = kept_locked(plan.loaded)
        for name in there:
            yield _locked(known, plan, name)
        if not there:
            step = "add `lock:` to a repository in a bucket: docs/how-to/keys.md"
            yield Observed(
                LACKING, "nothing keeps what is in use locked (`lock:` of a repository)", plan.name, step=step
            )


def _locked(known: Known, plan: PlanKnown, name: str) -> Observed:
    newest, done = (known.history(plan.name).newest.get(f"{LOCK_EXTENDED}.{name}{end}") for end in ("", ".done"))
    wrong = [p for p in plan.care if p.about == name]
    if short := first_of(wrong, (Trouble.OBJECTS_OVERWRITTEN, Trouble.LOCK_SHORT)):
        return by_problem(FAILING, short, plan.name, None, newest)
    if done is None:
        text = f"nobody has pushed the locks of {name} forward"
        return Observed(LACKING, text, plan.name, None, behind(newest), _EXTEND.format(plan.name))
    at = to_the_second(done["time"])
    if known.now - utc(done["time"]) > LOOKED_AT:
        text = f"the locks of {name} were last pushed forward on {at}"
        return Observed(LATE, text, plan.name, None, behind(done), _EXTEND.format(plan.name))
    ends = f"locked until {to_the_second(done['holds_until'])} at least" if done.get("holds_until") else "none is there"
    return Observed(
        PRESENT, f"{name}: {so_many(done['objects'], 'object')} in use, {ends}", plan.name, None, behind(done)
    )


def leaps(known: Known) -> Iterator[Observed]:
    """Each asset's newest backup: looked at for what ransomware leaves."""
    for plan, asset in known.assets:
        history, where = known.history(plan.name, asset.asset), (plan.name, asset.asset)
        good = history.last_good_backup
        if suspect := first_of(asset.troubles, (Trouble.SNAPSHOT_SUSPECT,)):
            yield by_problem(FAILING, suspect, *where, history.suspect)
        elif good is None or (len(history.grown) < _COMPARED and not history.canaries):
            text = f"it has no canary, and fewer than {_COMPARED} backups to compare the next one with"
            yield Observed(LACKING, text, *where, behind(good))
        elif late := first_of(asset.troubles, (Trouble.BACKUP_LATE,)):
            yield by_problem(LATE, late, *where, good)
        else:
            canaries = so_many(len(history.canaries), "canary", "canaries")
            text = f"the backup of {to_the_second(good['time'])} does not leap; {canaries} as they are to be"
            yield Observed(PRESENT, text, *where, behind(good))
