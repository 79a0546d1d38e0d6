"""Of each asset the state that lies nearest to a moment and not after it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.model.values import Snapshot, human_seconds, rfc3339
from ccdr.ports.log import RecoveryTarget

OF_ANOTHER_SOURCE = "it is of another source than the plan names now"


@dataclass(frozen=True)
class Candidate:
    """A state that an asset can be brought to: a snapshot, or what the log (`target`) makes of it as its base; `point`
    is the instant that it is true for. `log_bytes` and `log_snapshots` are what is fetched of the log."""

    snapshot: Snapshot
    point: datetime
    target: RecoveryTarget | None = None
    log_bytes: int = 0
    log_snapshots: int = 0


@dataclass(frozen=True)
class AssetStates:
    """What there is of one asset: all snapshots that are `there`, oldest first, and by id why one of them is not to be
    taken (`bad`); the nearest that its log gives. `beyond_log` is why the log does not lead nearer, `gone` are states
    that can be had no more, each with its point, in a sentence. Where it belongs to a `group`, it may lose so many
    seconds more (`slack`) for the sake of a run of that which is whole."""

    asset: str
    there: tuple[Snapshot, ...]
    bad: Mapping[str, str] = field(default_factory=dict)
    by_log: Candidate | None = None
    beyond_log: tuple[str, ...] = ()
    gone: tuple[tuple[datetime, str], ...] = ()
    group: str | None = None
    slack: float = 0.0

    @property
    def usable(self) -> list[Snapshot]:
        return [s for s in self.there if s.id not in self.bad]


@dataclass(frozen=True)
class Choice:
    """What was chosen of an asset, and what was passed over for it."""

    state: Candidate
    passed_over: tuple[str, ...] = ()


def chosen(
    all_states: Sequence[AssetStates], moment: datetime | None, *, nearest: bool = False
) -> dict[str, Choice | None]:
    """By asset; None where there is no state by that moment (with `nearest`: none at all). `moment` None: the newest of
    each. What of a group is taken by snapshot is taken of one run of it, where that costs no more than is allowed."""
    alone = {states.asset: _alone(states, moment, nearest=nearest) for states in all_states}
    together, why = _kept_together(all_states, alone, moment, nearest=nearest)
    result: dict[str, Choice | None] = {}
    for states in all_states:
        state = together.get(states.asset) or alone[states.asset]
        result[states.asset] = None if state is None else Choice(state, tuple(_passed_over(states, state, moment, why)))
    return result


def _alone(states: AssetStates, moment: datetime | None, *, nearest: bool) -> Candidate | None:
    by_snapshot = [Candidate(s, s.consistent_point) for s in states.usable]
    known = [*by_snapshot, *([states.by_log] if states.by_log else [])]
    # Of two that are true for the same instant the log's, which may hold more.
    before = max(
        (c for c in known if moment is None or c.point <= moment), key=lambda c: (c.point, bool(c.target)), default=None
    )
    if moment is None or not nearest:
        return before
    after = min((c for c in known if c.point > moment), key=lambda c: c.point, default=None)
    if before is None or after is None:
        return before or after
    return after if after.point - moment < moment - before.point else before


def _kept_together(
    all_states: Sequence[AssetStates],
    alone: Mapping[str, Candidate | None],
    moment: datetime | None,
    *,
    nearest: bool,
) -> tuple[dict[str, Candidate], dict[str, str]]:
    """What of a group is better taken of one run; and by asset why its newer snapshot was not."""
    found: dict[str, Candidate] = {}
    why: dict[str, str] = {}
    groups = {states.group for states in all_states if states.group}
    for group in sorted(groups):
        members = [s for s in all_states if s.group == group and (c := alone[s.asset]) is not None and c.target is None]
        if len(members) < 2 or _one_run([alone[s.asset] for s in members]):
            continue
        whole = _whole_run(members, alone, moment, nearest=nearest)
        found |= whole
        others = {s.asset: ", ".join(o.asset for o in members if o is not s) for s in members}
        why |= {asset: f"{others[asset]} of group {group} has none of its run that can be taken" for asset in whole}
    return found, why


def _one_run(of: Sequence[Candidate | None]) -> bool:
    runs = {c.snapshot.group.run if c and c.snapshot.group else None for c in of}
    return len(runs) == 1 and None not in runs


def _whole_run(
    members: Sequence[AssetStates], alone: Mapping[str, Candidate | None], moment: datetime | None, *, nearest: bool
) -> dict[str, Candidate]:
    """The run of the group that lies nearest, and has a usable snapshot of each member that lies no further from the
    moment than it may for that; empty where there is none."""

    def distance(point: datetime) -> float:
        return -point.timestamp() if moment is None else abs((moment - point).total_seconds())

    by_run: dict[str, dict[str, Candidate]] = {}
    for states in members:
        mine = alone[states.asset]
        assert mine is not None
        for s in states.usable:
            in_time = moment is None or nearest or s.consistent_point <= moment
            if s.group and in_time and distance(s.consistent_point) - distance(mine.point) <= states.slack:
                by_run.setdefault(s.group.run, {})[states.asset] = Candidate(s, s.consistent_point)
    whole = [run for run in by_run.values() if len(run) == len(members)]
    return min(whole, key=lambda run: max(distance(c.point) for c in run.values()), default={})


def _passed_over(
    states: AssetStates, state: Candidate, moment: datetime | None, why: Mapping[str, str]
) -> Iterator[str]:
    """Newer states, not after the moment, that were not taken."""

    def newer(point: datetime) -> bool:
        return point > state.point and (moment is None or point <= moment)

    for s in reversed(states.there):
        if newer(s.consistent_point):
            reason = states.bad.get(s.id) or why.get(states.asset)
            if reason:
                yield f"snapshot {s.short} of {rfc3339(s.consistent_point)}: {reason}"
    yield from (text for point, text in states.gone if newer(point))
    yield from states.beyond_log


def furthest_apart(points: Mapping[str, datetime]) -> tuple[float, tuple[str, str]] | None:
    """Seconds between the oldest and the newest of these, and whose they are; None where there are not two."""
    if len(points) < 2:
        return None
    first, last = min(points, key=points.__getitem__), max(points, key=points.__getitem__)
    if first == last:  # all of one instant
        last = next(name for name in points if name != first)
    return (points[last] - points[first]).total_seconds(), (first, last)


def none_by(states: AssetStates, moment: datetime) -> str:
    """That there is no state of it by the moment, and which are the first and the last that there are."""
    usable = states.usable
    if not usable:
        return f"{states.asset}: there is no state of it that can be taken" + (
            f" ({states.there[-1].short} of {rfc3339(states.there[-1].consistent_point)}: "
            f"{states.bad[states.there[-1].id]})"
            if states.there
            else ""
        )
    first, last = usable[0].consistent_point, usable[-1].consistent_point
    ahead = (first - moment).total_seconds()
    after = f", {human_seconds(ahead)} after that" if math.isfinite(ahead) and ahead >= 0 else ""
    tail = "" if len(usable) == 1 else f", the last of {rfc3339(last)}"
    text = f"{states.asset}: no state of it is as old as that; the first is of {rfc3339(first)}{after}{tail}"
    before = [s for s in states.there if states.bad.get(s.id) == OF_ANOTHER_SOURCE and s.consistent_point <= moment]
    if not before:
        return text
    old = before[-1]
    return (
        f"{text}. Before the plan named its place of now: {old.short} of {rfc3339(old.consistent_point)}, which "
        f"`ccdr restore {old.plan} --asset {old.asset} --snapshot {old.short}` brings back by itself"
    )
