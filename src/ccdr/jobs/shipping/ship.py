"""Ships one asset's log for as long as it runs: a receiver writes into a spool, and at every interval what is there
is stored. The achieved RPO is then that interval and the time that storing takes.

The point of a snapshot is the moment before its mark was asked for: the source says where its log ends, and only once
all up to there is durably in the spool is it stored. A segment leaves the spool only when its snapshot is confirmed.

While the repository is away the log is received all the same, into the spool, until that holds `spool_limit`: what is
not received fills the source's disk. That limit is watched for as long as there is a receiver, also while an attempt to
store is under way. What threatens the source is looked at in any case, before anything is stored.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ccdr.evidence.history.kinds import LOGS, STOPPED
from ccdr.evidence.log_standing import Standing, directory, read_standing, write_standing
from ccdr.host.interrupts import tick
from ccdr.host.state import Run
from ccdr.jobs import in_force
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Batch, Held, WentBack
from ccdr.jobs.shipping.branches import Line, contradicts, covers, line_to, merged
from ccdr.jobs.shipping.log_archive import INDEX, Gap, archive_of, log_of, log_repository, rank, tags, take_back
from ccdr.model.errors import (
    BackupFailed,
    CcdrError,
    CommandFailed,
    Locked,
    RepositoryDamaged,
    RepositoryMissing,
    RepositoryUnavailable,
    told,
)
from ccdr.model.forks import Fork
from ccdr.model.measure import Point
from ccdr.model.values import human_bytes, rfc3339
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark
from ccdr.ports.place import Progress, Session, Source
from ccdr.storage.catalogue import FUTURE
from ccdr.storage.listing import Stored
from ccdr.storage.restic import Restic

SHIP = "ship"  # the lock's verb
REVIEW = 300.0  # seconds between two looks at what threatens the source
LOCK_WAIT = 300.0  # seconds that old log may take to be removed
HOLD = 30.0  # seconds that a mark may take to be received
STORE_WAIT = 120.0  # seconds without a byte stored: the receiver goes on meanwhile
CLOSE_BYTES, CLOSE_AFTER = 512 * 2**20, timedelta(hours=1)  # when a batch is closed
REOPEN = 12 * 3600.0  # seconds; a client's container says that it expires after a day
REST, LONGEST_REST = 5.0, 60.0  # seconds between two tries to reach a source that is away
ATTEMPTS = 3
LOOK = 0.25  # seconds
EARLY = 0.25  # of what may wait: that much is stored before its time
# Why a repository may not have stored: for the source, and for what receives from it, that is no reason to stop.
AWAY = (RepositoryMissing, RepositoryDamaged, RepositoryUnavailable, BackupFailed, CommandFailed, Locked)
WAITS = "what was received waits to be stored first"
VANISHED = "all of its log has vanished from the repository: a new base backup is needed"


@dataclass
class _Tally:
    """What the next record tells: seconds of each snapshot's point and of when it was usable, after `since`."""

    since: datetime
    points: list[tuple[float, float]] = field(default_factory=list)
    bytes: int = 0
    first: str | None = None
    last: str | None = None
    gaps: list[Gap] = field(default_factory=list)
    vanished: bool = False  # log that was stored once is what is missing
    anew: bool = False  # the source went back: no base from before leads on

    def stored(self, held: Held, point: datetime, usable: datetime, added: int) -> None:
        """One more snapshot, which added so many bytes to the repository."""
        self.bytes += added
        if held.whole:
            self.first, self.last = self.first or held.whole[0], held.whole[-1]
        self.points.append(((point - self.since).total_seconds(), (usable - self.since).total_seconds()))

    def body(self) -> dict[str, object]:
        return {
            "since": rfc3339(self.since),
            "points": [[round(point, 3), round(usable, 3)] for point, usable in self.points],
            "snapshots": len(self.points),
            "added_bytes": self.bytes,
            "first": self.first,
            "last": self.last,
            "gaps": [{"after": gap.after, "before": gap.before} for gap in self.gaps],
            "vanished": self.vanished,
            "anew": self.anew,
        }


