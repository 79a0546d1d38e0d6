"""The recoveries that were begun in a run of a runbook: by its own steps, or by hand meanwhile."""

from __future__ import annotations

from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.runbook.work import Work

RECOVERY = "recovery"  # of a step's facts: which it has begun, or gone on with


def all_of(work: Work) -> list[Told]:
    """Every recovery of the plan that this host knows, oldest first."""
    told = map(recovery.read, recovery.journals(work.services.state))
    return [one for one in told if one.plan == work.loaded.plan.plan]


def of_this_run(work: Work) -> list[Told]:
    """Those begun in this run, without one whose assets were all brought back again later. A step has told of its own:
    this host's clock may have been set back since."""
    found: list[Told] = []
    covered: set[str] = set()
    for one in reversed(all_of(work)):
        in_it = one.run in work.recoveries or (work.begun is not None and one.began >= work.begun)
        if in_it and not covered >= one.assets.keys():
            covered |= one.assets.keys()
            found.append(one)
    return found[::-1]
