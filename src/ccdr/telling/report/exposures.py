"""The worst exposure of a period, stage by stage, against the RPO of its time."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.shipping.stored_batch import EARLIEST
from ccdr.model import measure
from ccdr.model.measure import Point
from ccdr.model.values import (
    Achieved,
    utc,
)
from ccdr.plans.versions import PlanRevision, objectives_in_force
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.judged import Exposure
from ccdr.telling.report.period import MOST_POINTS, Period


def log_that_counts(ev: AssetEvidence, logged: Iterable[Point], good: Iterable[Point]) -> list[Point]:
    """Without what a recovery that failed, and none took back, was to go through: from its base on, until a newer base
    leads on anew."""
    if not ev.log_failures:
        return list(logged)
    bases = sorted(point.consistent for point in good)
    bad = set()
    for failed in ev.log_failures:
        at = bisect_right(bases, failed.until)
        begins = failed.base or (bases[at - 1] if at else EARLIEST)
        bad.add((begins, bases[at] if at < len(bases) else None))
    return [
        p
        for p in logged
        if not any(begins < p.consistent and (ends is None or p.consistent < ends) for begins, ends in bad)
    ]


Stages = Sequence[tuple[datetime, Sequence[Point]]]  # what could be restored from each of these times on


@dataclass(frozen=True)
class _Stage:
    """What is known to be there from a time on: that something vanished says nothing of what it was good for before."""

    since: datetime
    completed: list[Point]
    tested: list[Point]


def missed_from(history: AssetHistory) -> Iterator[tuple[datetime, set[str]]]:
    """What was missed already, from each time on that something was first missed."""
    yield datetime.min.replace(tzinfo=UTC), set()
    missed = {one: utc(at) for one, at in history.vanished.items()}
    for since in sorted(set(missed.values())):
        yield since, {one for one, at in missed.items() if at <= since}


def stages_of(
    since: datetime,
    there: Mapping[str, Point],
    ev: AssetEvidence,
    upkeep: AssetHistory,
    recovered: Sequence[Point],
    ours_to_do: bool,
) -> _Stage:
    good = {key: p for key, p in there.items() if not ev.disproved(key)}
    until = ev.history.counts_until(((key, p.consistent) for key, p in good.items()), upkeep)
    counting = {key: p for key, p in good.items() if p.consistent <= until}
    completed = [*counting.values(), *log_that_counts(ev, ev.logged(counting), counting.values())]
    if not ours_to_do:  # nor is its log shipped here
        completed += recovered
    tested = [*(p for key, p in good.items() if ev.history.proven.get(key) == "PASS"), *recovered]
    return _Stage(since, completed, [] if ev.history.closed_by_damage(upkeep) else tested)


def _worst_each(edges: Sequence[datetime], stages: Stages) -> list[float]:
    """The worst exposure of each of the periods between `edges`, by what was there at each time."""
    if len(stages) == 1:
        return measure.worst_exposures(edges, stages[0][1])
    worst = [0.0] * (len(edges) - 1)
    for (since, points), end in zip(stages, [*(later for later, _ in stages[1:]), edges[-1]], strict=True):
        first, last = max(edges[0], since), min(edges[-1], end)
        if first >= last:
            continue
        within = [first, *(edge for edge in edges if first < edge < last), last]
        for start, part in zip(within, measure.worst_exposures(within, points), strict=False):
            number = bisect_right(edges, start) - 1
            worst[number] = max(worst[number], part)
    return worst


def worst_of(
    versions: Sequence[PlanRevision], asset: str, period: Period, now: float, over: Exposure, stages: Stages
) -> Achieved:
    """The period's worst exposure against the RPO of its time: where that was changed, the one that is worst against
    its own. Before the first version it was that version's, as far as anybody knows."""
    spans = objectives_in_force(versions, asset, period.start, period.end)
    whole = measure.judge(now, over.worst_s)
    if {rpo for _, _, rpo, _ in spans} <= {now} or over.worst_s == math.inf:
        return whole
    begun = [(since if number else period.start, until, rpo) for number, (since, until, rpo, _) in enumerate(spans)]
    measured = [(max(since, over.since or since), until, rpo) for since, until, rpo in begun]
    each = [measure.judge(rpo, *_worst_each((since, until), stages)) for since, until, rpo in measured if since < until]
    return max(each, key=lambda one: (one.achieved_s or 0.0) / one.objective_s, default=whole)


def exposed_elsewhere(
    objective: float, stages: Stages, period: Period, over: Exposure, known_until: datetime | None
) -> Achieved:
    """The worst exposure of the period where another host backs up: a breach is one by what was there at
    `known_until`, when this host last looked; what came since is not known here."""
    points = stages[0][1]
    if known_until is None or any(max(p) > known_until for p in points if max(p) < period.end):
        known_until = max((max(p) for p in points if max(p) < period.end), default=period.start)
    at, first = min(known_until, period.end), min(map(max, points), default=period.end)
    since = max(period.start, first)
    seen = max(_worst_each((since, at), stages)) if since < at else 0.0
    return measure.judge_elsewhere(objective, over.worst_s, seen)


def exposure_over(stages: Stages, period: Period, begun: datetime | None = None) -> Exposure:
    """The contract's formula: over consecutive good backups, and from the last one to the end. Before the first that
    was ever there nothing could be measured: then `since` says from when. What was stored since `begun` and is no good
    makes that no better: until the first good one, all of it would have been lost."""
    edges, points = tuple(period.edges(MOST_POINTS)), stages[0][1]
    first = min(map(max, points), default=period.end)
    none_good = begun is not None and begun < first and first > period.start
    if first >= period.end:
        return Exposure(math.inf, None, edges, (math.inf,) * (len(edges) - 1))
    if first <= period.start:
        parts = _worst_each(edges, stages)
        return Exposure(max(parts), None, edges, tuple(parts))
    later = [edge for edge in edges if edge > first]
    parts = _worst_each([first, *later], stages)
    worst = math.inf if none_good else max(parts)
    return Exposure(worst, first, edges, (math.inf,) * (len(edges) - 1 - len(later)) + tuple(parts))
