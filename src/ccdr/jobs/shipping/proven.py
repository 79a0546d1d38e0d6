"""How far a log is proven to be stored, and on which of its branches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.jobs.shipping.batch import Held
from ccdr.jobs.shipping.branches import Line, line_to, merged
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.model.forks import Fork


@dataclass(frozen=True)
class Proven:
    """By what is written down of it (`LogStanding`), and by what the spool tells of its branches."""

    shipment: Shipment

    @property
    def forks(self) -> tuple[Fork, ...]:
        """Where all branches began that are known."""
        return merged((self.shipment.standing.forks, self.shipment.batch.forks))

    def is_on(self, line: Line) -> bool:
        """Is what is proven stored a part of the way to the branch that this line leads to?"""
        standing = self.shipment.standing
        if standing.position is None or standing.branch is None:
            return True
        part = next((p for p in line.parts if p.branch == standing.branch), None)
        if part is None:
            return False
        return part.until is None or self.shipment.log.reached_before(standing.position, part.until)

    def position(self) -> str | None:
        """Up to where the spool is proven. Of a branch of which nothing is yet: up to where it began."""
        log, position = self.shipment.log, self.shipment.standing.position
        first = self.shipment.spool.first_behind(self.shipment.batch.closed)
        if position is None or first is None:
            return position
        line = line_to(log, self.forks, log.branch(first))
        return position if self.is_on(line) else next((p.until for p in reversed(line.parts) if p.until), position)

    def reached(
        self, held: Held, point: datetime, position: str | None, skew: float | None
    ) -> tuple[datetime, str | None]:
        """What is true of a batch behind which another one begins. Where nothing was proven of a branch before it was
        left, that is where it was left, and when. `skew` is the source's clock's lead."""
        mine = None if held.last is None else self.shipment.log.branch(held.last)
        fork = next((fork for fork in self.forks if fork.parent == mine), None)
        proven = self.shipment.standing.point
        if proven is not None or fork is None:
            return proven or point, self.position() or position
        when = point if fork.at is None else min(point, fork.at - timedelta(seconds=skew or 0.0))
        return when, fork.position

    def branch_of(self, held: Held) -> int | None:
        return self.shipment.standing.branch if held.last is None else self.shipment.log.branch(held.last)
