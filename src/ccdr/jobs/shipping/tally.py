"""What was stored since the last record: the body of the next one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ccdr.jobs.shipping.batch import Held
from ccdr.jobs.shipping.stored_batch import Gap


@dataclass
class Tally:
    """What the next record tells: seconds of each snapshot's point and of when it was usable, after `since`."""

    since: datetime
    points: list[tuple[float, float]] = field(default_factory=list)
    bytes: int = 0
    first: str | None = None
    last: str | None = None
    gaps: list[Gap] = field(default_factory=list)
    vanished: bool = False  # log that was stored once is what is missing
    anew: bool = False  # the source went back: no base from before leads on
    branched: bool = False  # it goes on by another branch of its log

    def stored(self, held: Held, point: datetime, usable: datetime, added: int) -> None:
        """One more snapshot, which added so many bytes to the repository."""
        self.bytes += added
        if held.whole:
            self.first, self.last = self.first or held.whole[0], held.whole[-1]
        self.points.append(((point - self.since).total_seconds(), (usable - self.since).total_seconds()))
