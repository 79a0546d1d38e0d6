"""Is a checkpoint due? Asked by every run: nothing that signs or verifies is loaded for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.places import Mark, extent_of, lines
from ccdr.evidence.lineage.anchored import ANCHORED
from ccdr.evidence.lineage.own_records import Lineage
from ccdr.jobs.checkpoints.kept import directory_of, read_grown
from ccdr.jobs.services import Services
from ccdr.model.schedule import SET_BACK

EVERY = timedelta(hours=1)
_ANCHORED = f'"kind":"{ANCHORED}"'.encode()
_AT_ONCE = (b'"FAIL"', b'"BREACHED"')


@dataclass(frozen=True)
class Due:
    """Is one to be made `now`, and if not, when may one be? None: nobody signs here. `size` is the newest one's."""

    now: bool
    next: datetime | None
    size: int = 0


def due(services: Services, lineage: Lineage, *, urgent_only: bool = False) -> Due:
    """Something was recorded, and an hour has gone by since the last one, or a FAIL or a breach is in it
    (`urgent_only`: that alone). That a checkpoint was anchored is nothing to sign. CcdrError where that cannot be
    told."""
    if lineage.anchoring.key is None or lineage.ledger is None:
        return Due(False, None)
    grown, now = read_grown(directory_of(services.state, lineage.ledger)), services.clock.now()
    if grown is None or grown.made is None or not services.ledger.holds(grown.mark):
        return Due(not urgent_only, now + EVERY, 0 if grown is None else grown.tree.size)
    size = grown.tree.size
    fresh, urgent = _since(services.ledger, grown.mark)
    if urgent:
        return Due(True, now + EVERY, size)
    recent = now - EVERY < grown.made <= now + SET_BACK
    again = grown.made + EVERY if recent else now + EVERY
    return Due(fresh and not recent and not urgent_only, again, size)


def _since(ledger: Ledger, mark: Mark) -> tuple[bool, bool]:
    """Was anything recorded behind the mark, and is there a FAIL or a breach in it? By the lines' bytes alone: what is
    taken for one, and is none, costs a checkpoint."""
    fresh = urgent = False
    for line in lines(ledger.directory, extent_of(ledger.directory), mark):
        fresh = fresh or _ANCHORED not in line
        urgent = urgent or any(word in line for word in _AT_ONCE)
    return fresh, urgent
