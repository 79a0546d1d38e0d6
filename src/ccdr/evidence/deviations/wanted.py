"""What takes a deviation back, where it was seen more than once: all that was ever asked for while it lasted. Pure."""

from __future__ import annotations

from typing import Any

from ccdr.evidence.verdicts import Record
from ccdr.model.values import LATEST, RULES, utc
from ccdr.plans.facts import checks_from, mended

Checks = list[Any] | None  # as a version's record has them; None where none tells


def point_of(test: Record) -> str | None:
    """The consistent point of what it restored; None where there was nothing."""
    point = (test.get("snapshot") or {}).get("consistent_point")
    return None if point is None else str(point)


def as_new(test: Record, point: str | None) -> bool:
    """Is it of the newest snapshot, or of one at least as new as this point? An older one says nothing of it."""
    mine = point_of(test)
    newest = (test.get("snapshot") or {}).get("selected") == LATEST
    return point is None or newest or (mine is not None and utc(mine) >= utc(point))


def by_rule(test: Record) -> bool:
    """Was its snapshot selected as a schedule does it, and not named by who began it?"""
    return (test.get("snapshot") or {}).get("selected") in RULES


def as_strict(then: Checks, now: Checks) -> bool:
    """Where no version of the plan tells what was checked, it is believed."""
    return then is None or now is None or mended(checks_from(then), checks_from(now))


def newer(then: str | None, now: str | None) -> str | None:
    """The newer of two points."""
    there = [one for one in (then, now) if one is not None]
    return max(there, key=utc, default=None)


def all_checks(then: Checks, now: Checks) -> Checks:
    """What was checked at either time."""
    if then is None or now is None:
        return then if now is None else now
    return [*then, *(one for one in now if one not in then)]


def tested(then: list[Any], now: list[Any]) -> list[Any]:
    """Of tests that proved nothing: checks and point."""
    return [all_checks(then[0], now[0]), newer(then[1], now[1])]


def in_time(then: list[Any], now: list[Any]) -> list[Any]:
    """Of restores that took too long: what was allowed (seconds), and the point."""
    return [min(then[0], now[0]), newer(then[1], now[1])]
