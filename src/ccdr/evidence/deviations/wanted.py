"""What takes a deviation back, where it was seen more than once: all that was ever asked for while it lasted. Pure."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from ccdr.evidence.records.restores import TestEnd
from ccdr.evidence.verdicts import point_of
from ccdr.model.values import LATEST, RULES
from ccdr.plans.facts import CheckFacts, mended

Checks = tuple[CheckFacts, ...] | None  # as a version's record has them; None where none tells


class Wanted(Struct, frozen=True):
    """What a deviation waits for: an objective in seconds, data as new as a point, checks as strict as these; what that
    version of the plan promised (its record's number); a comparison with all snapshots (`whole`)."""

    objective: float | None = None
    point: datetime | None = None
    checks: Checks = None
    version: int | None = None
    whole: bool = False


ANY = Wanted()


def as_new(test: TestEnd, point: datetime | None) -> bool:
    """Is it of the newest snapshot, or of one at least as new as this point? An older one says nothing of it."""
    mine = point_of(test)
    newest = test.snapshot is not None and test.snapshot.selected == LATEST
    return point is None or newest or (mine is not None and mine >= point)


def by_rule(test: TestEnd) -> bool:
    """Was its snapshot selected as a schedule does it, and not named by who began it?"""
    return test.snapshot is not None and test.snapshot.selected in RULES


def as_strict(then: Checks, now: Checks) -> bool:
    """Where no version of the plan tells what was checked, it is believed."""
    return then is None or now is None or mended(then, now)


def together(then: Wanted, now: Wanted) -> Wanted:
    """All that was asked for at either time: the shorter objective, the newer point, every check."""
    objectives = [one for one in (then.objective, now.objective) if one is not None]
    points = [one for one in (then.point, now.point) if one is not None]
    return Wanted(
        min(objectives, default=None),
        max(points, default=None),
        _all_checks(then.checks, now.checks),
        then.version,
        then.whole or now.whole,
    )


def _all_checks(then: Checks, now: Checks) -> Checks:
    if then is None or now is None:
        return then if now is None else now
    return (*then, *(one for one in now if one not in then))
