"""What is stored of a source's log: batches, each a run of segments, in a repository of their own.

A batch is stored again at every interval with all that came since it began, and is closed once it is large or old:
then its segments leave the spool and the next batch begins. So the newest snapshot of each batch is all that is ever
needed of it, and a recovery fetches as many snapshots as there are batches, not as there were intervals.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.branches import Line, covers, joins, line_to, merged
from ccdr.model.errors import RepositoryMissing, UsageProblem
from ccdr.model.forks import Fork, written
from ccdr.model.forks import read as read_forks
from ccdr.model.values import rfc3339, utc
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.storage.catalogue import CLOCK_TOLERANCE, OURS
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic

LOG = "log"  # kind of snapshot, and where the repository lies below the plan's own
OPEN = ".open"  # what the name of a segment ends in that is not whole yet
INDEX = "ccdr-log.json"
INDEX_FORMAT = 1
VOID = "void"  # the tag of a mark that names a snapshot which does not count
EARLIEST = datetime.min.replace(tzinfo=UTC)
_PLACE = re.compile(r"[/:](?=[^/:]*$)")  # a position: a segment's number or name, then a place


@dataclass(frozen=True)
class StoredBatch:
    """One snapshot of a batch: its segments from `first` to `last` (whole ones; None where there is none yet) and
    the `open` one that was still written to. Every commit acknowledged before `point` is in it or in an earlier one."""

    id: str
    root: str
    name: str  # of the segment that it began with
    first: str | None
    last: str | None
    open: str | None
    point: datetime
    position: str
    usable_at: datetime
    run: str
    server: str | None = None  # as `ShippedLog.identity` has it
    begun: datetime | None = None  # when it began to be stored: nothing in it was written later
    claimed: datetime | None = None  # the point that it bears, where that is not believed
    skew: float | None = None  # seconds by which the source's clock was ahead of the host's at `point`
    heads: Mapping[str, str] = field(default_factory=dict)  # of its first segment, its last and the open one
    # When the source was found to have gone back behind its own log, last: the same names are of another history since.
    anew: datetime | None = None
    forks: tuple[Fork, ...] = ()  # where the branches of the log began that it knows of

    @property
    def taken(self) -> datetime:
        return self.begun or self.usable_at

    def dated_ahead(self, now: datetime) -> bool:
        """Does it bear a date that is yet to come? Then a clock was wrong, and how far it reaches is not known."""
        return max(self.point, self.usable_at) > now + CLOCK_TOLERANCE

    def leads_to(self, other: StoredBatch, log: ShippedLog, forks: Sequence[Fork] = ()) -> bool:
        """Does `other` begin right after this one ends, in one and the same log, or where a branch of it began?"""
        left = log.branch(other.begins) != log.branch(self.begins)
        ends = (self.open if left else None) or self.last
        if self.anew != other.anew or ends is None or not joins(log, ends, other.begins, forks):
            return False
        one, another = self.heads.get(other.begins), other.heads.get(other.begins)
        return one is None or another is None or same_head(one, another)

    @property
    def begins(self) -> str:
        return self.first or self.name

    @property
    def ends(self) -> str:
        return self.open or self.last or self.name


@dataclass(frozen=True)
class Gap:
    """Log that is missing: nothing between `after` and `before` was ever stored."""

    after: str
    before: str


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
        told = [base, *((batch.point, batch.skew) for batch in (*self.spare, *self.batches))]
        known = [(when, skew) for when, skew in told if skew is not None]
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
        forks, found = self.forks(newest.anew), []
        mine = self.along(self.line(log), newest.anew)
        others = tuple(b for b in self.batches if b.anew != newest.anew)
        for one, other in pairwise((*others, *mine)):
            if not one.leads_to(other, log, forks):
                found.append(Gap(one.last or one.name, other.begins))
        return found

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


def arranged(found: Iterable[StoredBatch]) -> LogArchive:
    """Snapshots in the log's own order, told apart by batch: their dates are of a host whose clock may have been wrong.
    Where one bears a later point than what came after it, that is not believed: it claims no more than the one before
    it. Pure."""
    newest: dict[tuple[datetime, str], StoredBatch] = {}
    older = []
    for batch in sorted(found, key=held_of):
        if key_of(batch) in newest:
            older.append(newest[key_of(batch)])
        newest[key_of(batch)] = batch
    batches: list[StoredBatch] = []
    for batch in sorted(newest.values(), key=lambda b: (key_of(b)[0], rank(b.begins))):
        before = batches[-1] if batches and batches[-1].anew == batch.anew else None
        if before is not None and _end(batch) < _end(before):  # all that it holds is in the one before it, and more
            older.append(batch)
        else:
            batches.append(batch)
    limits = list(accumulate((b.point for b in reversed(batches)), min))[::-1]  # the earliest from each on
    told, point = [], EARLIEST
    for batch, limit in zip(batches, limits, strict=True):
        told.append(_believed(batch, limit, point))
        point = told[-1].point
    limit_of = {key_of(batch): limit for batch, limit in zip(batches, limits, strict=True)}
    last = datetime.max.replace(tzinfo=UTC)
    return LogArchive(
        tuple(told), tuple(_believed(batch, limit_of.get(key_of(batch), last), EARLIEST) for batch in older)
    )


def _believed(batch: StoredBatch, limit: datetime, point: datetime) -> StoredBatch:
    """A point behind `limit` is replaced; nor is the skew believed that was measured by the same clock."""
    return batch if batch.point <= limit else replace(batch, point=point, claimed=batch.point, skew=None)


def key_of(batch: StoredBatch) -> tuple[datetime, str]:
    """What a batch is told apart by: names come again where the source went back."""
    return batch.anew or EARLIEST, batch.name


def same_head(one: str, other: str) -> bool:
    """Are they of one segment, of which more may have been there when one of them was read?"""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def rank(name: str) -> tuple[int, str]:
    """Names of segments count up, as numbers in them do; a longer one is a later one."""
    return len(name), name


def _end(batch: StoredBatch) -> tuple[tuple[int, str], tuple[tuple[int, str], ...]]:
    return rank(batch.open or batch.last or ""), tuple(rank(part) for part in _PLACE.split(batch.position))


def held_of(batch: StoredBatch) -> tuple[object, ...]:
    """How much of the log a snapshot of a batch holds."""
    return rank(batch.last or ""), *_end(batch), batch.point, batch.usable_at, batch.id


def log_of(job: Job) -> tuple[LogShipping, ShippedLog]:
    """UsageProblem where the plan does not want it shipped."""
    settings, log = job.engine.shipping, job.engine.log(f"{job.plan}/{job.asset}")
    if settings is None or log is None:
        raise UsageProblem(
            f"{job.plan}/{job.asset} ships no log", hint="`log_shipping: {interval: 60s}` in the plan asks for it"
        )
    return settings, log


def log_repository(job: Job, services: Services) -> Restic:
    """Where an asset's log is stored: below the plan's repository, so that pruning one does not stop the other."""
    repo = services.repository(job.loaded, job.limits)
    return replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")


def archive_of(job: Job, repo: Restic) -> LogArchive:
    """Ask the repository; an empty log archive where nothing was ever stored."""
    return _archive(_listed(job, repo))


def void_of(job: Job, repo: Restic) -> list[str]:
    """Ids of snapshots that do not count, and of the marks that say so, where a newer one holds all that they claim:
    whoever may write to the repository may write a mark."""
    there = _listed(job, repo)
    newest = {key_of(batch): batch for batch in _archive(there).batches}
    marks = {(s.tag(VOID), s.tag("run")): s.id for s in there if s.tag(VOID)}
    found = []
    for s in there:
        mark, batch = marks.get((s.id, s.tag("run"))), _batch(s)
        if mark and batch and key_of(batch) in newest and held_of(newest[key_of(batch)]) >= held_of(batch):
            found += [s.id, mark]
    return found


def _archive(there: Sequence[RepoSnapshot]) -> LogArchive:
    void = {(s.tag(VOID), s.tag("run")) for s in there}
    return arranged(batch for s in there if (s.id, s.tag("run")) not in void and (batch := _batch(s)) is not None)


def take_back(job: Job, run: str, repo: Restic, snapshot: str, beside: Path) -> None:
    """Leave a mark that a snapshot does not count; `beside` is any file, for something has to be stored. Whoever ships
    need not have the right to remove anything."""
    labels = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"{VOID}={snapshot}"]
    repo.backup([beside], tags=labels)


def _listed(job: Job, repo: Restic) -> list[RepoSnapshot]:
    with contextlib.suppress(RepositoryMissing):
        return repo.snapshots([OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}"])
    return []


def tags(
    job: Job,
    run: str,
    name: str,
    whole: Sequence[str],
    open_: str | None,
    point: str,
    position: str,
    server: str | None = None,
    heads: Mapping[str, str] | None = None,
    skew: float | None = None,
    anew: datetime | None = None,
    forks: Sequence[Fork] = (),
) -> list[str]:
    """What `archive_of` reads back."""
    found = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"batch={name}"]
    found += [f"first={whole[0]}", f"last={whole[-1]}"] if whole else []
    found += [f"open={open_}"] if open_ else []
    found += [f"server={server}"] if server else []
    found += [f"skew={skew}"] if skew is not None else []
    found += [f"anew={rfc3339(anew)}"] if anew is not None else []
    found += [f"forks={written(forks)}"] if forks else []
    telling = dict.fromkeys(filter(None, (*whole[:1], *whole[-1:], open_)))
    found += [f"head={named}:{heads[named]}" for named in telling if heads and named in heads]
    return [*found, f"point={point}", f"position={position}"]


def _pair(said: str) -> tuple[str, str]:
    name, _, head = said.rpartition(":")
    return name, head


def _batch(listed: RepoSnapshot) -> StoredBatch | None:
    """None for what is not ours to read: it has no such tags."""
    try:
        point, name = utc(str(listed.tag("point"))), listed.tag("batch")
        skew = None if (said := listed.tag("skew")) is None else float(said)
        anew = None if (said := listed.tag("anew")) is None else utc(said)
        forks = read_forks(listed.tag("forks") or "")
    except ValueError:
        return None
    if name is None or not listed.paths:
        return None
    return StoredBatch(
        id=listed.id,
        root=listed.paths[0],
        name=name,
        first=listed.tag("first"),
        last=listed.tag("last"),
        open=listed.tag("open"),
        point=point,
        position=listed.tag("position") or "",
        usable_at=max(listed.time, listed.finished),
        run=listed.tag("run") or "",
        server=listed.tag("server"),
        begun=listed.time,
        skew=skew,
        heads=dict(_pair(t.removeprefix("head=")) for t in listed.tags if t.startswith("head=")),
        anew=anew,
        forks=forks,
    )
