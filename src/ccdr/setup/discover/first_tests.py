"""The first restore tests: nothing is claimed that a healthy backup might not keep.

Row counts ask for half of what is there, freshness for what weekends and holidays leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ccdr.engines.filetree import TreeFound
from ccdr.engines.found import DatabaseFound
from ccdr.model.values import human_seconds
from ccdr.setup.discover.names import remark, scalar, so_many

ROW_CHECKS, FRESHNESS_CHECKS = 5, 2
LONG_WEEKEND, UNKNOWN_RHYTHM = 4, 30  # days
SETTLED_ARCHIVE = 7 * 86400.0  # a directory with older audio than this keeps it


def restore_test(name: str, what: str, checks: Iterable[str]) -> str:
    """A restore-test file's text; `what` is how people call what is tested."""
    lines = [
        f"# What must be true of {what}, restored into a sandbox, before a backup counts as proven.",
        "# Written by `ccdr init` from what it found; add what your application relies on (kind: sql, kind: command).",
        "",
        f"restore_test: {scalar(name)}",
        "checks:",
        "  # What was restored equals what was captured. Never leave it out.",
        "  - {kind: identical}",
    ]
    return "\n".join([*lines, *checks]) + "\n"


def database_checks(found: DatabaseFound) -> Iterator[str]:
    """Lines for what is worth a check in a database."""
    yield "  # Every page and index of the restored database can be read, and they agree with each other."
    yield "  - {kind: integrity}"
    large = [t for t in found.largest if t.rows >= 10] or list(found.largest[:1])
    if large:
        yield "  # The backup of an emptied source is a faithful copy, and no use: about half of what was there."
    for table in large[:ROW_CHECKS]:
        about = "" if table.exact else "about "
        check = f"  - {{kind: rows, table: {scalar(table.name)}, at_least: {half(table.rows)}}}"
        yield remark(check, f"there were {about}{table.rows:,}", column=61)
    for newest in found.newest[:FRESHNESS_CHECKS]:
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


def tree_checks(found: TreeFound, now: float) -> Iterator[str]:
    """Lines for audio that can be decoded, if there is any; `now` is in seconds since the epoch."""
    if not found.decodable:
        return
    keeps = found.oldest is not None and now - found.oldest > SETTLED_ARCHIVE
    match = ", ".join(scalar(f"*.{suffix}") for suffix in found.decodable)
    at_least = half(sum(found.audio[suffix] for suffix in found.decodable)) if keeps else 1
    check = f"- {{kind: decodable, match: [{match}], at_least: {at_least}}}"
    if found.silent:
        empty = so_many(found.silent, "audio file")
        yield f"  # {empty} had not a byte in them and would fail this. Move them away, then take the # off:"
        yield f"  # {check}"
    else:
        yield "  # Audio opens and decodes to its end. A recorder that writes rubbish is noticed here and nowhere else."
        yield f"  {check}"


def half(count: int) -> int:
    """Half of it, rounded down to two digits; at least 1."""
    rest, unit = max(1, count // 2), 1
    while rest >= 100:
        rest, unit = rest // 10, unit * 10
    return rest * unit
