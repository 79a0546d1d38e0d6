"""After a run: the ledger is signed where that is due, and anchored. All else is done and told by then, and every lock
given back: nothing that goes wrong here changes what came of the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.jobs.checkpoints.due import due
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import utc
from ccdr.plans.anchors import LoadedAnchors, anchors_beside
from ccdr.telling.anchoring.making import anchor_newest, note_configured

AGAIN = timedelta(minutes=5)  # until a run looks again at what may not have been anchored


@dataclass(frozen=True)
class Expected:
    """When a run has to look again, so that it is signed and anchored in time; None: nobody signs here."""

    next: datetime | None

    def before(self, until: float) -> float:
        return until if self.next is None else min(until, self.next.timestamp())


def expected(plans: Path, services: Services) -> Expected:
    """Asked before it is signed: what is due then may not be had."""
    try:
        checkpoint = due(services)
        if checkpoint.next is None:
            return Expected(None)
        now, known = services.clock.now(), services.lineage().anchoring
        times = [checkpoint.next]
        anchors = anchors_beside(plans)
        for one in anchors:
            last = known.last.get(one.name)
            if last is not None and last.size >= checkpoint.size and not checkpoint.now:
                continue  # it holds all that is signed
            at = now if last is None else utc(last.at) + one.interval
            times.append(at if at > now else now + AGAIN)
        return Expected(min(times))
    except (CcdrError, OSError, ValueError):
        return Expected(None)


def sign_and_anchor(plans: Path, services: Services) -> list[str]:
    """Sentences on what came of it, for who looks. KeyboardInterrupt, and nothing else."""
    notes: list[str] = []
    try:
        anchors = _configured(plans, services, notes)
        if due(services).now:
            from ccdr.jobs.checkpoints.making import make

            made = make(services)
            notes.append(f"checkpoint of {made.checkpoint.size} records: {made.path}")
        for one in anchor_newest(tuple(anchors or ()), services):
            notes.append(f"anchor {one.name}: {one.why or 'holds it'}")
    except Exception as error:  # whatever it is: the run is over, and what came of it stands
        notes.append(f"{error if isinstance(error, CcdrError) else type(error).__name__}")
    return notes


def sign_at_once(services: Services) -> None:
    """What a person's command has recorded of a FAIL or a breach is signed at once; the next run anchors it."""
    try:
        if due(services, urgent_only=True).now:
            from ccdr.jobs.checkpoints.making import make

            make(services)
    except Exception:  # noqa: S110 - status tells what is overdue
        pass


def _configured(plans: Path, services: Services, notes: list[str]) -> LoadedAnchors | None:
    """None where the file is wrong: that is a trouble, and is told as such."""
    try:
        anchors = anchors_beside(plans)
    except CcdrError as error:
        notes.append(str(error))
        return None
    note_configured(anchors, services)
    return anchors
