"""When a period that a law gives has passed. Pure.

Hours are elapsed hours, whatever clocks on walls do meanwhile. Days and months are the calendar's, in a time zone, to
the same time of day; a month's end is no later than the month has days. Rules that give a little more (the hour or the
day in which a period begins is not counted) are never used: what is counted here is never later than what a law counts.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

DAY = 86400


@dataclass(frozen=True)
class Length:
    """Seconds, or calendar months. `days`: the seconds were said as days."""

    seconds: float = 0.0
    months: int = 0
    days: bool = False

    @property
    def about(self) -> timedelta:
        """How long it is at least, for whoever wants a part of it."""
        return timedelta(days=28 * self.months, seconds=self.seconds)


def deadline(start: datetime, length: Length, zone: tzinfo) -> datetime:
    """The instant, UTC, after which it is too late. A time of day that comes twice then is the first of both; in place
    of one that does not come at all stands one that is no later than it would have been."""
    elapsed = start.astimezone(UTC) + timedelta(seconds=length.seconds)
    if not length.months and not length.days:
        return elapsed
    there = start.astimezone(zone).replace(tzinfo=None)
    wanted = _months_on(there, length.months) if length.months else there + timedelta(days=length.seconds // DAY)
    on_the_wall = min(wanted.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return on_the_wall if length.months else min(on_the_wall, elapsed)


def year_end(moment: datetime, zone: tzinfo) -> datetime:
    """The last second of the calendar year that it is in: days that are counted from a year's end end with a day."""
    return datetime(moment.astimezone(zone).year, 12, 31, 23, 59, 59, tzinfo=zone)


def _months_on(moment: datetime, months: int) -> datetime:
    whole = moment.year * 12 + moment.month - 1 + months
    year, month = whole // 12, whole % 12 + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
