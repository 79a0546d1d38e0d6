"""Which work is this host's to do: what `ccdr run` was asked for here, plan by plan.

Where one host backs up and another tests, each is blamed for its own work alone. A duty begins when a run is asked for
it (without `--only`: for everything). It ends when runs of the same plan go on without it for more than a day in which
it came due twice: then it is taken as another host's. Where nothing runs at all, all duties stay.

Who takes backups, the repository tells. What was backed up here, by whatever command, is this host's to do until a
newer snapshot of another host is known here, or another host's ledger that tells of backups: that no run is asked for
them any more is no sign that somebody else does.

Every change is a record in the ledger, and is told once; not on the first day, while crontabs are written.
STATE/asked.json holds when each was asked for last; where it is lost, that counts from now.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.lineage.own_records import installation
from ccdr.evidence.records.upkeep import Duties
from ccdr.evidence.records.values import code
from ccdr.host.state import State
from ccdr.host.state_files import encoded, state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.model.instant import Instant
from ccdr.model.schedule import second_due
from ccdr.model.values import DUTIES as OF_A_HOST
from ccdr.model.values import Snapshot, Verb, duty_of, rfc3339
from ccdr.plans import LoadedPlan, Plan
from ccdr.storage.removals import dated_in_future

AT_LEAST = timedelta(days=1)
STALE = timedelta(minutes=10)  # a stamp younger than this is not written anew
PATIENCE = 50  # tries for another run's stamping, a fifth of a second each
WORDS = {
    Verb.BACKUP: "backups",
    Verb.TEST: "restore tests",
    Verb.PRUNE: "prunes",
    Verb.CHECK: "checks",
}

Stamps = dict[str, dict[Verb, Instant]]  # by plan and verb


@dataclass(frozen=True)
class Change:
    """What became this host's to do for a plan, or another's; of the latter, when it was last asked for."""

    plan: str
    at: datetime
    verbs: frozenset[Verb]
    gained: frozenset[Verb]
    lost: Mapping[Verb, datetime]
    tenant: str
    by_hand: frozenset[Verb] = frozenset()  # of the duties: no run was asked for them, and they were done here

    def __str__(self) -> str:
        asked_for, gained = self.verbs - self.by_hand, self.gained - self.by_hand
        sentences = [] if self.gained or self.lost else [f"`ccdr run` is asked for {listed(asked_for)} here"]
        if gained:
            sentences.append(
                f"`ccdr run` was asked for {listed(gained)} here, too: this host answers for them from now on"
            )
        if self.by_hand:
            sentences.append(
                f"no run is asked for {listed(self.by_hand)} here, and they were made here: this host answers for them"
                " until another one is known to make them"
            )
        if self.lost:
            sentences.append(
                f"`ccdr run` was last asked for {listed(self.lost)} here at {rfc3339(max(self.lost.values()))}, and for"
                f" {listed(self.verbs)} since: this host no longer answers for them, another one must"
            )
        return "; ".join(sentences)


def listed(verbs: Collection[Verb]) -> str:
    words = [WORDS[verb] for verb in Verb if verb in verbs]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def responsible_for(plans: Sequence[LoadedPlan], histories: Histories) -> dict[str, frozenset[Verb]]:
    """By plan: what this host answers for."""
    by_plan = {}
    for name in (p.plan.plan for p in plans):
        history = histories.get((name, None), AssetHistory())
        by_plan[name] = frozenset(verb for verb in OF_A_HOST if history.answers_for(verb))
    return by_plan


def asked(plans: Sequence[LoadedPlan], services: Services, verbs: Collection[Verb]) -> list[Change]:
    """A run has been asked for these. What changed by it is recorded; changes worth telling are given: not what the
    first run of all was asked for. CcdrError where state or ledger cannot be read or written."""
    for _ in range(PATIENCE):
        with services.state.turn("asked") as mine:
            if mine:
                return list(_asked(plans, services, verbs))
        time.sleep(0.2)
    return []


def _asked(plans: Sequence[LoadedPlan], services: Services, verbs: Collection[Verb]) -> Iterator[Change]:
    now, stamps, verbs = services.clock.now(), _read(services.state), frozenset(map(duty_of, verbs))
    before = encoded(stamps)
    histories = services.histories()
    changes = []
    for loaded in plans:
        name = loaded.plan.plan
        of_it = histories.get((name, None), AssetHistory())
        known = of_it.duties or {}
        settled = any(now - since > AT_LEAST for since in known.values())
        of_plan = stamps.setdefault(name, {})
        had = frozenset(map(Verb, known))
        backups = _Backups(loaded.plan, of_it, histories, services)
        by_hand = frozenset({Verb.BACKUP} - had - frozenset(verbs)) if backups.by_hand else frozenset[Verb]()
        for verb in had:
            of_plan[verb] = min(of_plan.get(verb) or now, now)
        for verb in verbs:
            if of_plan.get(verb) is None or not now - STALE < of_plan[verb] <= now:
                of_plan[verb] = now
        lost = {v: of_plan[v] for v in had - frozenset(verbs) if _lapsed(loaded.plan, v, of_plan[v], now)}
        if Verb.BACKUP in lost and backups.ours:
            del lost[Verb.BACKUP]
        own = (had - lost.keys()) | frozenset(verbs) | by_hand
        # each ledger has its own
        if of_it.duties is None or own != had or (of_it.asked is not None and of_it.asked.of_ledger):
            gained = own - had if had else frozenset()
            changes.append((Change(name, now, own, gained, lost, loaded.plan.tenant, by_hand), settled))
    for change, news in changes:
        duties = Duties(
            plan=change.plan,
            verbs=_values(change.verbs),
            gained=_values(change.gained),
            lost=_values(change.lost),
            asked_last={verb.value: at for verb, at in change.lost.items()},
            reason=str(change),
            tenant=change.tenant,
        )
        services.ledger.write(duties)
        if news and (change.gained or change.lost):
            yield change
    if encoded(stamps) != before:
        write_state(_path(services.state), stamps)


@dataclass(frozen=True)
class _Backups:
    """Who takes a plan's backups, as far as this host's ledger and catalogue tell. `upkeep` is the plan's own history,
    `histories` has its assets'."""

    plan: Plan
    upkeep: AssetHistory
    histories: Histories
    services: Services

    @property
    def ours(self) -> bool:
        """Were some begun here, and is the newest not another host's, nor a ledger here of one that tells of any?"""
        if not any(of.begun_here for of in self._assets.values()) or self.upkeep.others_at(Verb.BACKUP):
            return False
        newest = max(self._known(), key=lambda s: s.usable_at, default=None)
        return newest is None or self._is_ours(newest)

    @property
    def by_hand(self) -> bool:
        """The same, whether or not any run here was ever asked for them. Where runs were for other work, and that was
        recorded before the last of them, no other host may be known at all: what a person takes once beside another
        host's stays that one's to do."""
        asked = self.upkeep.asked
        if asked is None:
            return self.ours
        tried = [of.last_backup for of in self._assets.values() if of.last_backup]
        since = any(last.order > asked.order and not last.foreign for last in tried)
        return since and self.ours and all(map(self._is_ours, self._known()))

    @property
    def _assets(self) -> dict[str, AssetHistory]:
        return {asset: self.histories.get((self.plan.plan, asset), AssetHistory()) for asset in self.plan.assets}

    def _known(self) -> Iterator[Snapshot]:
        for asset in self.plan.assets:
            of_it = self.services.catalogue.snapshots(self.plan.plan, asset)
            yield from (s for s in of_it if not dated_in_future(s, self.services.clock.now()))

    def _is_ours(self, snapshot: Snapshot) -> bool:
        """By what it attests."""
        here = installation(self.services.state, self.services.ledger.host)
        return snapshot.attested.installation == here or snapshot.attested.ledger in self.services.lineage().known


def _values(verbs: Collection[Verb]) -> list[Any]:
    return [code(verb) for verb in Verb if verb in verbs]


def _lapsed(plan: Plan, verb: Verb, last: datetime, now: datetime) -> bool:
    """Has it come due twice since a run was asked for it, and was that more than a day ago? Runs are asked for prunes
    and checks together, perhaps no more often than the rarer of them is due."""

    def twice(cron: str) -> bool:
        return second_due(cron, plan.timezone, last, now) is not None

    if now - last <= AT_LEAST:
        return False
    if verb in (Verb.PRUNE, Verb.CHECK):
        return twice(plan.upkeep.prune) and twice(plan.upkeep.check)
    planned = [a.backup if verb is Verb.BACKUP else a.restore_test for a in plan.assets.values()]
    schedules = [one.schedule for one in planned if one is not None]
    return not schedules or any(map(twice, schedules))


def _path(state: State) -> Path:
    return state.root / "asked.json"


def _read(state: State) -> Stamps:
    return state_or_none(_path(state), Stamps) or {}
