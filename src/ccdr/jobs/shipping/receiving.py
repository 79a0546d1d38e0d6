"""A receiver at work: waited for with the heart beating, and seen to have ended before anything is stored by it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ccdr.jobs.shipping.shipment import Shipment
from ccdr.jobs.shipping.spool import POLL
from ccdr.model.errors import CommandFailed
from ccdr.ports.log import LogMark
from ccdr.ports.place import Session, Source

HOLD = 30.0  # seconds that a mark may take to be received
EARLY = 0.25  # of what may wait: that much is stored before its time


@dataclass(frozen=True)
class Receiving:
    """Of what `source` writes, into the shipment's spool; `beat` writes the canary's heartbeat."""

    shipment: Shipment
    source: Source
    receiver: Session
    beat: Callable[[], None]

    def wait_until(self, due: float, ends: Callable[[], bool]) -> bool:
        """Of the monotonic clock; not as long where much comes, or where it `ends`: True then."""
        shipment, clock = self.shipment, self.shipment.clock
        every = shipment.settings.canary.every if shipment.settings.canary else None
        beaten, before = clock.monotonic(), shipment.spool.bytes
        while (now := clock.monotonic()) < due and shipment.spool.bytes - before <= shipment.spool.limit * EARLY:
            shipment.spool.wait(min(POLL, due - now))
            self._refuse_ended()
            if ends():
                return True
            if every is not None and now - beaten >= every:
                self.beat()
                beaten = now
        return False

    def wait_for(self, mark: LogMark) -> None:
        """All that the source had written by then is durably in the spool; CommandFailed where it does not come."""
        spool, clock = self.shipment.spool, self.shipment.clock
        deadline = clock.monotonic() + HOLD
        self._refuse_ended()
        while not self.shipment.log.holds(self.source, spool.directory, mark):
            self._refuse_ended()
            if clock.monotonic() > deadline:
                raise CommandFailed(
                    ["receiver"], 1, f"what the source had written by {mark.position} has not come", what="receiving"
                )
            spool.wait(POLL)
        self._refuse_ended()  # else nobody knows whose doing it was

    def _refuse_ended(self) -> None:
        if (ended := self.receiver.ended()) is not None:
            raise CommandFailed(["receiver"], 1, ended, what="receiving the log")
