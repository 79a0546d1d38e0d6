"""What came due and what was missed, from the versions of a plan that were in force: never from what a slot file says.
Pure.

A schedule counts from the record of the version that names it, and only while this host answers for its kind of work:
as `ccdr run` goes by it. A run serves the due time that it was begun for, a command the newest before it. A due time is
missed once the next has come and nothing was begun for it, or after `PATIENCE`; until then it waits, and is counted in
the period in which that is known. So each is counted once, and a past period stays as it was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil, floor

from ccdr.model.values import Verb, duty_of
from ccdr.plans.due_times import DueTimes, of
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import PlanRevision, ends_of

PATIENCE = timedelta(hours=6)  # no longer than `ccdr run` may wait before it tries again
_PATIENCE = int(PATIENCE.total_seconds())
_EVER = 1 << 62
MOST_GAPS = 50

Schedule = tuple[str | None, Verb]  # of an asset, of the whole plan, or (`OF_A_COPY`) of one of its copies, by name
OF_A_COPY = (Verb.COPY, Verb.PRUNE, Verb.CHECK)


@dataclass(frozen=True)
class RequestedRuns:
    """What runs on this host were asked for, from a record on; of what ended by it, when it was asked for last."""

    at: datetime
    verbs: frozenset[Verb]
    last: Mapping[Verb, datetime]


@dataclass(frozen=True, slots=True)
class RunStart:
    """Something that was begun, or tried in vain; `due` is what for, where `ccdr run` did. Seconds since the epoch."""

    at: int
    due: int | None = None


@dataclass(frozen=True)
class Other:
    """Another host's part, by its own ledger: what its runs were asked for and have begun, by which versions of the
    plan. Beyond `until` nothing is known of it."""

    versions: Sequence[PlanRevision]
    asked: Sequence[RequestedRuns]
    starts: Mapping[Schedule, Sequence[RunStart]]
    until: datetime
    paused: Sequence[tuple[datetime, datetime]] = ()  # when the plan was, there


@dataclass(frozen=True)
class DueGap:
    """Consecutive due times for which nothing was begun."""

    first: datetime
    last: datetime
    count: int


@dataclass(frozen=True)
class DueTally:
    """One schedule in a period. `due` are those that were served, the `missed` ones, and those that were let be since
    the plan was `paused` then; `waiting`: the newest is
    neither yet. `gaps` are the newest `MOST_GAPS`. `elsewhere` came due while this host did not answer for it: nobody
    here knows what became of them. Before the first version nothing is known to have been due."""

    asset: str | None
    verb: Verb
    due: int
    missed: int
    waiting: bool
    elsewhere: int
    gaps: tuple[DueGap, ...]
    paused: int = 0


@dataclass(frozen=True)
class _Window:
    """A schedule in force, for due times from `start` up to, and without, `end`."""

    times: DueTimes
    start: int
    end: int

    def within(self, start: int, end: int) -> _Window:
        return _Window(self.times, max(self.start, start), min(self.end, end))

    @property
    def count(self) -> int:
        return self.times.count(self.start, self.end)


def due(
    versions: Sequence[PlanRevision], verb: Verb, asset: str | None, start: datetime, end: datetime
) -> list[datetime]:
    """Every due time of a schedule from `start` up to, and without, `end`, whoever answers for it. None is known before
    the first version."""
    windows = (window.within(*_edges(start, end)) for window in _in_force(versions, (asset, verb)))
    return [datetime.fromtimestamp(at, UTC) for w in windows for at in w.times.between(w.start, w.end)]


def tallies(
    versions: Sequence[PlanRevision],
    asked: Sequence[RequestedRuns],
    starts: Mapping[Schedule, Sequence[RunStart]],
    start: datetime,
    end: datetime,
    others: Sequence[Other] = (),
    paused: Sequence[tuple[datetime, datetime]] = (),
) -> list[DueTally]:
    """Of each schedule that was in force in a period, for one plan. `versions` and `asked` are all before its end, in
    order; `starts` those before its end and from `PATIENCE` before its begin on; `paused`: when the plan was. What
    `others` answer for is due and missed by what they went by."""
    named = [schedules(versions, start), *(schedules(other.versions, start) for other in others)]
    tallied = []
    for schedule in dict.fromkeys(one for each in named for one in each):
        own = _tally(schedule, versions, asked, starts.get(schedule, ()), *_edges(start, end), paused)
        theirs = []
        for other in others:
            first, last = _edges(start, end)
            last, begun = min(last, _behind(other.until)), other.starts.get(schedule, ())
            if first < last and (
                tally := _tally(schedule, other.versions, other.asked, begun, first, last, other.paused)
            ):
                theirs.append(tally)
        if theirs:
            unknown = _unknown(schedule, versions, asked, others, *_edges(start, end))
            own = _together([one for one in (own, *theirs) if one], own is not None and own.waiting, unknown)
        tallied += [own] if own else []
    return tallied


def _together(parts: Sequence[DueTally], waiting: bool, unknown: int) -> DueTally:
    """What a ledger ends with that was neither served nor missed by then is not known."""
    gaps = sorted((gap for one in parts for gap in one.gaps), key=lambda gap: gap.first)[-MOST_GAPS:]
    unknown += sum(one.waiting for one in parts) - waiting
    due, missed, paused = (sum(getattr(one, key) for one in parts) for key in ("due", "missed", "paused"))
    return DueTally(parts[0].asset, parts[0].verb, due, missed, waiting, unknown, tuple(gaps), paused)


def _unknown(
    schedule: Schedule,
    versions: Sequence[PlanRevision],
    asked: Sequence[RequestedRuns],
    others: Sequence[Other],
    start: int,
    end: int,
) -> int:
    """Due times by our versions for which no host that is known of answered, as far as it is known."""
    held = list(_held(asked, schedule[1]))
    for other in others:
        last = _behind(other.until)
        held += [(since, min(until, last)) for since, until in _held(other.asked, schedule[1])]
    count, reached = 0, start
    windows = [window.within(start, end) for window in _in_force(versions, schedule)]
    for since, until in [*sorted(held), (end, end)]:
        if since > reached:
            count += sum(w.count for window in windows for w in _clipped(window, reached, since))
        reached = max(reached, until)
    return count


def schedules(versions: Sequence[PlanRevision], start: datetime) -> list[Schedule]:
    """All that any version in force since `start` names."""
    relevant = [v for v, end in zip(versions, ends_of(versions), strict=True) if end is None or end > start]
    pairs: list[Schedule] = [(asset, verb) for v in relevant for asset in (*v.facts.assets, None) for verb in Verb]
    pairs += [(copy, verb) for v in relevant for copy in v.facts.copies for verb in OF_A_COPY]
    return [one for one in dict.fromkeys(pairs) if any(_cron(version.facts, one) for version in relevant)]


def _tally(
    schedule: Schedule,
    versions: Sequence[PlanRevision],
    asked: Sequence[RequestedRuns],
    begun: Sequence[RunStart],
    start: int,
    end: int,
    paused: Sequence[tuple[datetime, datetime]],
) -> DueTally | None:
    windows = _in_force(versions, schedule)
    ours = [
        w for window in windows for since, until in _held(asked, schedule[1]) for w in _clipped(window, since, until)
    ]
    served = _served(ours, begun)
    newest, carried = _newest(ours, end), _newest(ours, start)
    waits = newest is not None and _waits(newest, served, ours, end)
    first = start  # of the due times that are settled here …
    if carried is not None and _waits(carried, served, ours, start):
        first = carried
    last = newest if waits and newest is not None else end  # … and behind the last
    counted = [w for window in ours for w in _clipped(window, first, last)]
    due = sum(window.count for window in counted)
    to_begin = [part for window in counted for part in _outside(window, paused)]
    missed = _not_served(to_begin, served)
    let_be = _not_served(counted, served) - missed
    elsewhere = sum(w.count for window in windows for w in _clipped(window, start, end))
    elsewhere -= sum(w.count for window in ours for w in _clipped(window, start, end))
    if not (due or waits or elsewhere):
        return None
    gaps_found = (gap for window in reversed(to_begin) for gap in _gaps(window, served)) if missed else ()
    gaps = tuple(islice(gaps_found, MOST_GAPS))[::-1]
    return DueTally(*schedule, due, missed, waits, elsewhere, gaps, let_be)


def _not_served(windows: Sequence[_Window], served: Iterable[int]) -> int:
    return sum(w.count for w in windows) - sum(any(w.start <= at < w.end for w in windows) for at in served)


def _outside(window: _Window, paused: Sequence[tuple[datetime, datetime]]) -> Iterator[_Window]:
    """What of it is in none of these."""
    since = window.start
    for begun, end in sorted(one for one in paused if one[0] < one[1]):
        yield from _clipped(window, since, ceil(begun.timestamp()))
        since = max(since, ceil(end.timestamp()))
    yield from _clipped(window, since, window.end)


def _in_force(versions: Sequence[PlanRevision], schedule: Schedule) -> list[_Window]:
    """As `ccdr run` goes by it: a schedule that is new, or was changed, counts from then."""
    windows: list[_Window] = []
    for version, until in zip(versions, ends_of(versions), strict=True):
        cron = _cron(version.facts, schedule)
        if cron is None:
            continue
        times = of(cron, version.facts.timezone)
        start = _behind(version.at)
        end = _EVER if until is None else _behind(until)
        if windows and windows[-1].times is times and windows[-1].end == start:
            start = windows.pop().start
        if start < end:
            windows.append(_Window(times, start, end))
    return windows


def _cron(facts: PlanFacts, schedule: Schedule) -> str | None:
    asset, verb = schedule
    if asset is None and facts.assets:  # a plan that is no more has none
        return {Verb.PRUNE: facts.prune, Verb.CHECK: facts.check}.get(verb)
    if verb in OF_A_COPY:
        of_copy = facts.copies.get(asset or "")
        return (
            {Verb.COPY: of_copy.schedule, Verb.PRUNE: of_copy.prune, Verb.CHECK: of_copy.check}[verb]
            if of_copy
            else None
        )
    of_asset = facts.assets.get(asset or "")
    if of_asset is None:
        return None
    if verb is Verb.TEST:
        return of_asset.test.schedule if of_asset.test else None
    if verb is Verb.CONTROL:
        return of_asset.control
    return of_asset.backup if verb is Verb.BACKUP else None


def _held(asked: Sequence[RequestedRuns], verb: Verb) -> Iterator[tuple[int, int]]:
    """When this host answered for such work. Where no run was ever asked for anything, nobody knows who does."""
    since: int | None = None
    verb = duty_of(verb)
    for one, until in zip(asked, ends_of(asked), strict=True):
        if until is not None and until <= one.at:
            continue
        if verb in one.verbs and since is None:
            since = _behind(one.at)
        elif verb not in one.verbs and since is not None:
            yield since, _behind(one.last.get(verb, one.at))
            since = None
    if since is not None:
        yield since, _EVER


def _served(windows: Sequence[_Window], begun: Sequence[RunStart]) -> dict[int, int]:
    """The due times that something was begun for, and when that was first."""
    served: dict[int, int] = {}
    for start in begun:
        wanted = start.due
        if wanted is None or not any(w.start <= wanted < w.end and w.times.holds(wanted) for w in windows):
            wanted = _newest(windows, start.at + 1)
        if wanted is not None and start.at < served.get(wanted, _EVER):
            served[wanted] = start.at
    return served


def _newest(windows: Sequence[_Window], before: int) -> int | None:
    """The last due time before a moment; None where there is none."""
    for window in reversed(windows):
        if window.start < before:
            at = window.times.newest(min(window.end, before) - 1)
            if at is not None and at >= window.start:
                return at
    return None


def _waits(at: int, served: Mapping[int, int], windows: Sequence[_Window], now: int) -> bool:
    """Was nothing begun for it by `now`, and may that still be? Not where its schedule is in force no more."""
    in_force = any(window.start <= at and now <= window.end for window in windows)
    return in_force and now - at < _PATIENCE and served.get(at, now) >= now


def _gaps(window: _Window, served: Iterable[int]) -> Iterator[DueGap]:
    """The newest first."""
    times, cursor = window.times, window.end
    for at in (*sorted((one for one in served if window.start <= one < window.end), reverse=True), window.start - 1):
        if count := times.count(at + 1, cursor):
            first, last = times.next(at), times.newest(cursor - 1)
            assert first is not None and last is not None
            yield DueGap(datetime.fromtimestamp(first, UTC), datetime.fromtimestamp(last, UTC), count)
        cursor = at


def _clipped(window: _Window, start: int, end: int) -> Iterator[_Window]:
    clipped = window.within(start, end)
    if clipped.start < clipped.end:
        yield clipped


def _behind(moment: datetime) -> int:
    """The first whole second after it: what comes due at the very moment at which a schedule is seen is not its own."""
    return floor(moment.timestamp()) + 1


def _edges(start: datetime, end: datetime) -> tuple[int, int]:
    return ceil(start.timestamp()), ceil(end.timestamp())
