"""When the next comparison is due."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.lineage.own_records import Lineage
from ccdr.evidence.lineage.values import AGREES, Compared
from ccdr.host.files import write_durably
from ccdr.jobs.services import Services
from ccdr.model.schedule import SET_BACK
from ccdr.model.values import rfc3339, utc

EVERY, AFTER_A_FINDING = timedelta(days=1), timedelta(hours=1)


def recorded_within(interval: timedelta, at: str, now: datetime) -> bool:
    return now - interval < utc(at) <= now + SET_BACK


def last_tried(services: Services, plan: str) -> str | None:
    """When its repository was last asked, whatever came of it: whether it is well, and when it is to be asked again,
    records alone tell. So that one which does not answer is not asked by each run."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError, KeyError):
        at = json.loads(_notes(services).read_text("utf-8"))[plan]
        return rfc3339(utc(at))
    return None


def _notes(services: Services) -> Path:
    return services.state.root / "compared.json"


def note_try(services: Services, plan: str) -> None:
    with services.state.turn("compared") as mine:
        if not mine:
            return
        try:
            every = dict(json.loads(_notes(services).read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            every = {}
        write_durably(_notes(services), json.dumps({**every, plan: rfc3339(services.clock.now())}) + "\n")


def due(lineage: Lineage, last: Compared | None, tried: str | None, now: datetime) -> bool:
    """By the ledger's record of the last one; that it was `tried` since puts it off by an hour, no longer."""
    of_this = tried is not None and (lineage.begun is None or utc(tried) >= utc(lineage.begun))
    if tried is not None and of_this and recorded_within(AFTER_A_FINDING, tried, now):
        return False
    if last is None or last.wholly is None:  # never since this ledger began: it may lie where another was lost
        return True
    return not recorded_within(EVERY if last.result == AGREES else AFTER_A_FINDING, last.wholly, now)
