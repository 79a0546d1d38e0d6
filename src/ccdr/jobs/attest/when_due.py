"""When the next comparison is due."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.lineage.values import AGREES, Compared
from ccdr.host.state_files import state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.model.instant import Instant
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import rfc3339, utc

EVERY, AFTER_A_FINDING = timedelta(days=1), timedelta(hours=1)
Tried = dict[str, Instant]  # compared.json, by plan


def recorded_within(interval: timedelta, at: str, now: datetime) -> bool:
    return now - interval < utc(at) <= now + SET_BACK


def last_tried(services: Services, plan: str) -> str | None:
    """When its repository was last asked, whatever came of it: whether it is well, and when it is to be asked again,
    records alone tell. So that one which does not answer is not asked by each run."""
    at = _tried(services).get(plan)
    return None if at is None else rfc3339(at)


def _tried(services: Services) -> Tried:
    return state_or_none(_notes(services), Tried) or {}


def _notes(services: Services) -> Path:
    return services.state.root / "compared.json"


def note_try(services: Services, plan: str) -> None:
    with services.state.turn("compared") as mine:
        if mine:
            write_state(_notes(services), _tried(services) | {plan: services.clock.now()})


def due(lineage: Lineage, last: Compared | None, tried: str | None, now: datetime) -> bool:
    """By the ledger's record of the last one; that it was `tried` since puts it off by an hour, no longer."""
    of_this = tried is not None and (lineage.begun is None or utc(tried) >= utc(lineage.begun))
    if tried is not None and of_this and recorded_within(AFTER_A_FINDING, tried, now):
        return False
    if last is None or last.wholly is None:  # never since this ledger began: it may lie where another was lost
        return True
    return not recorded_within(EVERY if last.result == AGREES else AFTER_A_FINDING, last.wholly, now)
