"""The recoveries that were begun in a run of a runbook: by its own steps, or by hand meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ccdr.host.state import State
from ccdr.jobs.recover import journal as recovery
from ccdr.jobs.recover.journal import Told
from ccdr.jobs.runbook.events import Event

RECOVERY = "recovery"  # of a step's facts: which it has begun, or gone on with


def all_of(plan: str, state: State) -> list[Told]:
    """Every recovery of the plan that this host knows, oldest first."""
    return [one for one in map(recovery.read, recovery.journals(state)) if one.plan == plan]


def told_in(events: Sequence[Event]) -> tuple[str, ...]:
    """The runs of those that steps have told of."""
    return tuple(run for event in events if RECOVERY in event.facts for run in event.facts[RECOVERY].split(", "))


def of_this_run(plan: str, state: State, begun: datetime | None, told: Sequence[str]) -> list[Told]:
    """Those begun in this run, without one whose assets were all brought back again later. A step has told of its own:
    this host's clock may have been set back since."""
    found: list[Told] = []
    covered: set[str] = set()
    for one in reversed(all_of(plan, state)):
        in_it = one.run in told or (begun is not None and one.began >= begun)
        if in_it and not covered >= one.assets.keys():
            covered |= one.assets.keys()
            found.append(one)
    return found[::-1]
