"""What is shown of each entry of a register: that by its key somebody is found. An entry that finds nobody where they
must be still proves nothing, whatever a canary shows: its key may be mistyped."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.erasure.register import Entry
from ccdr.jobs.services import Services
from ccdr.model.erasure import EntryState, Looked
from ccdr.model.values import Snapshot
from ccdr.plans import LoadedPlan
from ccdr.plans.copies import as_in_file


@dataclass(frozen=True)
class Shown:
    """By what is known here now: the records of replays, and what the repository and its copies hold, the oldest being
    true for `oldest`."""

    history: AssetHistory
    oldest: datetime | None

    @classmethod
    def of(cls, loaded: LoadedPlan, services: Services, asset: str) -> Shown:
        history = services.histories().get((loaded.plan.plan, asset), AssetHistory())
        return cls(history, min((one.consistent_point for one in snapshots(loaded, services, asset)), default=None))

    def state(self, entry: Entry) -> EntryState:
        if entry.canary:
            return EntryState.CANARY
        return self.looked(entry).state(held=self.oldest is not None and self.oldest < entry.erased_at)

    def looked(self, entry: Entry) -> Looked:
        return self.history.looked(entry.id)

    def last_there(self, entry: Entry) -> datetime:
        """The instant from which on the source held them no more, as far as is known: of what was taken before it, each
        snapshot may hold them."""
        return max(entry.erased_at, self.looked(entry).late or entry.erased_at)

    def after(self, entry: Entry, found: int, *, due: bool) -> EntryState:
        """The state once one more replay has found so many of it. `due`: in what was replayed on they must be, as far
        as its time tells; a person may have come to the source only later."""
        if found and not entry.canary:
            return EntryState.FOUND
        state = self.state(entry)
        return EntryState.NEVER_FOUND if due and state in _NOBODY_LOOKED else state


_NOBODY_LOOKED = (EntryState.NOT_LOOKED_FOR, EntryState.NOT_DUE)


def snapshots(loaded: LoadedPlan, services: Services, asset: str) -> list[Snapshot]:
    """Of the plan's own repository and of each copy, as far as this host knows them."""
    plan = as_in_file(loaded).plan
    home = services.catalogue if services.there is None else services.there.catalogue
    return [
        one
        for known in (home, *(services.catalogue_of(copy) for copy in plan.copies))
        for one in known.snapshots(plan.plan, asset)
    ]


def newest_from_before(services: Services, plan: str, asset: str, erased_at: datetime) -> str | None:
    """Of the snapshots here that must hold somebody who was erased then, the one that most surely does."""
    there = [one for one in services.catalogue.snapshots(plan, asset) if one.consistent_point < erased_at]
    return max(there, key=lambda one: one.consistent_point).id if there else None
