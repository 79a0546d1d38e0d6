"""Which work is this host's to do: what `ccdr run` was asked for here, plan by plan.

Where one host backs up and another tests, each is blamed for its own work alone. A duty begins when a run is asked for
it (without `--only`: for everything). It ends when runs of the same plan go on without it for more than a day in which
it came due twice: then it is taken as another host's. Where nothing runs at all, all duties stay.

Every change is a record in the ledger, and is told once; not on the first day, while crontabs are written.
STATE/asked.json holds when each was asked for last; where it is lost, that counts from now.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.history import DUTIES, AssetHistory, Histories
from ccdr.model import Verb, ledger_of, rfc3339, utc
from ccdr.plans import LoadedPlan, Plan
from ccdr.schedule import second_due
from ccdr.services import Services
from ccdr.state import State, write_durably

AT_LEAST = timedelta(days=1)
STALE = timedelta(minutes=10)  # a stamp younger than this is not written anew
PATIENCE = 50  # tries for another run's stamping, a fifth of a second each
WORDS = {Verb.BACKUP: "backups", Verb.TEST: "restore tests", Verb.PRUNE: "prunes", Verb.CHECK: "checks"}

Stamps = dict[str, dict[str, datetime]]  # by plan and verb


@dataclass(frozen=True)
class Change:
    """What became this host's to do for a plan, or another's; of the latter, when it was last asked for."""

    plan: str
    at: datetime
    duties: frozenset[Verb]
    gained: frozenset[Verb]
    lost: Mapping[Verb, datetime]
    tenant: str

    def __str__(self) -> str:
        said = [] if self.gained or self.lost else [f"`ccdr run` is asked for {listed(self.duties)} here"]
        if self.gained:
            said.append(
                f"`ccdr run` was asked for {listed(self.gained)} here, too: this host answers for them from now on"
            )
        if self.lost:
            said.append(
                f"`ccdr run` was last asked for {listed(self.lost)} here at {rfc3339(max(self.lost.values()))}, and for"
                f" {listed(self.duties)} since: this host no longer answers for them, another one must"
            )
        return "; ".join(said)


def listed(verbs: Collection[Verb]) -> str:
    words = [WORDS[verb] for verb in Verb if verb in verbs]
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else "".join(words)


def duties(plans: Sequence[LoadedPlan], histories: Histories) -> dict[str, frozenset[Verb]]:
    """By plan: what this host answers for."""
    found = {}
    for name in (p.plan.plan for p in plans):
        history = histories.get((name, None), AssetHistory())
        found[name] = frozenset(verb for verb in Verb if history.answers_for(verb))
    return found


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
    now, stamps = services.clock.now(), _read(services.state)
    before = json.dumps(_text(stamps), sort_keys=True)
    histories = services.histories()
    changes = []
    for loaded in plans:
        name = loaded.plan.plan
        of_it = histories.get((name, None), AssetHistory())
        known = of_it.duties
        settled = known is None or any(now - utc(since) > AT_LEAST for since in known.values())
        slots = {} if known is not None else _slots(services.state, name)
        of_plan = stamps.setdefault(name, {})
        had = frozenset(map(Verb, known if known is not None else slots))
        for verb in had:
            of_plan[verb] = min(of_plan.get(verb) or slots.get(verb) or now, now)
        for verb in verbs:
            if of_plan.get(verb) is None or not now - STALE < of_plan[verb] <= now:
                of_plan[verb] = now
        lost = {v: of_plan[v] for v in had - frozenset(verbs) if _lapsed(loaded.plan, v, of_plan[v], now)}
        own = (had - lost.keys()) | frozenset(verbs)
        if known is None or own != had or ledger_of(of_it.newest.get(DUTIES) or {}):  # each ledger has its own
            gained = own - had if had else frozenset()
            changes.append((Change(name, now, own, gained, lost, loaded.plan.tenant), settled))
    for change, news in changes:
        body: dict[str, object] = {
            "verbs": _values(change.duties),
            "gained": _values(change.gained),
            "lost": _values(change.lost),
        }
        asked_last = {verb.value: rfc3339(at) for verb, at in change.lost.items()}
        where = {"plan": change.plan, "asset": None, "run": None}
        body |= {"asked_last": asked_last, "reason": str(change), "tenant": change.tenant}
        services.ledger.append(DUTIES, **where, body=body)
        if news and (change.gained or change.lost):
            yield change
    if json.dumps(text := _text(stamps), sort_keys=True) != before:
        write_durably(_path(services.state), json.dumps(text) + "\n")


def _values(verbs: Collection[Verb]) -> list[str]:
    return [verb.value for verb in Verb if verb in verbs]


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


def _slots(state: State, plan: str) -> dict[Verb, datetime]:
    """Duties before they were recorded: the schedules that runs have stamped, and when."""
    found: dict[Verb, datetime] = {}
    for path in (state.root / "schedule").glob(f"{plan}.*.json"):
        name, _, verb = path.name.removesuffix(".json").split(".") if path.name.count(".") == 3 else ("", "", "")
        if name == plan and verb in list(Verb):
            with contextlib.suppress(OSError):
                stamped = datetime.fromtimestamp(path.stat().st_mtime, UTC)
                found[Verb(verb)] = max(stamped, found.get(Verb(verb), stamped))
    return found


def _path(state: State) -> Path:
    return state.root / "asked.json"


def _read(state: State) -> Stamps:
    try:
        body = json.loads(_path(state).read_text("utf-8"))
        return {plan: {Verb(v): utc(at) for v, at in stamps.items()} for plan, stamps in body.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _text(stamps: Stamps) -> dict[str, dict[str, str]]:
    return {plan: {verb: rfc3339(at) for verb, at in sorted(of_plan.items())} for plan, of_plan in stamps.items()}
