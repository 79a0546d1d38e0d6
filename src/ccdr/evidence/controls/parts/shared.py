"""What several queries ask for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from ccdr.evidence.controls.values import ControlState
from ccdr.model.trouble import Problem, Trouble

PRESENT, FAILING, LATE, LACKING = (
    ControlState.EVIDENCE_PRESENT,
    ControlState.FAILING,
    ControlState.STALE,
    ControlState.NOT_COVERED,
)
LOOKED_AT = timedelta(days=2)  # how long it shows something that it was looked at; `ccdr run` looks each day
YEARLY = timedelta(days=366)


def first_of(problems: Iterable[Problem], troubles: Collection[Trouble]) -> Problem | None:
    """The first that nobody has acknowledged, else the first at all."""
    there = [p for p in problems if p.trouble in troubles]
    return min(there, key=lambda p: p.acknowledged is not None, default=None)
