"""A source that began anew: recovered to a moment, failed over, or another one by the plan. What was proven of the one
before says little of it: a backup of it, and a restore test of that, are due at once, whatever their schedules say.
Values in, values out.
"""

from __future__ import annotations

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset_status import conclusive
from ccdr.evidence.verdicts import other_source
from ccdr.model.values import Verb
from ccdr.plans.job import Job


def due_at_once(job: Job, history: AssetHistory, verb: Verb) -> bool:
    """Only where the plan schedules such work at all, and something was backed up, or recovered, before."""
    planned = job.engine.backup if verb is Verb.BACKUP else job.engine.restore_test
    if planned is None:
        return False
    if history.last_good_backup is None:  # recovered on a host that has backed nothing up yet
        return verb is Verb.BACKUP and history.awaits_base
    another = other_source(history.last_good_backup, job.engine.source_name)
    if verb is Verb.BACKUP:
        return another or history.awaits_base
    if another or history.awaits_base:
        return False  # there is nothing of it yet
    other_tested = history.last_conclusive_test is not None and conclusive(job, history) is None
    return other_tested or history.awaits_proof
