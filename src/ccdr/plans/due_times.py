"""The due times of one schedule, counted without walking them one by one. Pure.

What cronsim says day by day (days on which a zone's clocks are set are its own, time by time), kept per day: so that a
year of quarters of an hour of hundreds of assets is counted in no time. Times are whole seconds since the epoch.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from cronsim import CronSim

from ccdr.model.schema import zone_of

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
