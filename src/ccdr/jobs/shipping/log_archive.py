"""What is stored of a source's log: batches, each a run of segments, in a repository of their own.

A batch is stored again at every interval with all that came since it began, and is closed once it is large or old:
then its segments leave the spool and the next batch begins. So the newest snapshot of each batch is all that is ever
needed of it, and a recovery fetches as many snapshots as there are batches, not as there were intervals.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate, pairwise

from ccdr.jobs.shipping.branches import Line, covers, line_to, merged
from ccdr.jobs.shipping.stored_batch import EARLIEST, Gap, StoredBatch, end_of, held_of, key_of, rank
from ccdr.model.forks import Fork
from ccdr.ports.log import ShippedLog


@dataclass(frozen=True)
class LogArchive:
    """The newest snapshot of each batch, in the log's order. `spare` are older snapshots of the same batches."""

    batches: tuple[StoredBatch, ...] = ()
    spare: tuple[StoredBatch, ...] = ()

    @property
    def newest(self) -> StoredBatch | None:
        return self.batches[-1] if self.batches else None

    def skew_at(self, moment: datetime | None, base: tuple[datetime, float | None]) -> float | None:
        """The source's clock's lead over the host's as it was read nearest to `moment` (None: last). `base` is when
        it was read with a base, and found; None where nobody read it."""
        readings = [base, *((batch.point, batch.skew) for batch in (*self.spare, *self.batches))]
        known = [(when, skew) for when, skew in readings if skew is not None]
        if moment is None:
            return known[-1][1] if known else None
        return min(known, key=lambda pair: abs(pair[0] - moment), default=(moment, None))[1]

    def forks(self, anew: datetime | None) -> tuple[Fork, ...]:
        """Where branches began, of the history that began then."""
        return merged(batch.forks for batch in (*self.spare, *self.batches) if batch.anew == anew)

    def line(self, log: ShippedLog, branch: int | None = None, anew: datetime | None = None) -> Line:
        """To that branch of the history that began then; None: to the newest of all."""
        newest = self.newest
        if branch is None:
            assert newest is not None
            branch, anew = log.branch(newest.ends), newest.anew
        return line_to(log, self.forks(anew), branch)

    def along(self, line: Line, anew: datetime | None) -> tuple[StoredBatch, ...]:
        """Those of a history that hold anything of the way to a branch of it."""
        return tuple(b for b in self.batches if b.anew == anew and line.passes(b.begins, b.ends))

    def gaps(self, log: ShippedLog) -> list[Gap]:
        """Where a batch does not begin right after the one before it ends, on the way to the newest branch."""
        if (newest := self.newest) is None:
            return []
        forks, gaps = self.forks(newest.anew), []
        mine = self.along(self.line(log), newest.anew)
        others = tuple(b for b in self.batches if b.anew != newest.anew)
        for one, other in pairwise((*others, *mine)):
            if not one.leads_to(other, log, forks):
                gaps.append(Gap(one.last or one.name, other.begins))
        return gaps

    def contiguous(self, log: ShippedLog) -> tuple[StoredBatch, ...]:
        """The newest batches that have no gap between them, on the way to the newest branch."""
        if (newest := self.newest) is None:
            return ()
        forks = self.forks(newest.anew)
        kept: list[StoredBatch] = []
        for batch in reversed(self.along(self.line(log), newest.anew)):
            if kept and not batch.leads_to(kept[-1], log, forks):
                break
            kept.append(batch)
        return tuple(reversed(kept))

    def history_of(self, since: datetime | None) -> datetime | None:
        """When the history began in which a base of this moment was taken; None: the first."""
        begun = [b.anew for b in self.batches if b.anew is not None]
        return max((moment for moment in begun if since is None or moment <= since), default=None)

    def from_segment(
        self,
        needed: str,
        log: ShippedLog,
        since: datetime | None = None,
        anew: datetime | None = None,
        branch: int | None = None,
    ) -> tuple[StoredBatch, ...]:
        """The batches that a recovery from segment `needed` asks for, along the way to a `branch` (None: all of them);
        empty where the log does not hold it. Where the source went back (`anew`: as `torn_from` has it), its segment is
        the one of the history in which the base was taken (`since`)."""
        if since is not None and self.torn_from(since, anew) is not None:
            return ()
        mine = self.history_of(since)
        way, held = self.batches, log.covers
        if branch is not None:
            held = partial(covers, log)
            behind = (b for b in self.batches if (b.anew or EARLIEST) > (mine or EARLIEST))
            way = (*self.along(self.line(log, branch, mine), mine), *behind)
        at = [n for n, b in enumerate(way) if b.anew == mine and held(b.begins, needed)]
        return way[at[-1] :] if at else ()

    def torn_from(self, base: datetime, anew: datetime | None = None) -> datetime | None:
        """When the source was found to have gone back (`anew`: as its host wrote it down, for nothing of it may be
        stored since), where no log leads on from a base of this moment: it lies behind all that was stored before, and
        may be of either history; or it lies behind that, and nothing was stored since."""
        ends = {batch.anew or EARLIEST: batch.point for batch in self.batches}
        begun = sorted({*ends, anew or EARLIEST})
        mine = max((moment for moment in begun if moment <= base), default=EARLIEST)
        later = next((moment for moment in begun if moment > mine), None)
        if mine not in ends:
            return mine if mine > EARLIEST else None
        return later if base > ends[mine] else None


