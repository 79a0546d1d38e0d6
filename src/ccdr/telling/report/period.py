"""The period that a report is about, and how it is divided for charts. UTC throughout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from ccdr.model.errors import UsageProblem
from ccdr.model.schema import parse_duration
from ccdr.model.values import rfc3339, utc

DEFAULT = timedelta(days=90)
MOST_PARTS = 36  # columns of a matrix that a person still reads
MOST_POINTS = 110  # points of a chart's line
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_DAY = timedelta(days=1)
LONG_AGO, NEVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def month_of(moment: datetime) -> datetime:
    """When the month of a moment began."""
    return datetime(moment.year, moment.month, 1, tzinfo=UTC)


def next_month(moment: datetime) -> datetime:
    """When the month after that of a moment begins."""
    return month_of(month_of(moment) + timedelta(days=32))


@dataclass(frozen=True)
class Period:
    """From `start` up to, and without, `end`; `until_now`: its end is when the report was made."""

    start: datetime
    end: datetime
    until_now: bool

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end

    @property
    def days(self) -> float:
        return (self.end - self.start) / _DAY

    def edges(self, most: int) -> list[datetime]:
        """Edges of about `most` parts at most, days, weeks or months; the first and the last are the period's own."""
        for step in (_DAY, 7 * _DAY):
            if (self.end - self.start) / step <= most:
                first = _midnight(self.start.date())
                inner = (first + n * step for n in range(1, most + 2))
                return [self.start, *(e for e in inner if self.start < e < self.end), self.end]
        months = self._months()
        step_of = -(-len(months) // most) or 1
        return [self.start, *months[::step_of], self.end]

    def _months(self) -> list[datetime]:
        """The first of each month within."""
        edges: list[datetime] = []
        year, month = self.start.year, self.start.month
        while True:
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            edge = datetime(year, month, 1, tzinfo=UTC)
            if edge >= self.end:
                return edges
            if edge > self.start:
                edges.append(edge)


def period_of(
    first: str | None, last: str | None, now: datetime, since: datetime | None = None, *, begins: str = "--from"
) -> Period:
    """From what the command line says: dates (the whole day, UTC), RFC 3339 times, or (its begin) a duration before its
    end. By default the last 90 days, or
    those `since` (the first record) where they are fewer: what nobody watched is not told as empty.

    An end in the future is now. UsageProblem where it cannot be understood, or is empty; `begins` is the option that
    said the begin.
    """
    end = min(_moment(last, "--to", whole_day=True), now) if last is not None else now
    start = _begin(first, end, begins) if first is not None else end - DEFAULT
    if first is None and since is not None and start < since < end:
        start = since
    if start >= end:
        raise UsageProblem(
            f"the period from {rfc3339(start)} to {rfc3339(end)} is empty",
            hint=f"{begins} must be before --to, and in the past",
        )
    return Period(start, end, until_now=end == now)


def ended_period(first: str, last: str, now: datetime) -> Period:
    """As `period_of`, of one that is over. UsageProblem where it is not."""
    end = _moment(last, "--to", whole_day=True)
    if end > now:
        raise UsageProblem(
            f"the period ends at {rfc3339(end)}, and it is {rfc3339(now)}: what goes on cannot be signed yet",
            hint="name an end that has passed with --to; a date is the whole day, UTC",
        )
    return past_period(_begin(first, end, "--from"), end)


def past_period(start: datetime, end: datetime) -> Period:
    """UsageProblem where it is empty."""
    if start >= end:
        raise UsageProblem(
            f"the period from {rfc3339(start)} to {rfc3339(end)} is empty", hint="--from must be before --to"
        )
    return Period(start, end, until_now=False)


def _begin(text: str, end: datetime, option: str) -> datetime:
    try:
        return end - timedelta(seconds=parse_duration(text))
    except OverflowError:
        raise UsageProblem(f"{option} {text!a} is before all time", hint="write a shorter one, like 90d") from None
    except ValueError:
        return _moment(text, option, whole_day=False, more=", or 7d for the last week")


def _moment(text: str, option: str, *, whole_day: bool, more: str = "") -> datetime:
    try:
        if not _DATE.fullmatch(text):
            return utc(text)
        day = _midnight(date.fromisoformat(text))
        return day + _DAY if whole_day else day
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{option} {text!a} is no date and no time with a zone",
            hint=f"write a date like 2026-11-01, or a time like 2026-11-01T02:30:00Z{more}",
        ) from None


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
