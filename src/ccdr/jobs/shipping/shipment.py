"""One asset's log that is shipped: its receiver and its spool, how far it is proven, and what is told of it, at once
and in a file that `status` reads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.evidence.history.kinds import STOPPED
from ccdr.evidence.log_standing import LogStanding, directory, read_standing, write_standing
from ccdr.evidence.records.backups import LogGap, LogShipped
from ccdr.host.interrupts import tick
from ccdr.host.state import Run
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Batch, Held
from ccdr.jobs.shipping.log_archive import Gap, Line, line_to, log_of, merged, rank
from ccdr.model.errors import CcdrError, CommandFailed, failure_of
from ccdr.model.finding import Finding
from ccdr.model.forks import Fork
from ccdr.model.values import Manifest, human_bytes
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark, ShippedLog
from ccdr.ports.place import Clock, Progress, Session, Source

# What was stored since the last record: the body of the next one.


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
    anew: datetime | None = None  # the source went back: no base from before this leads on
    branch: int | None = None  # another branch of its log, by which it goes on

    def stored(self, held: Held, point: datetime, usable: datetime, added: int) -> None:
        """One more snapshot, which added so many bytes to the repository."""
        self.bytes += added
        if held.whole:
            self.first, self.last = self.first or held.whole[0], held.whole[-1]
        self.points.append(((point - self.since).total_seconds(), (usable - self.since).total_seconds()))


# What is told of a log that is shipped: how it stands, at once and in a file that `status` reads; what was stored and
# what troubles it, to the ledger, at least once an hour.


class Journal:
    """`standing` is what is written down in `home`, `tally` what the ledger has not been told of yet."""

    def __init__(
        self, job: Job, services: Services, run: Run, progress: Progress, home: Path, standing: LogStanding
    ) -> None:
        self._job, self._services, self._run, self._progress = job, services, run, progress
        self._home, self.standing = home, standing
        self.tally = Tally(services.clock.now())
        self._recorded: datetime | None = None  # when the ledger was last told of it

    def remember_last_record(self) -> None:
        """Of whoever shipped it before."""
        with suppress(CcdrError):
            self._recorded = self._services.history(self._job).log_recorded

    def recorded_within(self, span: timedelta, now: datetime) -> bool:
        return self._recorded is not None and now - span < self._recorded <= now

    def step(self, sentence: str) -> None:
        self._progress.step(f"{self._job.asset}: {sentence}")

    def adopt(self, **changes: object) -> None:
        """The standing as the repository has it, by its fields: it is written down once anything else changes."""
        self.standing = replace(self.standing, **changes)  # type: ignore[arg-type]

    def update(self, **changes: object) -> None:
        """What has changed of the standing, by its fields."""
        self.adopt(**changes)
        write_standing(self._home, self.standing)

    def missing(self, gap: Gap) -> None:
        self.tally.gaps.append(gap)
        sentence = f"log is missing between {gap.after} and {gap.before}: a new base backup is needed"
        self.step(sentence)
        self.update(since=gap.before, gap=sentence)

    def threatened(self, findings: tuple[Finding, ...]) -> None:
        """By these, told at once, and by `status` for as long as they last."""
        for finding in findings:
            if finding not in self.standing.findings:
                self.step(str(finding))
        self.update(findings=findings)

    def troubled(self, error: Exception) -> None:
        trouble = failure_of(error)
        why = " ".join(trouble.reason.split())
        if why != self.standing.trouble:
            self._services.state.keep_words(self._run.id, trouble.words)
        if self.standing.trouble is None:
            away = trouble.words.nobody_answers
            self.update(trouble=why, troubled=self._services.clock.now(), away=away)
            self.record(why)
        elif why != self.standing.trouble:
            self.update(trouble=why, away=trouble.words.nobody_answers)
        self.step(why)

    def untroubled(self) -> None:
        if self.standing.trouble is not None:
            self.update(trouble=None, troubled=None, away=False)

    def record(self, trouble: str | None) -> None:
        """What was stored since the last record."""
        tally = self.tally
        shipped = LogShipped(
            plan=self._job.plan,
            asset=self._job.asset,
            run=self._run.id,
            tenant=self._job.tenant,
            **self._job.loaded.plan.copy_facts,
            since=tally.since,
            points=[(round(point, 3), round(usable, 3)) for point, usable in tally.points],
            snapshots=len(tally.points),
            added_bytes=tally.bytes,
            first=tally.first,
            last=tally.last,
            gaps=[LogGap(after=gap.after, before=gap.before) for gap in tally.gaps],
            vanished=tally.vanished,
            anew=tally.anew,
            branch=tally.branch,
            trouble=trouble,
            findings=list(self.standing.findings),
        )
        self._services.ledger.write(shipped)
        self._recorded = self._services.clock.now()
        self.tally = Tally(self._recorded)
        self.update(pending=(), running=trouble != STOPPED)


# The spool, into which a receiver writes: what of the log waits there, and how much of it may.
#
# What is not received fills the source's disk, and what receives into the spool knows of no limit. So that is watched
# for as long as there is a receiver, also while an attempt to store is under way.

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


@dataclass(frozen=True)
class Shipment:
    """It is received into the `spool`, goes from there into the `batch` that is being stored, and how it stands is
    written into the `journal`."""

    job: Job
    services: Services
    run: Run
    progress: Progress
    settings: LogShipping
    log: ShippedLog
    spool: Spool
    batch: Batch
    journal: Journal

    @classmethod
    def of(cls, job: Job, services: Services, run: Run, progress: Progress) -> Shipment:
        """As it was left when it was shipped last. UsageProblem where the plan does not want it shipped."""
        settings, log = log_of(job)
        home = directory(services.state, job.plan, job.asset)
        received = services.state.directory("shipping", job.plan, job.asset, "spool")
        standing = read_standing(services.state, job.plan, job.asset) or LogStanding()
        return cls(
            job=job,
            services=services,
            run=run,
            progress=progress,
            settings=settings,
            log=log,
            spool=Spool(log, received, settings.spool_limit, services.clock),
            batch=Batch(log, received, home / "batch", services.digest, services.clock),
            journal=Journal(job, services, run, progress, home, standing),
        )

    @property
    def clock(self) -> Clock:
        return self.services.clock

    @property
    def standing(self) -> LogStanding:
        """As it is now."""
        return self.journal.standing

    def bases(self) -> Iterator[Manifest]:
        """That its log goes on from, newest first."""
        snapshots = self.services.catalogue.snapshots(self.job.plan, self.job.asset)
        return filter(self.log.goes_on_from, (self.services.catalogue.manifest(one) for one in reversed(snapshots)))

    def newest_base(self) -> Manifest | None:
        return next(self.bases(), None)


# A receiver at work: waited for with the heart beating, and seen to have ended before anything is stored by it.

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


# How far a log is proven to be stored, and on which of its branches.


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
