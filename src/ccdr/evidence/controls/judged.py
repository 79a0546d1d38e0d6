"""How it stands with each of the twelve measures: every part is asked, and what is wrong comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from ccdr.evidence.approvals import AHEAD
from ccdr.evidence.controls.known import Known
from ccdr.evidence.controls.registry import EVERY, MEASURES
from ccdr.evidence.controls.values import WORST_FIRST, ControlState, MeasureState, Observed, Part, PartState
from ccdr.model.errors import Exit
from ccdr.model.values import utc


def judge_measures(known: Known) -> list[MeasureState]:
    asked = [PartState(part, _shown(part, known)) for part in EVERY]
    asked.sort(key=lambda one: WORST_FIRST.index(one.state) if one.is_wrong else len(WORST_FIRST))
    return [MeasureState(one, tuple(p for p in asked if p.part.measure == one.id)) for one in MEASURES]


def _shown(part: Part, known: Known) -> tuple[Observed, ...]:
    """What is of another hand, or damaged, may hold anything below its envelope: it shows nothing, and is never well.
    The verification of the ledger tells of it."""
    try:
        found = (_in_time(one, known.now) for one in part.shows(known))
        return tuple(sorted(found, key=lambda one: WORST_FIRST.index(one.state)))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        text = "a record that it rests on is not as any ccdr writes it"
        return (Observed(ControlState.CONTRADICTED, text, step="ccdr ledger verify   lists all damage"),)


def _in_time(one: Observed, now: datetime) -> Observed:
    """What is dated in the future shows nothing of now: a clock was ahead then, or is set back now, so that nothing
    ever gets old."""
    if one.state not in (ControlState.SHOWN, ControlState.STATED) or all(
        utc(r.time) <= now + AHEAD for r in one.records
    ):
        return one
    text = f"{one.text}; but its record is dated in the future: a clock is wrong, or was"
    return replace(one, state=ControlState.CONTRADICTED, text=text, step="check the clock of this host")


def exit_of_measures(measures: Sequence[MeasureState]) -> Exit:
    """Contradicted or expired, where nobody has acknowledged it, is a finding; what nobody shows is none."""
    return Exit.FINDING if any(measure.finding for measure in measures) else Exit.OK
