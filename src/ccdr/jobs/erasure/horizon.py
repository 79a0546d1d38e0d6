"""The day from which no restorable copy holds a person who was erased: when the last snapshot that was taken before
that is let go of, in each repository, and pruned there. Shipped log goes with the snapshots that it leads on from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

from msgspec import Struct

from ccdr.jobs.copies import at
from ccdr.jobs.services import Services, policy_of
from ccdr.model.kinds import about
from ccdr.model.retention import Policy, kept_by_rules
from ccdr.model.schedule import occurrences
from ccdr.model.values import PRIMARY, Snapshot
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import seen_from

MOST_DAYS = 12 * 366  # looked ahead


class Horizon(Struct, frozen=True):
    """One repository of a plan: `gone_by` is when no snapshot there holds them any more, null for never, or where
    nobody can tell."""

    copy: str
    snapshots: int
    gone_by: datetime | None
    why: str
    locked_days: Annotated[int, about("for which the store keeps versions after that")] = 0


Known = dict[tuple[str, str, int], Horizon]


def horizons(
    loaded: LoadedPlan, services: Services, asset: str, erased_at: datetime, known: Known | None = None
) -> list[Horizon]:
    """The plan's own repository first, then each of its copies; as far as this host knows what they hold. `known`:
    what was found for others, who are in as many snapshots."""
    known = {} if known is None else known
    return [_of(view, there, asset, erased_at, copy, known) for copy, view, there in _places(loaded, services)]


def latest(found: Sequence[Horizon]) -> datetime | None:
    """The day for all of them; None where one has none. Versions that a lock keeps count."""
    days = [one.gone_by and one.gone_by + timedelta(days=one.locked_days) for one in found]
    return None if None in days else max((day for day in days if day is not None), default=None)


def _places(loaded: LoadedPlan, services: Services) -> Iterator[tuple[str, LoadedPlan, Services]]:
    yield PRIMARY, loaded, services
    for name in loaded.plan.copies:
        yield name, seen_from(loaded, name), at(loaded, services, name)


def _of(view: LoadedPlan, there: Services, asset: str, erased_at: datetime, copy: str, known: Known) -> Horizon:
    now, plan = there.clock.now(), view.plan
    snapshots = there.catalogue.snapshots(plan.plan, asset)
    holding = [s for s in snapshots if s.consistent_point < erased_at]
    locked = plan.repository.lock_days or 0
    if not holding:
        return Horizon(
            copy, 0, max(now, erased_at), "no snapshot that this host knows of was taken before that", locked
        )
    key = copy, asset, len(holding)
    if key not in known:
        gone_by, why = _gone_by(view, snapshots, holding, now)
        known[key] = Horizon(copy, len(holding), gone_by, why, locked)
    return known[key]


def _gone_by(
    view: LoadedPlan, snapshots: Sequence[Snapshot], holding: Sequence[Snapshot], now: datetime
) -> tuple[datetime | None, str]:
    plan = view.plan
    if (policy := policy_of(plan)) is None:
        return None, "the plan states no retention: nothing is ever removed"
    let_go = _let_go(snapshots, holding, policy, now, view)
    if let_go is None:
        return None, "the retention keeps some of them for more than twelve years"
    pruned = next(occurrences(plan.upkeep.prune, plan.timezone, let_go), let_go)
    return pruned, "at the prune after the retention lets go of the last of them; later while something holds it"


def _let_go(
    snapshots: Sequence[Snapshot], holding: Sequence[Snapshot], policy: Policy, now: datetime, view: LoadedPlan
) -> datetime | None:
    """When the rules have let go of all of them, if one backup a day goes on to be stored: those that count need newer
    ones."""
    held = {s.id for s in holding}
    newest = max(snapshots, key=lambda s: s.consistent_point)

    def gone(day: int) -> bool:
        then = now + timedelta(days=day)
        coming = [
            replace(newest, id=f"{n:064x}", consistent_point=now + timedelta(days=n), usable_at=now + timedelta(days=n))
            for n in range(1, day + 1)
        ]
        return held.isdisjoint(kept_by_rules([*snapshots, *coming], policy, then, view.plan.zone))

    if not gone(MOST_DAYS):
        return None
    low, high = 0, MOST_DAYS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if gone(middle) else (middle + 1, high)
    return now + timedelta(days=low)
