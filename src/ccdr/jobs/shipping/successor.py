"""A server that stands in the place of the one that was backed up: its backups and its log go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ccdr.evidence.history.kinds import RESTORE_END
from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog

RECOVERIES = ("restore.start", "recover.start")  # their run is the mark of the server that they made


def is_successor(
    job: Job, services: Services, identity: str | None, mark: str | None = None, log: ShippedLog | None = None
) -> bool:
    """Do records account for the server that answers by this identity? Its backups are known to be of it, as somebody
    agreed; or a recovery of this asset made it new (it bears this `mark`, or what its `log` derives from one), or
    restored onto it."""

    def told_by(record: Mapping[str, Any]) -> bool:
        if record["plan"] != job.plan or record.get("asset") not in (None, job.asset):
            return False
        if record["kind"] in RECOVERIES:
            made = log and log.made_new(str(record["run"]))
            return mark == record["run"] or (made is not None and made == identity)
        restored = record["kind"] == RESTORE_END and record["result"] == "RESTORED"
        return restored and identity is not None and record.get("server") == identity

    known = services.history(job).server
    return (known is not None and known == identity) or any(map(told_by, services.records()))
