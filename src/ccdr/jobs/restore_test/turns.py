"""Which of its rules an asset's next restore test chooses its snapshot by: each in its turn, told by the ledger."""

from __future__ import annotations

from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.services import Services
from ccdr.model.values import AT, LATEST, rfc3339
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget


def next_turn(job: Job, services: Services, due: datetime | None = None) -> tuple[str, RecoveryTarget | None]:
    """What `restore_test` is to be called with, as the plan says. `due`: the due time that the test is for."""
    rules = job.rules or (LATEST,)
    rule = rules[0] if len(rules) == 1 else longest_ago(rules, services.history(job), due)
    return rule, RecoveryTarget() if rule == AT else None


def longest_ago(rules: tuple[str, ...], history: AssetHistory, due: datetime | None) -> str:
    """The rule whose last test, by whomever it was begun, lies furthest back. What is tried again for the same due time
    is tried by the same rule: a test that broke has not had its turn. With the next due time it has, so that one rule
    whose tests always break keeps none of the others from theirs."""
    tried = history.tried
    if due is not None:
        for rule in rules:
            if tried.get(rule, [0, None])[1] == rfc3339(due):
                return rule
    return min(rules, key=lambda rule: float(tried.get(rule, [0, None])[0] or 0))
