"""What is due: five-field cron in a plan's zone, late work caught up once, failed work tried again. Pure.

Times are UTC. A due time is an occurrence of the schedule; daylight saving is cronsim's, which does as Debian's cron:
what falls into the hour that is left out runs at its end, and a fixed time in the hour that comes twice runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim

from ccdr.model.instant import Instant

# Clocks are corrected by seconds every day. A slot further ahead than this was stamped by a clock that was wrong.
SET_BACK = timedelta(minutes=5)
FIRST_WAIT, LONGEST_WAIT = timedelta(minutes=5), timedelta(hours=6)
MOST_COUNTED = 10_000  # missed due times that are counted one by one


@dataclass(frozen=True)
class Slot:
    """Where one schedule stands. Due times up to `settled` are dealt with; `pending` is the one to carry out, tried
    `tries` times so far, again not before `retry_at`. `failures` counts since the last success."""

    cron: str
    timezone: str
    settled: Instant
    pending: Instant | None = None
    tries: int = 0
    failures: int = 0
    retry_at: Instant | None = None

    def ready(self, now: datetime) -> bool:
        """Is there something to be carried out now?"""
        return self.pending is not None and (self.retry_at is None or self.retry_at <= now)

    def begun(self, now: datetime) -> Slot:
        """Stamped before the work begins, so that a crash counts as a try that failed."""
        wait = min(FIRST_WAIT * 2 ** min(self.failures, 16), LONGEST_WAIT)
        return replace(self, tries=self.tries + 1, failures=self.failures + 1, retry_at=now + wait)

    def failed(self, now: datetime) -> Slot:
        """The work has ended without success: the wait counts from now."""
        wait = min(FIRST_WAIT * 2 ** min(self.failures - 1, 16), LONGEST_WAIT)
        return replace(self, retry_at=now + wait)

    def done(self) -> Slot:
        assert self.pending is not None
        return Slot(self.cron, self.timezone, settled=max(self.settled, self.pending))

    def at_once(self, now: datetime) -> Slot:
        """Due now, whatever its schedule says, where nothing else is."""
        return self if self.pending else replace(self, pending=now.replace(microsecond=0), tries=0, retry_at=None)

    def wakes(self, now: datetime) -> datetime:
        """When to look again: at the next due time, or when what failed may be tried again."""
        after = max(self.pending or self.settled, now)
        coming = next(occurrences(self.cron, self.timezone, after))
        if self.pending is None:
            return coming
        return min(coming, max(self.retry_at or now, now))


@dataclass(frozen=True)
class Missed:
    """Due times that passed without anything being tried."""

    first: datetime
    last: datetime
    count: int
    times: tuple[datetime, ...] = field(default=(), compare=False, repr=False)  # each of them

    @classmethod
    def of(cls, times: Sequence[datetime]) -> Missed | None:
        return cls(times[0], times[-1], len(times), tuple(times)) if times else None

    def apart(self, let_be: Callable[[datetime], bool]) -> tuple[Missed | None, Missed | None]:
        """Those that were to be let be, and the others."""
        skipped = [time for time in self.times if let_be(time)]
        return Missed.of(skipped), Missed.of([time for time in self.times if time not in set(skipped)])


def occurrences(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    """Every due time later than `after`."""
    for when in CronSim(cron, after.astimezone(_zone(timezone))):
        yield when.astimezone(UTC)


def second_due(cron: str, timezone: str, since: datetime, now: datetime) -> datetime | None:
    """When it came due for the second time after `since`, if that was before `now`: then it is overdue."""
    due = list(islice(occurrences(cron, timezone, since), 2))
    return due[1] if len(due) == 2 and due[1] < now else None


def newest(cron: str, timezone: str, now: datetime) -> datetime | None:
    """The last due time up to now, this minute's included; None for a schedule that never came due."""
    local = (now.replace(microsecond=0) + timedelta(seconds=1)).astimezone(_zone(timezone))
    when = next(CronSim(cron, local, reverse=True), None)
    return when and when.astimezone(UTC)


def advance(slot: Slot | None, cron: str, timezone: str, now: datetime) -> tuple[Slot, Missed | None]:
    """Where the schedule stands now, and what it missed since it was looked at.

    A schedule that was never seen counts from now, and so does one that was changed: up to now it was as before. What
    came due several times is carried out once, for the newest; the others are missed, and so is one that was never
    tried before the next came.
    """
    if slot is None:
        return Slot(cron, timezone, settled=now), None
    if (slot.cron, slot.timezone) != (cron, timezone):
        before, missed = advance(slot, slot.cron, slot.timezone, now)
        return replace(before, cron=cron, timezone=timezone, settled=now), missed
    slot = _not_ahead(slot, now)
    last = newest(cron, timezone, now)
    after = max(slot.pending, slot.settled) if slot.pending else slot.settled
    if last is None or last <= after:
        return slot, None
    passed = [slot.pending] if slot.pending and not slot.tries else []
    for when in occurrences(cron, timezone, after):
        if when >= last or len(passed) >= MOST_COUNTED:
            break
        passed.append(when)
    # It is tried at once, whatever the wait for the one before; its own failure then waits as long as that would.
    return (
        replace(slot, settled=after, pending=last, tries=0, retry_at=None),
        Missed.of(passed),
    )


def _not_ahead(slot: Slot, now: datetime) -> Slot:
    """A clock that was ahead has stamped times that are yet to come: nothing would run until then."""
    if slot.settled > now + SET_BACK:
        slot = replace(slot, settled=now)
    if slot.pending is not None and slot.pending > now + SET_BACK:
        slot = replace(slot, pending=now)
    if slot.retry_at is not None and slot.retry_at > now + LONGEST_WAIT:
        slot = replace(slot, retry_at=now)
    return slot


def _zone(timezone: str) -> ZoneInfo | None:
    return UTC if timezone == "UTC" else ZoneInfo(timezone)  # type: ignore[return-value]
