"""A server that ccdr itself made new in the place of the one whose log was shipped: its log goes on from there."""

from __future__ import annotations

from ccdr.jobs.services import Services
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog

RECOVERIES = ("restore.start", "recover.start")  # their run is the mark of the server that they made


def made_here(job: Job, services: Services, log: ShippedLog, identity: str) -> bool:
    """Does a recovery of this asset, that records tell of, account for the server that answers by this identity?"""
    runs = {
        str(record["run"])
        for record in services.records()
        if record["kind"] in RECOVERIES and record["plan"] == job.plan and record.get("asset") in (None, job.asset)
    }
    return any(log.made_new(run) == identity for run in runs)
