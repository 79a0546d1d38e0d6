"""That the log in the repository goes on where this host believes it does: asked when it begins, compared later, and
told where any of it is missing."""

from __future__ import annotations

from contextlib import suppress

from ccdr.jobs.shipping.batch import Held
from ccdr.jobs.shipping.branches import covers
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.log_repository import archive_of
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.jobs.shipping.stored_batch import Gap, StoredBatch
from ccdr.jobs.shipping.successor import is_successor
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.model.finding import Finding
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import FUTURE

VANISHED = "all of its log has vanished from the repository: a new base backup is needed"


class Continuity:
    """Once it has `begun`, it is known where the log stands, and whose it is."""

    def __init__(self, shipment: Shipment, repo: Restic) -> None:
        self._shipment, self._repo = shipment, repo
        self._job, self._log, self._journal = shipment.job, shipment.log, shipment.journal
        self.begun = False  # has the repository said where the log stands?
        self.server = shipment.standing.server  # whose log is stored
        self.answering: str | None = None  # which server the source is now
        self.skew: float | None = None  # as it was read last
        self.ahead: tuple[Finding, ...] = ()  # what is told of the newest snapshot's date
        self._vanished: str | None = None  # what the log began with that is in the repository no more

    def recognise(self, stored: str | None) -> bool:
        """The server whose log was stored so far, whatever answers under its address now. True where that one stands in
        its place: ccdr made it new of its backups, or somebody agreed to it."""
        self.server = stored or self.answering
        if stored is None or self.answering in (None, stored):
            return False
        if not is_successor(self._job, self._shipment.services, self.answering, log=self._log):
            raise CcdrError(
                f"another server answers: {self.answering}, and the log that is stored is of {stored}",
                hint="its bases and its log are another asset's: give it a name of its own in the plan; if the plan "
                f"means that PostgreSQL server from now on: `ccdr backup {self._job.plan}`, then "
                f'`ccdr ack OTHER_CLUSTER {self._job.plan} --asset {self._job.asset} --until 30d --why "…"`',
            )
        return True

    def begin(self) -> None:
        """Where the log stands is for the repository to say; what a crash left of a batch is stored once more."""
        archive = archive_of(self._job, self._repo)
        if archive.newest is None:
            with suppress(CommandFailed):
                archive = self._looked_at_again()
                if archive.newest is None:
                    self._all_vanished()
        if (newest := archive.newest) is None:
            self.server, self.begun = self.answering, True
            return
        anew = self._shipment.standing.anew
        begun_anew = anew is not None and (newest.anew is None or newest.anew < anew)
        self.recognise(self.server if begun_anew else newest.server or self.server)
        if begun_anew:
            self._all_vanished()  # if anything was stored since
        else:
            self._go_on_from(archive, newest)
        self.begun = True

    def _go_on_from(self, archive: LogArchive, newest: StoredBatch) -> None:
        chain = archive.contiguous(self._log)
        self.skew = newest.skew
        if newest.dated_ahead(self._shipment.clock.now()):
            text = f"log snapshot {newest.id[:8]} {FUTURE}: a host's clock was wrong when it was stored"
            self.ahead = (Finding(text, FUTURE, cause=newest.id[:8]),)
        self._journal.adopt(
            since=chain[0].begins,
            point=newest.point,
            position=newest.position or self._shipment.standing.position,
            usable=newest.usable_at,
            anew=newest.anew,
            branch=self._log.branch(newest.ends),
            forks=archive.forks(newest.anew),
        )
        self._shipment.batch.goes_on(newest, chain)

    def begin_anew(self) -> None:
        """The source's log does: nothing of what is stored leads on to it, and so nothing of it is missing."""
        self.begun, self.ahead, self._vanished = True, (), None
        self.server = self.answering or self.server

    def compare(self) -> None:
        """The log archive as it is now with what we believe of it: what has vanished no standing of ours brings back.
        What pruning let go, the newest base does not need."""
        archive, before = archive_of(self._job, self._repo), self._shipment.standing.since
        if not self._is_ours(archive):
            archive = self._looked_at_again()
        if not self._is_ours(archive):
            self._all_vanished()
        elif before is not None:
            since, base = archive.contiguous(self._log)[0].begins, self._shipment.newest_base()
            if covers(self._log, since, before):
                return
            if not covers(self._log, since, self._log.needed_from(base) if base else before):
                self._journal.missing(Gap(before, since))
                self._journal.tally.vanished = True
            self._journal.update(since=since)

    def gather(self) -> Held:
        """What the batch holds now; log that is missing is told, and recorded."""
        batch = self._shipment.batch
        held = batch.gather()
        if self._shipment.standing.since is None and batch.name is not None:
            vanished, self._vanished = self._vanished, None
            if vanished is not None and not self._log.covers(batch.name, vanished):
                self._journal.missing(Gap(vanished, batch.name))
                self._journal.tally.vanished = True
            self._journal.update(since=batch.name)
        for gap in held.gaps:
            self._journal.missing(gap)
        return held

    def _all_vanished(self) -> None:
        """Nothing is there, where something was stored once. What the spool holds still is stored again: only then is
        it known what is missing."""
        standing = self._shipment.standing
        if standing.point is not None:
            self._vanished = standing.since or self._vanished or standing.position or ""
            self._shipment.batch.stored = None
            self._journal.update(since=None, gap=VANISHED)

    def _is_ours(self, archive: LogArchive) -> bool:
        """Does anything of it belong to the log that we believe is there?"""
        return archive.newest is not None and archive.newest.anew == self._shipment.standing.anew

    def _looked_at_again(self) -> LogArchive:
        """Once the repository is there for certain. An unmounted path looks like none, and may be mounted meanwhile."""
        self._ensure_repository()
        return archive_of(self._job, self._repo)

    def _ensure_repository(self) -> None:
        """Never a log without the backups that it belongs to."""
        services = self._shipment.services
        services.make_if_missing(self._repo, lambda: services.repository(self._job.loaded, self._job.limits).probe())
