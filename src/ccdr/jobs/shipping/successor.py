"""A server that ccdr itself made new in the place of the one that was backed up, or restored onto: its backups and its
log go on from there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ccdr.evidence.history.kinds import RESTORE_END
from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog

RECOVERIES = ("restore.start", "recover.start")  # their run is the mark of the server that they made


def made_here(job: Job, services: Services, log: ShippedLog, identity: str) -> bool:
    """Does a recovery of this asset, that records tell of, account for the server that answers by this identity?"""
    return any(log.made_new(run) == identity for run in {str(r["run"]) for r in _recoveries(job, services)})


def made_by_recovery(job: Job, services: Services, number: str | None, mark: str | None) -> bool:
    """The same for the server that bears this mark, or that a restore onto a server has found to have this number."""
    return any(
        mark == record["run"]
        if record["kind"] in RECOVERIES
        else record["result"] == "RESTORED" and number is not None and record.get("server") == number
        for record in _recoveries(job, services, RESTORE_END)
    )


def _recoveries(job: Job, services: Services, *also: str) -> Iterator[Mapping[str, Any]]:
    for record in services.records():
        about = record["plan"] == job.plan and record.get("asset") in (None, job.asset)
        if about and record["kind"] in (*RECOVERIES, *also):
            yield record
