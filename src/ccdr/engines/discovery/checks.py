"""What the first restore tests ask for: nothing is claimed that a healthy backup might not keep.

Counts of rows and of recordings ask for half of what is there, freshness for what weekends and holidays leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.engines.discovery.survey import DatabaseFound
from ccdr.engines.discovery.text import remark, scalar, so_many
from ccdr.model.values import human_seconds

ROW_CHECKS, FRESHNESS_CHECKS = 5, 2
LONG_WEEKEND, UNKNOWN_RHYTHM = 4, 30  # days


def database_checks(database: DatabaseFound) -> Iterator[str]:
    """Lines for what is worth a check in a database."""
    yield "  # Every page and index of the restored database can be read, and they agree with each other."
    yield "  - {kind: integrity}"
    large = [t for t in database.largest if t.rows >= 10] or list(database.largest[:1])
    if large:
        yield "  # The backup of an emptied source is a faithful copy, and no use: about half of what was there."
    for table in large[:ROW_CHECKS]:
        about = "" if table.exact else "about "
        check = f"  - {{kind: rows, table: {scalar(table.name)}, at_least: {half(table.rows)}}}"
        yield remark(check, f"there were {about}{table.rows:,}", column=61)
    for newest in database.newest[:FRESHNESS_CHECKS]:
        query = scalar(f"select max({newest.column}) from {newest.table}")
        yield f"  # The newest row was {human_seconds(newest.age)} old. {_rhythm(newest.gap)}"
        name = scalar(f"newest row of {newest.table}"[:200])
        yield f"  - {{kind: freshness, name: {name}, within: {_within(newest.gap)}d,"
        yield f"     query: {query}}}"


def _within(gap: int | None) -> int:
    """Days: three times the longest silence seen, and a long weekend at least."""
    return UNKNOWN_RHYTHM if gap is None else max(LONG_WEEKEND, 3 * gap)


def _rhythm(gap: int | None) -> str:
    if gap is None:
        return "There is little history to judge by: tighten it once you know better."
    return f"No silence was longer than {so_many(gap, 'day')}: tighten it if weekends count."


def half(count: int) -> int:
    """Half of it, rounded down to two digits; at least 1."""
    rest, unit = max(1, count // 2), 1
    while rest >= 100:
        rest, unit = rest // 10, unit * 10
    return rest * unit
