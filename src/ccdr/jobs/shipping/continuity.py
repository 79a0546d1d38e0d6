"""That the log goes on where this host believes it does: in the repository, and at a source that may have gone back
behind its own log, or have a successor.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from itertools import takewhile

from ccdr.evidence.records import Record, RecoverStart, RestoreEnd, RestoreStart
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.batch import Held, WentBack
from ccdr.jobs.shipping.log_archive import (
    Gap,
    Line,
    LogArchive,
    StoredBatch,
    archive_of,
    contradicts,
    covers,
    line_to,
    merged,
    rank,
)
from ccdr.jobs.shipping.shipment import Proven, Shipment
from ccdr.model.errors import CcdrError, CommandFailed
from ccdr.model.finding import Finding
from ccdr.model.forks import Fork
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.ports.place import Source
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import FUTURE

# A server that stands in the place of the one that was backed up: its backups and its log go on from there.


def is_successor(
    job: Job, services: Services, identity: str | None, mark: str | None = None, log: ShippedLog | None = None
) -> bool:
    """Do records account for the server that answers by this identity? Its backups are known to be of it, as somebody
    agreed; or a recovery of this asset made it new (it bears this `mark`, or what its `log` derives from one), or
    restored onto it."""

    def told_by(record: Record) -> bool:
        if record.plan != job.plan or record.asset not in (None, job.asset):
            return False
        if isinstance(record, RestoreStart | RecoverStart):  # whose run is the mark of the server that it made
            made = log and log.made_new(record.run)
            return mark == record.run or (made is not None and made == identity)
        if not isinstance(record, RestoreEnd) or record.result != "RESTORED" or identity is None:
            return False
        return record.server == identity

    known = services.history(job).server
    return (known is not None and known == identity) or any(map(told_by, services.records()))


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


# Is the source still where it was, or further on? It may have gone back behind its own log, which begins anew then;
# or it goes on by another branch, from before the end of what was received.

WAITS = "what was received waits to be stored first"


class SourceHistory:
    """Of one source, held against what was received of its log."""

    def __init__(self, shipment: Shipment, proven: Proven, continuity: Continuity) -> None:
        self._shipment, self._proven, self._continuity = shipment, proven, continuity
        self._log, self._journal = shipment.log, shipment.journal
        self._spool, self._batch = shipment.spool, shipment.batch
        self._told: int | None = None  # the branch that the ledger was told of
        self._anew_since: datetime | None = None  # from when on bases are of a log that was begun anew

    def compare(self, source: Source, *, stored: bool, another: bool = False) -> None:
        """WentBack where it is another history, as that of `another` server in its place is. Where it is, or where
        another branch is begun, all that came before is to be `stored` first (CcdrError)."""
        last = self._newest_segment()
        if another:
            why = "that was made new by ccdr, or agreed to, and the log that is stored is of another"
            self._went_back(source, f"server {self._continuity.answering}", why, stored=stored)
        if last is None:
            return
        branch, forks = self._log.lineage(source)
        line = line_to(self._log, forks, branch)
        if self._log.branch(last) == branch and not contradicts(self._proven.forks, forks):
            position = self._shipment.standing.position if self._proven.is_on(line) else None
            segment = self._log.went_back(source, last, self._batch.last, position, self._batch.heads.get(last))
            if segment is not None:
                self._went_back(source, segment, f"its log was received up to {position or last}", stored=stored)
        elif self._log.branch(last) > branch or contradicts(self._proven.forks, forks):
            why = f"its log was received on timeline {self._log.branch(last)}, which began elsewhere"
            self._went_back(source, f"timeline {branch}", why, stored=stored)
        elif self._begins_before_the_end(line, last):
            self._branch_off(branch, forks, last, stored=stored)
        elif branch != self._told:
            self._told = branch
            self._journal.tally.branch = branch
            self._journal.record(None)
            self._journal.step(f"the source goes on by timeline {branch}, from the end of what was received")

    def begin_anew(self, error: WentBack) -> None:
        """For good: that the source writes on until it has passed what is stored does not make that its own. What it
        wrote before is stored, and stays; its log begins anew, for a base that is yet to come."""
        self._journal.tally.gaps.append(Gap(self._newest_segment() or error.segment, error.segment))
        now = self._anew_since or self._shipment.clock.now()
        self._journal.tally.anew = now
        self._journal.record(str(error))
        sentence = str(error)
        if self._anew_since is None:
            sentence += f"; a new base backup is needed: run `ccdr backup {self._shipment.job.plan}`"
        gone = {"since": None, "point": None, "usable": None, "position": None, "branch": None, "forks": ()}
        self._journal.update(**gone, anew=now, gap=sentence, server=self._continuity.answering)
        self._batch.begins_anew()
        self._continuity.begin_anew()
        self._anew_since = None
        self._journal.step(sentence)

    def finish_beginning_anew(self) -> None:
        """Whoever began the log anew was ended before it had removed what the spool held of the other history."""
        anew = self._shipment.standing.anew
        if anew is None or self._shipment.standing.point is not None:
            return
        directory = self._spool.directory
        chain = [directory / segment.file for segment in self._log.segments(directory) if not segment.beside]
        if any(path.stat().st_mtime < anew.timestamp() for path in chain):
            self._batch.begins_anew()

    def _newest_segment(self) -> str | None:
        return max(filter(None, (self._batch.last, self._spool.last)), key=rank, default=None)

    def _went_back(self, source: Source, where: str, why: str, *, stored: bool) -> None:
        self._anew_since = self._led_on_by(source)
        error = WentBack(where, f"it stands in {where}, and {why}")
        raise error if stored else CcdrError(f"{error}; {WAITS}")

    def _led_on_by(self, source: Source) -> datetime | None:
        """When the first was taken of the newest bases that are of what the source writes now, if any is."""
        point, stored = self._shipment.standing.point, self._continuity.server
        if point is None:
            return None
        theirs = takewhile(lambda base: self._log.begun_after(source, base, point, stored), self._shipment.bases())
        return min((base.consistent_point for base in theirs), default=None)

    def _begins_before_the_end(self, line: Line, last: str) -> bool:
        """Did the branch that the source writes now begin before the end of what was received?"""
        part = next((p for p in line.parts if p.branch == self._log.branch(last)), None)
        if part is None:
            return True
        if part.until is None:
            return False
        place, first = self._log.place(last), self._log.place_of(part.until)
        if place != first:
            return place > first
        directory = self._spool.directory
        files = [s.file for s in self._log.segments(directory) if s.name == last]
        if not files or not self._proven.is_on(line):
            return True
        return any(self._log.holds_behind(directory / file, part.until) for file in files)

    def _branch_off(self, branch: int, forks: Sequence[Fork], last: str, *, stored: bool) -> None:
        """The source was recovered to a moment, or promoted, behind which there is more of its log than it knows of.
        That is stored and stays, and moments of it can be gone back to; what comes now is received from where the new
        branch begins."""
        left = self._log.branch(last)
        sentence = (
            f"the source goes on by timeline {branch}, from before the end of what was received of timeline {left}"
        )
        if not stored:
            raise CcdrError(f"{sentence}; {WAITS}")
        self._journal.tally.branch = branch
        self._journal.record(None)
        self._batch.leaves(self._batch.gather())
        self._journal.update(forks=merged((self._shipment.standing.forks, forks)))
        self._journal.step(f"{sentence}; both are kept")
