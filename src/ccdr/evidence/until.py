"""Until when something holds that a person has said, as they write it: `--until`. Pure."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta

from ccdr.model.errors import UsageProblem
from ccdr.model.schema import parse_duration
from ccdr.model.values import rfc3339, utc

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_FAR = datetime.max.replace(tzinfo=UTC)


def until_of(text: str, now: datetime, example: str, *, option: str = "--until") -> datetime:
    """A duration from now, a date (to its end, UTC) or a time; whole seconds. UsageProblem where it is none, or past;
    `example` is a duration that would do."""
    try:
        until = now + timedelta(seconds=parse_duration(text))
    except OverflowError:
        until = _FAR
    except ValueError:
        until = _date_or_time(text, now, example, option)
    refuse_past(until, now, example, option=option)
    return until.replace(microsecond=0)


def _date_or_time(text: str, now: datetime, example: str, option: str) -> datetime:
    try:
        day = date.fromisoformat(text) if _DATE.fullmatch(text) else None
        return datetime.combine(day, time(), UTC) + timedelta(days=1) if day else utc(text)
    except (ValueError, OverflowError):
        raise UsageProblem(
            f"{option} {text[:40]!a} is no duration, no date and no time with a zone",
            hint=f"write {example}, a date like {now.year + 1}-12-24, or a time like {now.year + 1}-12-24T08:00:00Z",
        ) from None


def refuse_past(until: datetime, now: datetime, example: str, *, option: str = "--until") -> None:
    if until <= now:
        raise UsageProblem(f"{option} {rfc3339(until)} is past", hint=f"write a later time, or {example}")
