"""Defence against cyber-threats: does what is backed up still look like what it was?"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.parts.shared import FAILING, LACKING, LATE, PRESENT, first_of
from ccdr.evidence.controls.values import Observed, behind, by_problem
from ccdr.model.trouble import Trouble
from ccdr.model.values import so_many, to_the_second

_COMPARED = 3  # backups: with fewer before it none is judged by how it has grown


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
