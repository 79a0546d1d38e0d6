"""A moment to recover to, as a person writes it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ccdr.model.errors import UsageProblem
from ccdr.model.values import LATEST
from ccdr.ports.log import RecoveryTarget

# A time written out. What else Python would take for one (20261124, 2026-W48) may be the name of a point.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)


def target_of(text: str, zone: Any, timeline: int | None = None) -> RecoveryTarget:
    """What `--at` and `--timeline` say."""
    return replace(_target_of(text, zone), branch=timeline)


def _target_of(text: str, zone: Any) -> RecoveryTarget:
    """`latest`, a time (in the plan's zone where it names none), or the name of a point."""
    if text == LATEST:
        return RecoveryTarget()
    if not text.strip():  # a script's variable that was not set must not mean a point that nobody named
        raise UsageProblem("--at is empty", hint='write a time like "2026-11-24 14:05:00", `latest`, or a name')
    if _TIME.fullmatch(text) is None:
        return RecoveryTarget(name=text)
    try:
        when = datetime.fromisoformat(text)
        return RecoveryTarget(time=when.astimezone(UTC) if when.tzinfo else _local(text, when, zone))
    except (ValueError, OverflowError):
        raise UsageProblem(f"there is no such time as {text}", hint="is a part of it out of its range?") from None


def _local(text: str, when: datetime, zone: Any) -> datetime:
    """The one moment at which clocks there show it; UsageProblem where there are two, or none."""
    earlier, later = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return earlier.astimezone(UTC)
    one, other = (f"`{text}{str(moment)[len(str(when)) :]}`" for moment in (earlier, later))
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == when:
        raise UsageProblem(f"{text} comes twice in {zone}: clocks are set back", hint=f"write {one}, or {other}")
    raise UsageProblem(
        f"{text} never comes in {zone}: clocks are set forward", hint=f"write {one}, if it is by a clock that was not"
    )
