"""After a run: the ledger is signed where that is due, and anchored. All else is done and told by then, and every lock
given back: nothing that goes wrong here changes what came of the run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.evidence.lineage.own_records import Lineage
from ccdr.jobs.checkpoints.store import Due, due
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import utc
from ccdr.plans.anchors import AnyAnchor, anchors_beside
from ccdr.telling.anchoring import anchor_newest, note_configured

AGAIN = timedelta(minutes=5)  # until a run looks again at what may not have been anchored


@dataclass
class ToSign:
    """What is to be signed and anchored at a run's end, as it was found; `notes` are sentences on what came of it, for
    who looks. `anchors`: None where anchors.yaml is wrong, which is a trouble, and is told as such."""

    services: Services
    lineage: Lineage = field(default_factory=Lineage)
    anchors: tuple[AnyAnchor, ...] | None = None
    due: Due = field(default_factory=lambda: Due(False, None))
    notes: list[str] = field(default_factory=list)

    @classmethod
    def found(cls, plans: Path, services: Services) -> ToSign:
        """By the file beside the directory of plans. Raises nothing."""
        made = cls(services)
        with made._noting():
            made.lineage = services.lineage()
            with made._noting():
                made.anchors = tuple(anchors_beside(plans))
            made.due = due(services, made.lineage)
        return made

    @property
    def next(self) -> datetime | None:
        """When a run has to look again, so that it is signed and anchored in time: what is due now may not be had.
        None: nobody signs here."""
        if self.due.next is None:
            return None
        now, known, times = self.services.clock.now(), self.lineage.anchoring, [self.due.next]
        for one in self.anchors or ():
            last = known.last.get(one.name)
            if last is not None and last.size >= self.due.size and not self.due.now:
                continue  # it holds all that is signed
            at = now if last is None else utc(last.at) + one.interval
            times.append(at if at > now else now + AGAIN)
        return min(times)

    def before(self, until: float) -> float:
        """Until when a run may sleep, in seconds since the epoch."""
        return until if (coming := self.next) is None else min(until, coming.timestamp())

    def carry_out(self) -> list[str]:
        """Sign and anchor; the notes. Raises KeyboardInterrupt, and nothing else."""
        with self._noting():
            if self.anchors is not None and note_configured(self.anchors, self.services, self.lineage):
                self.lineage = self.services.lineage()
                self.due = due(self.services, self.lineage)
            if self.due.now:
                from ccdr.jobs.checkpoints.creation import make

                made = make(self.services, self.lineage)
                self.notes.append(f"checkpoint of {made.checkpoint.size} records: {made.path}")
            for one in anchor_newest(self.anchors or (), self.services, self.lineage):
                self.notes.append(f"anchor {one.name}: {one.why or 'holds it'}")
        return self.notes

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Whatever it is: the run is over, and what came of it stands."""
        try:
            yield
        except Exception as error:
            self.notes.append(str(error) if isinstance(error, CcdrError) else type(error).__name__)
