"""Is the source still where it was, or further on? It may have gone back behind its own log, which begins anew then; or
it goes on by another branch, from before the end of what was received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import takewhile

from ccdr.jobs.shipping.batch import WentBack
from ccdr.jobs.shipping.branches import Line, contradicts, line_to, merged
from ccdr.jobs.shipping.continuity import Continuity
from ccdr.jobs.shipping.proven import Proven
from ccdr.jobs.shipping.shipment import Shipment
from ccdr.jobs.shipping.stored_batch import Gap, rank
from ccdr.model.errors import CcdrError
from ccdr.model.forks import Fork
from ccdr.ports.place import Source

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
            self._journal.tally.branched = True
            self._journal.record(None)
            self._journal.step(f"the source goes on by timeline {branch}, from the end of what was received")

    def begin_anew(self, error: WentBack) -> None:
        """For good: that the source writes on until it has passed what is stored does not make that its own. What it
        wrote before is stored, and stays; its log begins anew, for a base that is yet to come."""
        self._journal.tally.gaps.append(Gap(self._newest_segment() or error.segment, error.segment))
        self._journal.tally.anew = True
        self._journal.record(str(error))
        sentence = str(error)
        if self._anew_since is None:
            sentence += f"; a new base backup is needed: run `ccdr backup {self._shipment.job.plan}`"
        now = self._anew_since or self._shipment.clock.now()
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
        self._journal.tally.branched = True
        self._journal.record(None)
        self._batch.leaves(self._batch.gather())
        self._journal.update(forks=merged((self._shipment.standing.forks, forks)))
        self._journal.step(f"{sentence}; both are kept")
