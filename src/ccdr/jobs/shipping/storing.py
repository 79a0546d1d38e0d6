"""Stores what waits in the spool: tried again where not all of it could be read, confirmed, and counted then.

A segment leaves the spool only when its snapshot is confirmed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ccdr.jobs.shipping.batch import Held
from ccdr.jobs.shipping.continuity import Continuity
from ccdr.jobs.shipping.log_archive import INDEX, Extent, tags_of, take_back
from ccdr.jobs.shipping.shipment import POLL, Proven, Shipment
from ccdr.model.errors import CommandFailed, Locked
from ccdr.model.measure import Point
from ccdr.ports.log import LogMark
from ccdr.storage.listing import Stored
from ccdr.storage.restic import Restic

LOCK_WAIT = 300.0  # seconds that old log may take to be removed
CLOSE_BYTES, CLOSE_AFTER = 512 * 2**20, timedelta(hours=1)  # when a batch is closed
ATTEMPTS = 3


@dataclass(frozen=True)
class Confirmed:
    """A snapshot that counts, and what it holds: all up to `position`, and what was acknowledged before `point`."""

    held: Held
    point: datetime
    position: str | None
    snapshot: Stored
    seen: list[tuple[str, int]]  # as `Batch.seen` has it
    spooled: int  # bytes that were in the spool


class Storing:
    """Of one asset's log, with `store`."""

    def __init__(self, shipment: Shipment, repo: Restic, proven: Proven, continuity: Continuity) -> None:
        self._shipment, self.repo, self._proven, self._continuity = shipment, repo, proven, continuity
        self._spool, self._batch, self._journal = shipment.spool, shipment.batch, shipment.journal

    def store(self, mark: LogMark | None) -> None:
        """Store the batch with all that is in the spool. Without a mark the point stays where it was: what was
        received since is stored, and how far it reaches is for a recovery to find."""
        if not self._continuity.begun:
            self._continuity.begin()
        point = mark.at if mark else self._shipment.standing.point
        position = mark.position if mark else self._proven.position()
        if mark is not None:
            self._continuity.skew = mark.clock_skew_s
        if point is None or (confirmed := self._confirmed(mark, point, position)) is None:
            return
        now = self._shipment.clock.now()
        self._count(confirmed, now)
        if mark is not None:
            self._believe_again()
        self._close_in_time(confirmed.held, now)
        if confirmed.held.torn:  # what comes behind is of the next batch
            self.store(mark)
        self._spool.stored(confirmed.spooled)

    def _confirmed(self, mark: LogMark | None, point: datetime, position: str | None) -> Confirmed | None:
        """None where the spool does not hold again what it once did, or holds nothing new. CommandFailed where restic
        never reads all that is there."""
        batch, warning = self._batch, ""
        for _ in range(ATTEMPTS):
            held, spooled = self._continuity.gather(), self._spool.bytes
            if mark is None or held.torn:  # what the mark says is only true of what lies behind the gap
                point, position = self._proven.reached(held, point, position, self._continuity.skew)
            else:
                batch.expect(position or "", held)
            if position and not held.torn and not self._shipment.log.reaches(self._spool.directory, position):
                return None
            seen = batch.seen()
            if batch.name is None or (mark is None and seen == batch.stored):
                return None
            snapshot = self._back_up(batch.name, held, point, position or "")
            if snapshot.warning is None:
                return Confirmed(held, point, position, snapshot, seen, spooled)
            self._take_back(snapshot)
            warning = snapshot.warning
        raise CommandFailed(["restic"], 3, warning, what="storing the log")

    def _count(self, confirmed: Confirmed, now: datetime) -> None:
        held, point = confirmed.held, confirmed.point
        self._batch.stored = confirmed.seen
        self._journal.tally.stored(held, point, now, confirmed.snapshot.added)
        self._journal.update(
            point=point,
            position=confirmed.position,
            usable=now,
            server=self._continuity.server,
            pending=(*self._shipment.standing.pending, Point(point, now)),
            branch=self._proven.branch_of(held),
            forks=self._proven.forks,
        )

    def _believe_again(self) -> None:
        """All that the source had written is stored: there is no trouble, and a newer snapshot is believed instead of
        one that was dated ahead."""
        self._journal.untroubled()
        over, self._continuity.ahead = self._continuity.ahead, ()
        self._journal.update(findings=tuple(f for f in self._shipment.standing.findings if f not in over))

    def _close_in_time(self, held: Held, now: datetime) -> None:
        large = min(CLOSE_BYTES, self._spool.limit // 2)  # what is stored takes no room from what waits
        full = self._batch.bytes > large or now - self._batch.began > CLOSE_AFTER
        closes = held.torn or (held.whole and full)
        if closes or not self._journal.recorded_within(CLOSE_AFTER, now):
            self._journal.record(None)  # what the ledger does not tell of within the hour, `status` does not believe
        if closes:
            self._batch.close(held)

    def _back_up(self, name: str, held: Held, point: datetime, position: str) -> Stored:
        job, batch = self._shipment.job, self._batch
        anew, skew = self._shipment.standing.anew, self._continuity.skew
        extent = Extent(point, position, self._continuity.server, skew, anew, batch.forks)
        batch.write_index(job, held, extent)
        tags = tags_of(job, self._shipment.run.id, name, held.whole, held.open, extent, batch.heads)
        with self._reading():
            return self.repo.backup([batch.directory], tags=tags, linked=True)

    def _take_back(self, snapshot: Stored) -> None:
        """What restic could not read whole never counts: by what it says of itself it holds all that was there, and
        what is stored leaves the spool."""
        beside = self._batch.directory / INDEX
        with self._reading():
            take_back(self._shipment.job, self._shipment.run.id, self.repo, snapshot.id, beside)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Old log may just be being removed: that takes seconds, and is no trouble."""
        clock = self._shipment.clock
        deadline = clock.monotonic() + LOCK_WAIT
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(self._shipment.services.state.reading(self.repo.location))
                except Locked:
                    if clock.monotonic() > deadline:
                        raise
                else:
                    yield
                    return
            self._spool.wait(POLL)
