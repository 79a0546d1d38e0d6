"""SQLite has no type for a time. Applications write text, seconds, milliseconds or Julian days: which, is told by form
and size, as SQLite's own 'auto' modifier does it."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo

JULIAN_EPOCH = 2440587.5  # the Julian day of 1970-01-01T00:00Z
LAST_JULIAN = 5373484.5  # of the year 9999, in days; below it a number is a Julian day
LAST_SECOND = 253402300800  # the same in seconds since 1970; above it a number is of a finer unit
FINER = (1e3, 1e6, 1e9)  # milliseconds, microseconds, nanoseconds
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)


def seconds(value: str, zone: tzinfo) -> float:
    """Seconds since 1970 of a value that is a time; `zone` is that of text without one. ValueError where it is none."""
    if _NUMBER.fullmatch(value):
        return _of_number(float(value))
    when = datetime.fromisoformat(value.strip())
    return (when if when.tzinfo else when.replace(tzinfo=zone)).timestamp()


def _of_number(number: float) -> float:
    if 0 <= number < LAST_JULIAN:
        return (number - JULIAN_EPOCH) * 86400
    if abs(number) < LAST_SECOND:
        return number
    for unit in FINER:
        if abs(number) < LAST_SECOND * unit:
            return number / unit
    raise ValueError(f"{number} is no time")