def let_go(
    archive: LogArchive, needed: str | None, log: ShippedLog, since: datetime | None = None
) -> list[StoredBatch]:
    """What no recovery will ask for any more: older snapshots of the same batches, and batches before the one that
    holds segment `needed`, with which the oldest kept base (of `since`) begins (None: there is no base, and all batches
    stay). Where the log does not hold that one, all batches stay: what is wrong is not for pruning to make worse.
    Pure."""
    kept = archive.batches if needed is None else archive.from_segment(needed, log, since) or archive.batches
    return [*archive.spare, *(batch for batch in archive.batches if batch not in kept)]


def arranged(snapshots: Iterable[StoredBatch]) -> LogArchive:
    """Snapshots in the log's own order, told apart by batch: their dates are of a host whose clock may have been wrong.
    Where one bears a later point than what came after it, that is not believed: it claims no more than the one before
    it. Pure."""
    newest: dict[tuple[datetime, str], StoredBatch] = {}
    older = []
    for batch in sorted(snapshots, key=held_of):
        if key_of(batch) in newest:
            older.append(newest[key_of(batch)])
        newest[key_of(batch)] = batch
    batches: list[StoredBatch] = []
    for batch in sorted(newest.values(), key=lambda b: (key_of(b)[0], rank(b.begins))):
        before = batches[-1] if batches and batches[-1].anew == batch.anew else None
        if before is not None and end_of(batch) < end_of(before):  # all that it holds is in the one before it, and more
            older.append(batch)
        else:
            batches.append(batch)
    limits = list(accumulate((b.point for b in reversed(batches)), min))[::-1]  # the earliest from each on
    believed, point = [], EARLIEST
    for batch, limit in zip(batches, limits, strict=True):
        believed.append(_believed(batch, limit, point))
        point = believed[-1].point
    limit_of = {key_of(batch): limit for batch, limit in zip(batches, limits, strict=True)}
    last = datetime.max.replace(tzinfo=UTC)
    return LogArchive(
        tuple(believed), tuple(_believed(batch, limit_of.get(key_of(batch), last), EARLIEST) for batch in older)
    )


def _believed(batch: StoredBatch, limit: datetime, point: datetime) -> StoredBatch:
    """A point behind `limit` is replaced; nor is the skew believed that was measured by the same clock."""
    return batch if batch.point <= limit else replace(batch, point=point, claimed=batch.point, skew=None)
