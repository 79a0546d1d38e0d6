"""Incidents as a report tells of them: those that were open in some of the period, and what was to be notified."""

from __future__ import annotations

from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.incidents import incidents_of
from ccdr.evidence.judgement.incidents import IncidentNow
from ccdr.telling.incidents.view import Listed
from ccdr.telling.report.period import Period


def incidents_in(histories: Histories, period: Period) -> tuple[Listed, ...]:
    """As they stood at the period's end. Of closed ones a plan keeps the newest: the register has them all."""
    every = (
        one
        for (plan, asset), history in histories.items()
        if plan is not None and asset is None
        for one in incidents_of(plan, history.incidents, period.end)
    )
    there = [one for one in every if one.closed_at is None or one.closed_at >= period.start]
    return tuple(Listed(IncidentNow(one, period.end)) for one in sorted(there, key=lambda one: one.records[0]))
