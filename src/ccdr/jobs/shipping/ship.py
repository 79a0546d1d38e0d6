"""Ships one asset's log for as long as it runs: a receiver writes into a spool, and at every interval what is there
is stored. The achieved RPO is then that interval and the time that storing takes.

The point of a snapshot is the moment before its mark was asked for: the source says where its log ends, and only once
all up to there is durably in the spool is it stored.

While the repository is away the log is received all the same, into the spool, until that holds `spool_limit`. What
threatens the source is looked at in any case, before anything is stored.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from ccdr.evidence.history.kinds import STOPPED
from ccdr.host import interrupts
from ccdr.jobs import in_force
from ccdr.jobs.pausing import Pauses
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import WentBack
from ccdr.jobs.shipping.continuity import Continuity, SourceHistory
from ccdr.jobs.shipping.log_archive import log_repository
from ccdr.jobs.shipping.shipment import Proven, Receiving, Shipment
from ccdr.jobs.shipping.storing import Storing
from ccdr.model.errors import (
    BackupFailed,
    CcdrError,
    CommandFailed,
    Locked,
    RepositoryDamaged,
    RepositoryMissing,
    RepositoryUnavailable,
)
from ccdr.plans.job import Job
from ccdr.ports.log import LogMark
from ccdr.ports.place import Progress, Source
from ccdr.storage.restic import Restic

SHIP, WAITS = "ship", "ship-waits"  # the locks' verbs: of who ships it, and of who will once a pause is over
PAUSE_LOOK = 2.0  # seconds between two looks whether the plan is paused
REVIEW = 300.0  # seconds between two looks at what threatens the source
STORE_WAIT = 120.0  # seconds without a byte stored: the receiver goes on meanwhile
REOPEN = 12 * 3600.0  # seconds; a client's container says that it expires after a day
REST, LONGEST_REST = 5.0, 60.0  # seconds between two tries to reach a source that is away
# Why a repository may not have stored: for the source, and for what receives from it, that is no reason to stop.
AWAY = (RepositoryMissing, RepositoryDamaged, RepositoryUnavailable, BackupFailed, CommandFailed, Locked)


def ship(
    job: Job,
    services: Services,
    progress: Progress,
    *,
    once: bool = False,
    outdated: Callable[[], bool] = lambda: False,
) -> None:
    """Until it is interrupted (KeyboardInterrupt is raised again), or the job is `outdated`, which is asked every few
    seconds: another plan is in its place. `once`: until the first snapshot is stored.
    UsageProblem, Locked and BackupFailed (a source whose log cannot be shipped) are raised; whatever else stands in the
    way is recorded, told by `status`, and tried again. While the plan is paused it waits, unless `once`."""
    lock, pauses = services.state.lock, Pauses(services)

    def paused() -> bool:
        return not once and pauses.of(job.plan) is not None

    def stands_still() -> bool:
        return outdated() or paused()

    while not outdated():
        with contextlib.ExitStack() as locks:
            if paused():  # what a person ships by hand meanwhile has the other lock
                locks.enter_context(lock(job.plan, job.asset, WAITS))
                progress.step(f"{job.asset}: {job.plan} is {pauses.of(job.plan)}: its log is not shipped until then")
                _wait_while(lambda: paused() and not outdated())
            locks.enter_context(lock(job.plan, job.asset, SHIP))
            run = locks.enter_context(services.state.run(services.clock))
            in_force.record_all([job.loaded], services)  # a full disk is waited for, as whatever stands in the way
            shipment = Shipment.of(job, services, run, progress)
            if Shipping(shipment, _repository_of(shipment), stands_still).carry_out(once=once):
                return


def _wait_while(paused: Callable[[], bool]) -> None:
    while paused():
        interrupts.tick()
        time.sleep(PAUSE_LOOK)


def _repository_of(shipment: Shipment) -> Restic:
    """While it stores, the spool is watched."""
    repo = log_repository(shipment.job, shipment.services)
    patience = min(STORE_WAIT, shipment.job.limits.no_progress)
    return replace(repo, host=repo.host.with_(no_progress=patience, meanwhile=shipment.spool.watch))


class Shipping:
    """Receive, store, wait; and whatever goes wrong, once more."""

    def __init__(self, shipment: Shipment, repo: Restic, stands_still: Callable[[], bool] = lambda: False) -> None:
        proven = Proven(shipment)
        self.shipment, self._journal = shipment, shipment.journal
        self.continuity = Continuity(shipment, repo)
        self.history = SourceHistory(shipment, proven, self.continuity)
        self.storing = Storing(shipment, repo, proven, self.continuity)
        self._rest, self._stopped, self._looked = REST, stands_still, shipment.clock.monotonic()

    def carry_out(self, *, once: bool) -> bool:
        """False where the plan was paused, or changed: what had come by then is stored."""
        self._journal.remember_last_record()
        self._journal.adopt(running=True)
        self.start(once=once)
        try:
            while True:
                try:
                    with self._source() as source:
                        if self._receive_and_store(source, once=once):
                            return True
                except WentBack as error:
                    self.history.begin_anew(error)
                    if once:
                        raise
                except Exception as error:  # what we did not foresee must not end what runs for years
                    self._journal.troubled(error)
                    if once and isinstance(error, CcdrError | OSError):
                        raise
                with contextlib.suppress(CcdrError, OSError):
                    self.storing.store(None)  # what has come all the same
                if self._stopped():
                    return False
                self.shipment.spool.wait(self._rest)
                self._rest = min(2 * self._rest, LONGEST_REST)
        finally:
            self._journal.record(STOPPED)

    def start(self, *, once: bool) -> None:
        """The spool of what was shipped before goes on without the repository; else that must say from where on."""
        self.history.finish_beginning_anew()
        try:
            self.continuity.begin()
        except AWAY as error:
            if once or self.continuity.server is None or self.shipment.spool.last is None:
                raise
            self._journal.troubled(error)

    def keep(self, mark: LogMark | None, *, once: bool, compare: bool = False) -> bool:
        """Store it. A repository that is away is told and tried again, and what was received waits in the spool, until
        there is more of it than the plan allows (raised); False then. `once`: that is raised too."""
        try:
            if compare and self.continuity.begun:
                self.continuity.compare()
            self.storing.store(mark)
        except AWAY as error:
            if once:
                raise
            self.shipment.spool.refuse_too_much(str(error))
            self._journal.troubled(error)
            return False
        return True

    @contextlib.contextmanager
    def _source(self) -> Iterator[Source]:
        job, services, run = self.shipment.job, self.shipment.services, self.shipment.run
        credentials = run.scratch / "credentials"
        credentials.mkdir(mode=0o700, exist_ok=True)
        services.write_credentials(job, credentials)
        spool = self.shipment.spool.directory
        opened = services.lab.source(
            job.engine, run.id, spool, credentials, job.limits.no_progress, self.shipment.progress
        )
        with opened as (source, _):
            yield source

    def _receive_and_store(self, source: Source, *, once: bool) -> bool:
        """Until something is wrong (raised) or the place must be opened anew; True to end."""
        shipment, log = self.shipment, self.shipment.log
        base = shipment.newest_base()
        needed = log.needed_from(base) if base else None
        shipment.batch.base = None if base is None or needed is None else (needed, log.needed_head(base))
        self.continuity.answering = log.identity(source)
        another = self.continuity.recognise(self.continuity.server)
        self._review(source)  # first: its disk must not fill unseen, whatever becomes of the log here
        stored = self.keep(None, once=once)  # what an earlier receiver has left may be in the way of the next
        self.history.compare(source, stored=stored, another=another)
        after = shipment.batch.last if self.continuity.begun else shipment.spool.last
        argv, env = log.receiver(source, shipment.spool.directory, after, needed, stored=stored)
        opened = shipment.clock.monotonic()
        with (
            source.place.session(argv, env=env) as receiver,
            log.beat(source) as beat,
            shipment.spool.guarded(once=once),
        ):
            self._rest = REST
            return self._at_every_interval(Receiving(shipment, source, receiver, beat), opened + REOPEN, once=once)

    def _at_every_interval(self, receiving: Receiving, until: float, *, once: bool) -> bool:
        """As `_receive_and_store`."""
        clock, interval = self.shipment.clock, self.shipment.settings.interval
        due = reviewed = clock.monotonic()
        while clock.monotonic() < until:
            if receiving.wait_until(due, self._stands_still):
                return False
            now = clock.monotonic()
            due = min(max(due, now - interval), now) + interval  # what was stored early brings on the next, too
            if review := clock.monotonic() - reviewed > REVIEW:
                self._review(receiving.source)
                reviewed = clock.monotonic()
            receiving.beat()
            mark = self.shipment.log.mark(receiving.source, clock)
            receiving.wait_for(mark)
            self.keep(mark, compare=review, once=once)
            if once:
                return True
        return False

    def _stands_still(self) -> bool:
        """Was the plan paused, or changed? Looked at every few seconds."""
        now = self.shipment.clock.monotonic()
        if now - self._looked < PAUSE_LOOK:
            return False
        self._looked = now
        return self._stopped()

    def _review(self, source: Source) -> None:
        """What threatens the source, or the log."""
        self._journal.threatened((*self.shipment.log.ready(source), *self.continuity.ahead))
