"""What the newest recovery of a plan has brought back apart, and so stays red: what one store got in between has no
counterpart in the other. No backup mends that; a person decides. By records alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.kinds import RECOVER_END
from ccdr.evidence.verdicts import Record
from ccdr.model.next_steps import after_coming_apart
from ccdr.model.values import to_the_second, utc
from ccdr.plans.job import Job
from ccdr.plans.one_server import of_one_server

ALIKE = 1.0  # seconds that are told of nobody


def step_after_coming_apart(job: Job, test: Record, upkeep: AssetHistory) -> str | None:
    """What leads on from this test, where all that failed in it are such comparisons, and it is of what was backed up
    since; `upkeep` is the plan's."""
    recovery, tested = upkeep.newest.get(RECOVER_END), test.get("snapshot") or {}
    if recovery is None or recovery.get("state") != "done" or not tested:
        return None
    if utc(tested["consistent_point"]) < utc(recovery["time"]):
        return None
    points = {
        str(one["asset"]): utc(one["point"]) for one in recovery.get("assets") or () if one.get("point") is not None
    }
    failed = {str(check.get("name")) for check in test.get("checks") or () if check.get("status") == "FAIL"}
    if not failed or not failed <= set(_apart(job, points)):
        return None
    return after_coming_apart(job.plan, job.asset, to_the_second(recovery["time"]))


def _apart(job: Job, points: Mapping[str, datetime]) -> Iterator[str]:
    """Checks that compare it with what came back older or newer. It may go on at the server of another asset, which it
    is a spare of."""
    assets = job.loaded.plan.assets
    mine = [
        at
        for name, at in points.items()
        if name == job.asset or (name in assets and of_one_server(job.engine, assets[name]))
    ]
    for check in job.checks:
        other = None if check.beside is None else points.get(check.beside)
        if other is not None and any(abs((at - other).total_seconds()) > ALIKE for at in mine):
            yield check.label