def ship(job: Job, services: Services, progress: Progress, *, once: bool = False) -> None:
    """Until it is interrupted (KeyboardInterrupt is raised again); `once`: until the first snapshot is stored.
    UsageProblem, Locked and BackupFailed (a source whose log cannot be shipped) are raised; whatever else stands in
    the way is recorded, told by `status`, and tried again."""
    with services.state.lock(job.plan, job.asset, SHIP), services.state.run(services.clock) as run:
        in_force.record_all([job.loaded], services)  # a full disk is waited for, as whatever stands in the way
        _Shipping(job, services, run, progress).carry_out(once=once)


class _Shipping:
    def __init__(self, job: Job, services: Services, run: Run, progress: Progress) -> None:
        self._job, self._services, self._run, self._progress = job, services, run, progress
        self._settings, self._log = log_of(job)
        self._home = directory(services.state, job.plan, job.asset)
        self._spool = services.state.directory("shipping", job.plan, job.asset, "spool")
        self._batch = Batch(self._log, self._spool, self._home / "batch", services.digest, services.clock)
        self._standing = read_standing(services.state, job.plan, job.asset) or Standing()
        repo = log_repository(job, services)
        patience = min(STORE_WAIT, job.limits.no_progress)
        self._repo: Restic = replace(repo, host=repo.host.with_(no_progress=patience, meanwhile=self._watch_spool))
        self._begun = False  # has the repository said where the log stands?
        self._server = self._standing.server  # whose log is stored
        self._answering: str | None = None  # which server the source is now
        self._rest = REST
        self._skew: float | None = None  # as it was read last
        self._ahead: tuple[str, ...] = ()  # what is told of the newest snapshot's date
        self._tally = _Tally(services.clock.now())
        self._receiving = False  # into the spool, which has to be watched then
        self._watched = 0.0  # when it was, last
        self._kept = 0  # bytes of the spool when it was stored last
        self._anew_since: datetime | None = None  # from when on bases are of a log that was begun anew
        self._vanished: str | None = None  # what the log began with that is in the repository no more
        self._recorded: datetime | None = None  # when the ledger was last told of it

    def carry_out(self, *, once: bool) -> None:
        with contextlib.suppress(CcdrError):
            self._recorded = self._services.history(self._job).log_recorded
        self._start(once=once)
        try:
            while True:
                try:
                    with self._source() as source:
                        if self._go_on(source, once=once):
                            return
                except WentBack as error:
                    self._begin_anew(error)
                    if once:
                        raise
                except Exception as error:  # what we did not foresee must not end what runs for years
                    self._troubled(error)
                    if once and isinstance(error, CcdrError | OSError):
                        raise
                with contextlib.suppress(CcdrError, OSError):
                    self._store(None)  # what has come all the same
                self._wait(self._rest)
                self._rest = min(2 * self._rest, LONGEST_REST)
        finally:
            self._record(STOPPED)

    def _begin_anew(self, error: WentBack) -> None:
        """For good: that the source writes on until it has passed what is stored does not make that its own. What it
        wrote before is stored, and stays; its log begins anew, for a base that is yet to come."""
        self._tally.gaps.append(Gap(self._newest_segment() or error.segment, error.segment))
        self._tally.anew = True
        self._record(str(error))
        said = str(error)
        if self._anew_since is None:
            said += f"; a new base backup is needed: run `ccdr backup {self._job.plan}`"
        now = self._anew_since or self._services.clock.now()
        gone = {"since": None, "point": None, "usable": None, "position": None, "branch": None, "forks": ()}
        self._set(**gone, anew=now, gap=said, server=self._answering)
        self._batch.begins_anew()
        self._begun, self._ahead, self._vanished = True, (), None
        self._anew_since = None
        self._progress.step(f"{self._job.asset}: {said}")

    def _left_behind(self) -> None:
        """Whoever began the log anew was ended before it had removed what the spool held of the other history."""
        anew = self._standing.anew
        if anew is None or self._standing.point is not None:
            return
        chain = [self._spool / segment.file for segment in self._log.segments(self._spool) if not segment.beside]
        if any(path.stat().st_mtime < anew.timestamp() for path in chain):
            self._batch.begins_anew()

    def _newest_segment(self) -> str | None:
        return max(filter(None, (self._batch.last, self._spooled())), key=rank, default=None)

    def _look_back(self, source: Source, *, stored: bool) -> None:
        """Is the source still where it was, or further on? Else all that came before is to be `stored` first."""
        last = self._newest_segment()
        if last is None:
            return
        branch, forks = self._log.lineage(source)
        line = line_to(self._log, forks, branch)
        if self._log.branch(last) == branch and not contradicts(self._known(), forks):
            position, head = (self._standing.position if self._is_on(line) else None), self._batch.heads.get(last)
            if (segment := self._log.went_back(source, last, self._batch.last, position, head)) is not None:
                self._went_back(source, segment, f"its log was received up to {position or last}", stored=stored)
        elif self._log.branch(last) > branch or contradicts(self._known(), forks):
            why = f"its log was received on timeline {self._log.branch(last)}, which began elsewhere"
            self._went_back(source, f"timeline {branch}", why, stored=stored)
        elif self._is_behind(line, last):
            self._branch_off(branch, forks, last, stored=stored)

    def _went_back(self, source: Source, where: str, why: str, *, stored: bool) -> None:
        self._anew_since = self._led_on(source)
        error = WentBack(where, f"it stands in {where}, and {why}")
        raise error if stored else CcdrError(f"{error}; {WAITS}")

    def _led_on(self, source: Source) -> datetime | None:
        """When the newest base was taken, if it is one of what the source writes now."""
        for snapshot in reversed(self._services.catalogue.snapshots(self._job.plan, self._job.asset)):
            manifest, point = self._services.catalogue.manifest(snapshot), self._standing.point
            if self._log.goes_on_from(manifest):
                mine = point is not None and self._log.begun_after(source, manifest, point)
                return manifest.consistent_point if mine else None
        return None

    def _known(self) -> tuple[Fork, ...]:
        return merged((self._standing.forks, self._batch.forks))

    def _is_on(self, line: Line) -> bool:
        """Is what is proven stored a part of the way to the branch that the source writes now?"""
        standing = self._standing
        if standing.position is None or standing.branch is None:
            return True
        part = next((p for p in line.parts if p.branch == standing.branch), None)
        return part is not None and (part.until is None or self._log.reached_before(standing.position, part.until))

    def _is_behind(self, line: Line, last: str) -> bool:
        """Did the branch that the source writes now begin before the end of what was received?"""
        part = next((p for p in line.parts if p.branch == self._log.branch(last)), None)
        if part is None:
            return True
        if part.until is None:
            return False
        place, first = self._log.place(last), self._log.place_of(part.until)
        if place != first:
            return place > first
        files = [s.file for s in self._log.segments(self._spool) if s.name == last]
        if not files or not self._is_on(line):
            return True
        return any(self._log.holds_behind(self._spool / file, part.until) for file in files)

    def _branch_off(self, branch: int, forks: Sequence[Fork], last: str, *, stored: bool) -> None:
        """The source was recovered to a moment, or promoted, behind which there is more of its log than it knows of.
        That is stored and stays, and moments of it can be gone back to; what comes now is received from where the new
        branch begins."""
        left = self._log.branch(last)
        said = f"the source goes on by timeline {branch}, from before the end of what was received of timeline {left}"
        if not stored:
            raise CcdrError(f"{said}; {WAITS}")
        self._record(None)
        self._batch.leaves(self._batch.gather())
        self._set(forks=merged((self._standing.forks, forks)))
        self._progress.step(f"{self._job.asset}: {said}; both are kept")

    def _start(self, *, once: bool) -> None:
        """The spool of what was shipped before goes on without the repository; else that must say from where on."""
        self._left_behind()
        try:
            self._begin()
        except AWAY as error:
            if once or self._server is None or self._spooled() is None:
                raise
            self._troubled(error)

    def _begin(self) -> None:
        """Where the log stands is for the repository to say; what a crash left of a batch is stored once more."""
        archive = archive_of(self._job, self._repo)
        if (newest := archive.newest) is None:
            with contextlib.suppress(CommandFailed):
                self._ensure_repository()
                self._all_vanished()
            self._server, self._begun = self._answering, True
            return
        self._recognise(newest.server or self._server)
        anew = self._standing.anew
        if anew is not None and (newest.anew is None or newest.anew < anew):
            self._all_vanished()  # if anything was stored since
            self._begun = True
            return
        chain = archive.contiguous(self._log)
        self._skew = newest.skew
        if newest.dated_ahead(self._services.clock.now()):
            self._ahead = (f"log snapshot {newest.id[:8]} {FUTURE}: a host's clock was wrong when it was stored",)
        since = chain[0].begins
        position = newest.position or self._standing.position
        self._standing = replace(
            self._standing,
            since=since,
            point=newest.point,
            position=position,
            usable=newest.usable_at,
            anew=newest.anew,
            branch=self._log.branch(newest.ends),
            forks=archive.forks(newest.anew),
        )
        self._batch.goes_on(newest, chain)
        self._begun = True

    def _spooled(self) -> str | None:
        """The last segment in the spool."""
        chain = [segment.name for segment in self._log.segments(self._spool) if not segment.beside]
        return chain[-1] if chain else None

    def _all_vanished(self) -> None:
        """Nothing is there, where something was stored once. What the spool holds still is stored again: only then is
        it known what is missing."""
        if self._standing.point is not None:
            self._vanished = self._standing.since or self._vanished or self._standing.position or ""
            self._batch.stored = None
            self._set(since=None, gap=VANISHED)

    def _compare(self) -> None:
        """The log archive as it is now with what we believe of it: what has vanished no standing of ours brings back.
        What pruning let go, the newest base does not need."""
        archive, before = archive_of(self._job, self._repo), self._standing.since
        if archive.newest is None or archive.newest.anew != self._standing.anew:
            self._ensure_repository()  # an unmounted path looks like nothing, too
            self._all_vanished()
        elif before is not None:
            since, base = archive.contiguous(self._log)[0].begins, self._newest_base()
            if covers(self._log, since, before):
                return
            if not covers(self._log, since, base[0] if base else before):
                self._missing(Gap(before, since))
                self._tally.vanished = True
            self._set(since=since)

    def _missing(self, gap: Gap) -> None:
        self._tally.gaps.append(gap)
        said = f"log is missing between {gap.after} and {gap.before}: a new base backup is needed"
        self._progress.step(f"{self._job.asset}: {said}")
        self._set(since=gap.before, gap=said)

    def _ensure_repository(self) -> None:
        try:
            self._repo.probe()
        except RepositoryMissing:
            plan = self._services.repository(self._job.loaded, self._job.limits)
            plan.probe()  # never a log without the backups it belongs to: an unmounted path looks like none
            self._repo.init()

    @contextlib.contextmanager
    def _source(self) -> Iterator[Source]:
        job, services = self._job, self._services
        credentials = self._run.scratch / "credentials"
        credentials.mkdir(mode=0o700, exist_ok=True)
        services.write_credentials(job, credentials)
        opened = services.lab.source(
            job.engine, self._run.id, self._spool, credentials, job.limits.no_progress, self._progress
        )
        with opened as (source, _):
            yield source

    def _go_on(self, source: Source, *, once: bool) -> bool:
        """Receive and store until something is wrong (raised) or the place must be opened anew; True to end."""
        self._batch.base = self._newest_base()
        self._answering = self._log.identity(source)
        self._recognise(self._server)
        self._look_at(source)  # first: its disk must not fill unseen, whatever becomes of the log here
        stored = self._keep(None, once=once)  # what an earlier receiver has left may be in the way of the next
        self._look_back(source, stored=stored)
        needed = self._batch.base[0] if self._batch.base else None
        after = self._batch.last if self._begun else self._spooled()
        argv, env = self._log.receiver(source, self._spool, after, needed, stored=stored)
        clock = self._services.clock
        opened = clock.monotonic()
        session = source.place.session(argv, env=env)
        with session as receiver, self._log.beat(source) as beat, self._guarded(once=once):
            self._rest = REST
            due = looked = clock.monotonic()
            while clock.monotonic() - opened < REOPEN:
                self._until(due, receiver, beat)
                now, interval = clock.monotonic(), self._settings.interval
                due = min(max(due, now - interval), now) + interval  # what was stored early brings on the next, too
                if review := clock.monotonic() - looked > REVIEW:
                    self._look_at(source)
                    looked = clock.monotonic()
                beat()
                mark = self._log.mark(source, clock)
                self._received(source, mark, receiver)
                self._keep(mark, compare=review, once=once)
                if once:
                    return True
        return False

    @contextlib.contextmanager
    def _guarded(self, *, once: bool) -> Iterator[None]:
        """Whatever we wait for meanwhile, the spool is watched: what receives into it knows of no limit. `once`: there
        is an end to it soon."""
        self._receiving = not once
        try:
            yield
        finally:
            self._receiving = False

    def _watch_spool(self) -> None:
        """CcdrError where it holds more than it may, whether or not the repository answers. A segment may be larger
        than the limit: then it is what came since it was stored that counts."""
        now = self._services.clock.monotonic()
        if not self._receiving or now - self._watched < LOOK:
            return
        self._watched = now
        limit = self._settings.spool_limit
        if self._waits() > max(limit, self._kept + limit // 2):
            self._refuse_too_much("storing it takes longer than it takes to come")

    def _keep(self, mark: LogMark | None, *, once: bool, compare: bool = False) -> bool:
        """Store it. A repository that is away is told and tried again, and what was received waits in the spool, until
        there is more of it than the plan allows (raised); False then. `once`: that is raised too."""
        try:
            if compare and self._begun:
                self._compare()
            self._store(mark)
        except AWAY as error:
            if once:
                raise
            self._refuse_too_much(str(error))
            self._troubled(error)
            return False
        return True

    def _recognise(self, stored: str | None) -> None:
        """The server whose log was stored so far, whatever answers under its address now."""
        if stored is not None and self._answering not in (None, stored):
            raise CcdrError(
                f"another server answers: {self._answering}, and the log that is stored is of {stored}",
                hint="its bases and its log are another asset's: give it a name of its own in the plan",
            )
        self._server = stored or self._answering

    def _look_at(self, source: Source) -> None:
        """What threatens the source, or the log: told at once, and by `status` for as long as it lasts."""
        findings = (*self._log.ready(source), *self._ahead)
        for finding in findings:
            if finding not in self._standing.findings:
                self._progress.step(f"{self._job.asset}: {finding}")
        self._set(findings=findings)

    def _newest_base(self) -> tuple[str, str | None] | None:
        """The segment that it begins with, and how that one begins."""
        for snapshot in reversed(self._services.catalogue.snapshots(self._job.plan, self._job.asset)):
            manifest = self._services.catalogue.manifest(snapshot)
            if self._log.goes_on_from(manifest):
                return self._log.needed_from(manifest), self._log.needed_head(manifest)
        return None

    def _until(self, due: float, receiver: Session, beat: Callable[[], None]) -> None:
        """Wait, the heart beating, the receiver looked at; not as long where much comes."""
        every = self._settings.canary.every if self._settings.canary else None
        clock = self._services.clock
        beaten, before = clock.monotonic(), self._waits()
        while (now := clock.monotonic()) < due and self._waits() - before <= self._settings.spool_limit * EARLY:
            self._wait(min(LOOK, due - now))
            _alive(receiver)
            if every is not None and now - beaten >= every:
                beat()
                beaten = now

    def _wait(self, seconds: float) -> None:
        deadline = self._services.clock.monotonic() + seconds
        while (left := deadline - self._services.clock.monotonic()) > 0:
            tick()
            self._watch_spool()
            time.sleep(min(LOOK, left))

    def _received(self, source: Source, mark: LogMark, receiver: Session) -> None:
        clock = self._services.clock
        deadline = clock.monotonic() + HOLD
        _alive(receiver)
        while not self._log.holds(source, self._spool, mark):
            _alive(receiver)
            if clock.monotonic() > deadline:
                raise CommandFailed(
                    ["receiver"], 1, f"what the source had written by {mark.position} has not come", what="receiving"
                )
            self._wait(LOOK)
        _alive(receiver)  # else nobody knows whose doing it was

    def _store(self, mark: LogMark | None) -> None:
        """Store the batch with all that is in the spool. Without a mark the point stays where it was: what was
        received since is stored, and how far it reaches is for a recovery to find."""
        if not self._begun:
            self._begin()
        point = mark.at if mark else self._standing.point
        position = mark.position if mark else self._proven_position()
        self._skew = mark.clock_skew_s if mark else self._skew
        if point is None:
            return
        for attempt in range(1, ATTEMPTS + 1):
            held, there = self._gather(), self._waits()
            if mark is None or held.torn:  # what the mark says is only true of what lies behind the gap
                point, position = self._told_of(held, point, position)
            else:
                self._batch.expect(position or "", held)
            if position and not held.torn and not self._log.reaches(self._spool, position):
                return
            seen = self._batch.seen()
            if self._batch.name is None or (mark is None and seen == self._batch.stored):
                return
            stored = self._backed_up(self._batch.name, held, point, position or "")
            if stored.warning is None:
                break
            self._take_back(stored)
            if attempt == ATTEMPTS:
                raise CommandFailed(["restic"], 3, stored.warning, what="storing the log")
        self._batch.stored = seen
        now = self._services.clock.now()
        self._tally.stored(held, point, now, stored.added)
        pending = (*self._standing.pending, Point(point, now))
        proven = {"point": point, "position": position, "usable": now, "server": self._server, "pending": pending}
        self._set(**proven, branch=self._branch_of(held), forks=self._known())
        if mark is not None:
            self._untroubled()
            over, self._ahead = self._ahead, ()  # a newer one is believed in its stead
            self._set(findings=tuple(said for said in self._standing.findings if said not in over))
        large = min(CLOSE_BYTES, self._settings.spool_limit // 2)  # what is stored takes no room from what waits
        full = self._batch.bytes > large or now - self._batch.began > CLOSE_AFTER
        closes = held.torn or (held.whole and full)
        if closes or self._recorded is None or not now - CLOSE_AFTER < self._recorded <= now:
            self._record(None)  # what the ledger does not tell of within the hour, `status` does not believe
        if closes:
            self._batch.close(held)
        if held.torn:
            self._store(mark)
        self._kept = min(there, self._waits())

    def _told_of(self, held: Held, point: datetime, position: str | None) -> tuple[datetime, str | None]:
        """What is true of a batch behind which another one begins. Where nothing was proven of a branch before it was
        left, that is where it was left, and when."""
        mine = None if held.last is None else self._log.branch(held.last)
        fork = next((fork for fork in self._known() if fork.parent == mine), None)
        if self._standing.point is not None or fork is None:
            return self._standing.point or point, self._proven_position() or position
        when = point if fork.at is None else min(point, fork.at - timedelta(seconds=self._skew or 0.0))
        return when, fork.position

    def _proven_position(self) -> str | None:
        """Up to where the spool is proven. Of a branch of which nothing is yet: up to where it began."""
        position, first = self._standing.position, self._first_spooled()
        if position is None or first is None:
            return position
        line = line_to(self._log, self._known(), self._log.branch(first))
        return position if self._is_on(line) else next((p.until for p in reversed(line.parts) if p.until), position)

    def _first_spooled(self) -> str | None:
        """The first segment in the spool that is not stored for good yet."""
        chain = [segment.name for segment in self._log.segments(self._spool) if not segment.beside]
        closed = self._batch.closed
        return min((name for name in chain if closed is None or rank(name) > rank(closed)), key=rank, default=None)

    def _backed_up(self, name: str, held: Held, point: datetime, position: str) -> Stored:
        anew, forks = self._standing.anew, self._batch.forks
        self._batch.write_index(self._job, held, point, position, self._server, self._skew, anew, forks)
        told = (rfc3339(point), position, self._server, self._batch.heads, self._skew, anew, forks)
        labels = tags(self._job, self._run.id, name, held.whole, held.open, *told)
        with self._reading():
            return self._repo.backup([self._batch.directory], tags=labels, linked=True)

    def _take_back(self, stored: Stored) -> None:
        """What restic could not read whole never counts: by what it says of itself it holds all that was there, and
        what is stored leaves the spool."""
        with self._reading():
            take_back(self._job, self._run.id, self._repo, stored.id, self._batch.directory / INDEX)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Old log may just be being removed: that takes seconds, and is no trouble."""
        clock = self._services.clock
        deadline = clock.monotonic() + LOCK_WAIT
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    stack.enter_context(self._services.state.reading(self._repo.location))
                except Locked:
                    if clock.monotonic() > deadline:
                        raise
                else:
                    yield
                    return
            self._wait(LOOK)

    def _gather(self) -> Held:
        """What the batch holds now; log that is missing is told, and recorded."""
        held = self._batch.gather()
        if self._standing.since is None and self._batch.name is not None:
            vanished, self._vanished = self._vanished, None
            if vanished is not None and not self._log.covers(self._batch.name, vanished):
                self._missing(Gap(vanished, self._batch.name))
                self._tally.vanished = True
            self._set(since=self._batch.name)
        for gap in held.gaps:
            self._missing(gap)
        return held

    def _branch_of(self, held: Held) -> int | None:
        return self._standing.branch if held.last is None else self._log.branch(held.last)

    def _waits(self) -> int:
        """Bytes of log in the spool."""
        size = 0
        for segment in self._log.segments(self._spool):
            with contextlib.suppress(FileNotFoundError):  # a receiver renames its files
                size += (self._spool / segment.file).stat().st_size
        return size

    def _refuse_too_much(self, why: str) -> None:
        if (size := self._waits()) > self._settings.spool_limit:
            raise CcdrError(
                f"{human_bytes(size)} of log wait here, more than `spool_limit`, and from now on at the source: {why}",
                hint="mend the repository, or give `log_shipping: spool_limit` more room",
            )

    def _set(self, **changes: object) -> None:
        self._standing = replace(self._standing, **changes)  # type: ignore[arg-type]
        write_standing(self._home, self._standing)

    def _troubled(self, error: Exception) -> None:
        found = told(error)
        why = " ".join(found.reason.split())
        if why != self._standing.trouble:
            self._services.state.keep_words(self._run.id, found.words)
        if self._standing.trouble is None:
            self._set(trouble=why, troubled=self._services.clock.now())
            self._record(why)
        elif why != self._standing.trouble:
            self._set(trouble=why)
        self._progress.step(f"{self._job.asset}: {why}")

    def _untroubled(self) -> None:
        if self._standing.trouble is not None:
            self._set(trouble=None, troubled=None)

    def _record(self, trouble: str | None) -> None:
        """What was stored since the last record."""
        whose = {"tenant": self._job.tenant, **self._job.loaded.plan.repository.copy_facts}
        body = {**self._tally.body(), **whose, "trouble": trouble, "findings": list(self._standing.findings)}
        where = {"plan": self._job.plan, "asset": self._job.asset, "run": self._run.id}
        self._services.ledger.append(LOGS, **where, body=body)
        self._recorded = self._services.clock.now()
        self._tally = _Tally(self._recorded)
        self._set(pending=())


def _alive(receiver: Session) -> None:
    if (ended := receiver.ended()) is not None:
        raise CommandFailed(["receiver"], 1, ended, what="receiving the log")
