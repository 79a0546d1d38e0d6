"""The spool, into which a receiver writes: what of the log waits there, and how much of it may.

What is not received fills the source's disk, and what receives into the spool knows of no limit. So that is watched for
as long as there is a receiver, also while an attempt to store is under way.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from ccdr.host.interrupts import tick
from ccdr.jobs.shipping.stored_batch import rank
from ccdr.model.errors import CcdrError
from ccdr.model.values import human_bytes
from ccdr.ports.log import ShippedLog
from ccdr.ports.place import Clock

POLL = 0.25  # seconds between two looks at what is waited for


class Spool:
    """The log in a directory, of which so many bytes may wait there (`limit`)."""

    def __init__(self, log: ShippedLog, directory: Path, limit: int, clock: Clock) -> None:
        self.log, self.directory, self.limit, self._clock = log, directory, limit, clock
        self._receiving = False  # into it, which has to be watched then
        self._watched = 0.0  # when it was, last
        self._kept = 0  # bytes that it held when it was stored last

    @property
    def chain(self) -> list[str]:
        """The names of its segments, in the log's order."""
        return [segment.name for segment in self.log.segments(self.directory) if not segment.beside]

    @property
    def last(self) -> str | None:
        """The last segment in it."""
        chain = self.chain
        return chain[-1] if chain else None

    def first_behind(self, closed: str | None) -> str | None:
        """The first segment in it that is not stored for good yet, where all up to `closed` are."""
        return min((name for name in self.chain if closed is None or rank(name) > rank(closed)), key=rank, default=None)

    @property
    def bytes(self) -> int:
        """Of log in it."""
        size = 0
        for segment in self.log.segments(self.directory):
            with contextlib.suppress(FileNotFoundError):  # a receiver renames its files
                size += (self.directory / segment.file).stat().st_size
        return size

    def refuse_too_much(self, why: str) -> None:
        """CcdrError where more waits than may."""
        if (size := self.bytes) > self.limit:
            raise CcdrError(
                f"{human_bytes(size)} of log wait here, more than `spool_limit`, and from now on at the source: {why}",
                hint="mend the repository, or give `log_shipping: spool_limit` more room",
            )

    @contextlib.contextmanager
    def guarded(self, *, once: bool) -> Iterator[None]:
        """Whatever we wait for meanwhile, it is watched. `once`: there is an end to it soon, and it is not."""
        self._receiving = not once
        try:
            yield
        finally:
            self._receiving = False

    def watch(self) -> None:
        """CcdrError where it holds more than it may, whether or not the repository answers. A segment may be larger
        than the limit: then it is what came since it was stored that counts."""
        now = self._clock.monotonic()
        if not self._receiving or now - self._watched < POLL:
            return
        self._watched = now
        if self.bytes > max(self.limit, self._kept + self.limit // 2):
            self.refuse_too_much("storing it takes longer than it takes to come")

    def stored(self, before: int) -> None:
        """All was stored that it held when there were so many bytes in it."""
        self._kept = min(before, self.bytes)

    def wait(self, seconds: float) -> None:
        """And watch it meanwhile."""
        deadline = self._clock.monotonic() + seconds
        while (left := deadline - self._clock.monotonic()) > 0:
            tick()
            self.watch()
            time.sleep(min(POLL, left))
