"""What came due and what was missed, from the versions of a plan that were in force, never from what a slot file says.
Due times are counted without walking them one by one. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from math import ceil, floor

from cronsim import CronSim

from ccdr.model.schema import zone_of
from ccdr.model.values import Verb, duty_of
from ccdr.plans.facts import PlanFacts
from ccdr.plans.versions import PlanRevision, ends_of

# The due times of one schedule, counted without walking them one by one. Pure.
#
# What cronsim says day by day (days on which a zone's clocks are set are its own, time by time), kept per day: so
# that a year of quarters of an hour of hundreds of assets is counted in no time. Times are whole seconds since the
# epoch.

DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_ANY = datetime(2026, 1, 1)  # any will do: only the fields are taken
_FURTHEST = 366 * 41  # days; the 29th of February on a Sunday comes every 28 years, or after 40
# The days of four years, a leap year among them, of which schedules are compared.
YEARS = range(date(2028, 1, 1).toordinal() - _EPOCH, date(2032, 1, 1).toordinal() - _EPOCH)


class DueTimes:
    """`of` gives one that is shared: whatever was found of a day is kept."""

    def __init__(self, cron: str, timezone: str) -> None:
        self.cron, self.timezone = cron, timezone
        self._zone = zone_of(timezone)
        self._fields = CronSim(cron, _ANY)
        times = ((hour, minute) for hour in self._fields.hours for minute in self._fields.minutes)
        self._seconds = tuple(sorted(hour * 3600 + minute * 60 for hour, minute in times))
        self._ordinary = frozenset(self._seconds)
        self._days: dict[int, tuple[int, ...]] = {}
        self._matches: dict[int, bool] = {}
        self._held: dict[int, bool] = {}

    def count(self, start: int, end: int) -> int:
        """How many there are from `start` up to, and without, `end`."""
        if end <= start:
            return 0
        first, last = self._day_of(start), self._day_of(end)
        if first == last:
            day = self._on(first)
            return bisect_left(day, end) - bisect_left(day, start)
        head, tail = self._on(first), self._on(last)
        whole = sum(map(self._number, range(first + 1, last)))
        return len(head) - bisect_left(head, start) + whole + bisect_left(tail, end)

    def newest(self, at: int) -> int | None:
        """The last one up to `at`, that moment included; None where it never came due."""
        day = self._day_of(at)
        on = self._on(day)
        if index := bisect_right(on, at):
            return on[index - 1]
        for earlier in range(day - 1, day - _FURTHEST, -1):
            if on := self._on(earlier):
                return on[-1]
        return None

    def next(self, after: int) -> int | None:
        """The first one behind `after`; None where it never comes due again."""
        day = self._day_of(after)
        on = self._on(day)
        if (index := bisect_right(on, after)) < len(on):
            return on[index]
        for later in range(day + 1, day + _FURTHEST):
            if on := self._on(later):
                return on[0]
        return None

    def holds(self, moment: int) -> bool:
        """Is it one of them?"""
        known = self._held.get(moment)
        if known is None:
            day = self._day_of(moment)
            begin = _begin(self.timezone, day)
            ordinary = begin is not None and moment - begin in self._ordinary and self._is_one(day)
            known = self._held[moment] = ordinary if begin is not None else moment in self._on(day)
        return known

    def between(self, start: int, end: int) -> Iterator[int]:
        """Each from `start` up to, and without, `end`."""
        if end > start:
            for day in range(self._day_of(start), self._day_of(end) + 1):
                yield from (moment for moment in self._on(day) if start <= moment < end)

    def _day_of(self, moment: int) -> int:
        """The local day, counted from the epoch."""
        near = moment // DAY
        for day in (near, near + 1, near - 1):
            begin = _begin(self.timezone, day)
            if begin is None:
                break
            if begin <= moment < begin + DAY:
                return day
        return datetime.fromtimestamp(moment, self._zone).toordinal() - _EPOCH

    def _on(self, day: int) -> tuple[int, ...]:
        known = self._days.get(day)
        if known is None:
            known = self._days[day] = self._computed(day)
        return known

    def _number(self, day: int) -> int:
        """How many there are on a day, without making them."""
        if not self._is_one(day):
            return 0
        return len(self._seconds) if _begin(self.timezone, day) is not None else len(self._on(day))

    def _is_one(self, day: int) -> bool:
        """Does it come due on this day?"""
        known = self._matches.get(day)
        if known is None:
            today = date.fromordinal(day + _EPOCH)
            known = today.month in self._fields.months and self._fields.match_day(today)
            self._matches[day] = known
        return known

    def _computed(self, day: int) -> tuple[int, ...]:
        if not self._is_one(day):
            return ()
        begin = _begin(self.timezone, day)
        if begin is not None:
            return tuple([begin + second for second in self._seconds])
        today = date.fromordinal(day + _EPOCH)
        midnight = datetime(today.year, today.month, today.day, tzinfo=self._zone)
        before = (midnight.astimezone(UTC) - timedelta(hours=3)).astimezone(self._zone)
        seconds = []
        for when in CronSim(self.cron, before):
            if when.date() > today:
                break
            if when.date() == today:
                seconds.append(int(when.timestamp()))
        return tuple(seconds)


@lru_cache(maxsize=1 << 16)
def _begin(timezone: str, day: int) -> int | None:
    """When a local day begins; None for one on which the zone's clocks are set."""
    if timezone == "UTC":
        return day * DAY
    midnight = datetime.fromordinal(day + _EPOCH).replace(tzinfo=zone_of(timezone))
    offset = midnight.utcoffset()
    if offset is None or offset != (midnight + timedelta(days=1)).utcoffset():
        return None
    return day * DAY - int(offset.total_seconds())


@lru_cache(maxsize=4096)
def of(cron: str, timezone: str) -> DueTimes:
    """ValueError, or cronsim's error, where there is no such schedule, or no such zone on this machine."""
    return DueTimes(cron, timezone)


@lru_cache(maxsize=4096)
def how_often(cron: str) -> tuple[int, int]:
    """In four years: how many due times there are, and the longest time between two of them in seconds; by the clock
    on the wall, so that a zone changes nothing."""
    times = of(cron, "UTC")
    count, widest, last = 0, 0, None
    within = max((after - before for before, after in pairwise(times._seconds)), default=0)
    for day in YEARS:
        if not (on := times._on(day)):
            continue
        count += len(on)
        widest = max(widest, within, 0 if last is None else on[0] - last)
        last = on[-1]
    return count, widest or len(YEARS) * DAY


@lru_cache(maxsize=4096)
def same_times(cron: str, one: str, other: str) -> bool:
    """Does the schedule come due at the same moments in both zones?"""
    first, second = of(cron, one), of(cron, other)
    return all(first._on(day) == second._on(day) for day in YEARS) or _same(first, second)


def _same(first: DueTimes, second: DueTimes) -> bool:
    """Where days begin at other times, moment by moment."""
    start, end = YEARS[1] * DAY, YEARS[-1] * DAY
    return all(a == b for a, b in zip(first.between(start, end), second.between(start, end), strict=False)) and (
        first.count(start, end) == second.count(start, end)
    )


# A schedule counts from the record of the version that names it, and only while this host answers for its kind of
# work: as `ccdr run` goes by it. A run serves the due time that it was begun for, a command the newest before it. A
# due time is missed once the next has come and nothing was begun for it, or after `PATIENCE`; until then it waits,
# and is counted in the period in which that is known. So each is counted once, and a past period stays as it was
# told.

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
