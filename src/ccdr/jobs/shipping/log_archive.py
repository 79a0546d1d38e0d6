"""What is stored of a source's log: batches, each a run of segments, along its branches, in a repository of their own;
and up to when that leads on from a good base.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.evidence.log_standing import LogStanding, read_standing
from ccdr.host.state_files import StateFile
from ccdr.jobs.services import Services
from ccdr.model.errors import BackupBad, RepositoryMissing, UsageProblem
from ccdr.model.forks import Fork, written
from ccdr.model.forks import read as read_forks
from ccdr.model.instant import Instant
from ccdr.model.measure import Point
from ccdr.model.values import FileDigest, Manifest, Snapshot, rfc3339, utc
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.storage.restic import Restic

# A log may branch: a PostgreSQL server that was recovered to a moment, or promoted, writes on under a timeline of its
# own, and what its former self wrote behind that place stays true of what it was. Which segments lead to which branch
# is for this room to say. Pure.


@dataclass(frozen=True)
class Part:
    """Of a line: the places from `first` on and before `end` (None: no end) are of this branch, left at `until`."""

    branch: int
    first: int
    end: int | None
    until: str | None


@dataclass(frozen=True)
class Line:
    """The way through the branches that leads to the last of its parts."""

    log: ShippedLog
    parts: tuple[Part, ...]

    def takes(self, segment: str) -> bool:
        """Is it read on this way? Where a branch begins within a segment, its own copy of that holds both."""
        branch, place = self.log.branch(segment), self.log.place(segment)
        return any(p.branch == branch and p.first <= place and (p.end is None or place < p.end) for p in self.parts)

    def passes(self, first: str, last: str) -> bool:
        """Is anything read of what these two segments begin and end?"""
        one, other = self.log.place(first), self.log.place(last)
        mine = [p for p in self.parts if p.branch == self.log.branch(first)]
        return any(p.first <= other and (p.end is None or one < p.end) for p in mine)

    def leads_on_from(self, manifest: Manifest) -> bool:
        """Does it go through where this base ends?"""
        branch = self.log.branch(self.log.needed_from(manifest))
        mine = [p for p in self.parts if p.branch == branch]
        return any(p.until is None or self.log.lies_before(manifest, p.until) for p in mine)

    def stretch(self, names: Sequence[str], needed: str) -> list[str]:
        """Those of these segments that a recovery of a base reads which needs one; BackupBad where one is missing."""
        start = self.log.place(needed)
        read = [name for name in names if self.takes(name) and self.log.place(name) >= start]
        if not read or self.log.place(read[0]) != start or not self.log.covers(needed, read[0]):
            raise BackupBad(f"the log does not hold {needed}, which the base needs")
        for one, other in pairwise(read):
            alike = self.log.branch(one) == self.log.branch(other)
            if not (self.log.follows(one, other) if alike else self.log.place(other) == self.log.place(one) + 1):
                raise BackupBad(f"log is missing between {one} and {other}")
        return read


def line_to(log: ShippedLog, forks: Iterable[Fork], branch: int) -> Line:
    """Where no fork tells of a branch, it is one that all of its log is of."""
    known = {fork.branch: fork for fork in forks}
    parts: list[Part] = []
    end, until = None, None
    seen: set[int] = set()
    while branch not in seen:
        seen.add(branch)
        fork = known.get(branch)
        first = 0 if fork is None else log.place_of(fork.position)
        parts.append(Part(branch, first, end, until))
        if fork is None:
            break
        branch, until = fork.parent, fork.position
        end = first if end is None else min(end, first)
    return Line(log, tuple(reversed(parts)))


def joins(log: ShippedLog, earlier: str, later: str, forks: Iterable[Fork]) -> bool:
    """As `ShippedLog.follows`, also where another branch begins: whatever the one before it has behind that place."""
    mine, branch = log.branch(earlier), log.branch(later)
    known = {fork.branch: fork for fork in forks}
    if mine == branch or branch not in known:
        return log.follows(earlier, later)
    first = log.place_of(known[branch].position)
    line = line_to(log, known.values(), branch)
    part = next((p for p in line.parts if p.branch == mine), None)
    if log.place(later) != first:
        return False
    # What leads to where a branch began that does not go through this one lies further back.
    return part is None or (part.first <= first and log.place(earlier) >= first - 1)


def covers(log: ShippedLog, first: str, needed: str) -> bool:
    """As `ShippedLog.covers`, for a log that begins with a branch's own copy of the segment it began in: what leads
    there finds all in that one."""
    if log.branch(first) > log.branch(needed):
        return log.place(first) <= log.place(needed)
    return log.covers(first, needed)


def merged(known: Iterable[Iterable[Fork]]) -> tuple[Fork, ...]:
    """What snapshots tell, the later ones last. The one that holds a branch's beginning knows when that was."""
    newest: dict[int, Fork] = {}
    for forks in known:
        for fork in forks:
            before = newest.get(fork.branch)
            same = before is not None and (before.parent, before.position) == (fork.parent, fork.position)
            if not same or fork.at is not None:
                newest[fork.branch] = fork
    return tuple(newest[branch] for branch in sorted(newest))


def contradicts(known: Iterable[Fork], others: Iterable[Fork]) -> bool:
    """Is a branch known that has the same number, and began elsewhere?"""
    at = {fork.branch: (fork.parent, fork.position) for fork in known}
    return any(at.get(fork.branch, (fork.parent, fork.position)) != (fork.parent, fork.position) for fork in others)


# One snapshot of a batch of a source's log: what its tags say of it, and how it stands to others.

LOG = "log"  # kind of snapshot, and where the repository lies below the plan's own
OPEN = ".open"  # what the name of a segment ends in that is not whole yet
INDEX = "ccdr-log.json"
VOID = "void"  # the tag of a mark that names a snapshot which does not count
EARLIEST = datetime.min.replace(tzinfo=UTC)
_PLACE = re.compile(r"[/:](?=[^/:]*$)")  # a position: a segment's number or name, then a place


@dataclass(frozen=True)
class Gap:
    """Log that is missing: nothing between `after` and `before` was ever stored."""

    after: str
    before: str


@dataclass(frozen=True)
class Extent:
    """How far what is stored of a batch reaches, and of which history it is; as `StoredBatch` has it."""

    point: datetime
    position: str
    server: str | None = None
    skew: float | None = None
    anew: datetime | None = None
    forks: Sequence[Fork] = ()


class LogIndex(StateFile, frozen=True, tag_field="format", tag=2):
    """What a snapshot of a batch says of itself, beside its segments: INDEX. `files` are its whole ones."""

    plan: str
    asset: str
    engine: str
    source: str
    point: Instant
    position: str
    server: str | None
    batch: str | None
    clock_skew_s: float | None
    anew: Instant | None
    forks: tuple[Fork, ...]
    segments: tuple[str, ...]
    open: str | None
    heads: dict[str, str]
    files: dict[str, FileDigest]


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
    bytes: int = 0  # what a restore of it writes; 0 where nobody said

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


def key_of(batch: StoredBatch) -> tuple[datetime, str]:
    """What a batch is told apart by: names come again where the source went back."""
    return batch.anew or EARLIEST, batch.name


def same_head(one: str, other: str) -> bool:
    """Are they of one segment, of which more may have been there when one of them was read?"""
    return one == other or one.startswith(f"{other}.") or other.startswith(f"{one}.")


def rank(name: str) -> tuple[int, str]:
    """Names of segments count up, as numbers in them do; a longer one is a later one."""
    return len(name), name


def end_of(batch: StoredBatch) -> tuple[tuple[int, str], tuple[tuple[int, str], ...]]:
    return rank(batch.open or batch.last or ""), tuple(rank(part) for part in _PLACE.split(batch.position))


def held_of(batch: StoredBatch) -> tuple[object, ...]:
    """How much of the log a snapshot of a batch holds."""
    return rank(batch.last or ""), *end_of(batch), batch.point, batch.usable_at, batch.id


def tags_of(
    job: Job,
    run: str,
    batch: str,
    whole: Sequence[str],
    open_: str | None,
    extent: Extent,
    heads: Mapping[str, str] | None = None,
) -> list[str]:
    """What `read_batch` reads back."""
    tags = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"batch={batch}"]
    tags += [f"first={whole[0]}", f"last={whole[-1]}"] if whole else []
    tags += [f"open={open_}"] if open_ else []
    tags += [f"server={extent.server}"] if extent.server else []
    tags += [f"skew={extent.skew}"] if extent.skew is not None else []
    tags += [f"anew={rfc3339(extent.anew)}"] if extent.anew is not None else []
    tags += [f"forks={written(extent.forks)}"] if extent.forks else []
    telling = dict.fromkeys(filter(None, (*whole[:1], *whole[-1:], open_)))
    tags += [f"head={name}:{heads[name]}" for name in telling if heads and name in heads]
    return [*tags, f"point={rfc3339(extent.point)}", f"position={extent.position}"]


def _name_and_head(tag: str) -> tuple[str, str]:
    name, _, head = tag.removeprefix("head=").rpartition(":")
    return name, head


def read_batch(listed: RepoSnapshot) -> StoredBatch | None:
    """None for what is not ours to read: it has no such tags."""
    try:
        point, name = utc(str(listed.tag("point"))), listed.tag("batch")
        skew = None if (tag := listed.tag("skew")) is None else float(tag)
        anew = None if (tag := listed.tag("anew")) is None else utc(tag)
        forks = read_forks(listed.tag("forks") or "")
    except ValueError:
        return None
    position, run = listed.tag("position"), listed.tag("run")
    if not (name and position and run and listed.paths):
        return None
    return StoredBatch(
        id=listed.id,
        root=listed.paths[0],
        name=name,
        first=listed.tag("first"),
        last=listed.tag("last"),
        open=listed.tag("open"),
        point=point,
        position=position,
        usable_at=max(listed.time, listed.finished),
        run=run,
        server=listed.tag("server"),
        begun=listed.time,
        skew=skew,
        heads=dict(_name_and_head(tag) for tag in listed.tags if tag.startswith("head=")),
        anew=anew,
        forks=forks,
        bytes=listed.bytes,
    )


# A batch is stored again at every interval with all that came since it began, and is closed once it is large or old:
# then its segments leave the spool and the next batch begins. So the newest snapshot of each batch is all that is
# ever needed of it, and a recovery fetches as many snapshots as there are batches, not as there were intervals.


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


# The repository that an asset's log is stored in: what is there, and marks of what does not count.


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


def archives_of(plan: str, assets: Collection[str], repo: Restic) -> dict[str, LogArchive]:
    """As `archive_of`, of several assets of a plan whose logs lie in the same repository, which is asked once."""
    there: list[RepoSnapshot] = []
    with contextlib.suppress(RepositoryMissing):
        there = repo.snapshots([OURS, f"kind={LOG}", f"plan={plan}"])
    return {asset: _archive([s for s in there if f"asset={asset}" in s.tags]) for asset in assets}


def void_of(job: Job, repo: Restic) -> list[str]:
    """Ids of snapshots that do not count, and of the marks that say so, where a newer one holds all that they claim:
    whoever may write to the repository may write a mark."""
    there = _listed(job, repo)
    newest = {key_of(batch): batch for batch in _archive(there).batches}
    marks = {(s.tag(VOID), s.tag("run")): s.id for s in there if s.tag(VOID)}
    void = []
    for s in there:
        mark, batch = marks.get((s.id, s.tag("run"))), read_batch(s)
        if mark and batch and key_of(batch) in newest and held_of(newest[key_of(batch)]) >= held_of(batch):
            void += [s.id, mark]
    return void


def _archive(there: Sequence[RepoSnapshot]) -> LogArchive:
    void = {(s.tag(VOID), s.tag("run")) for s in there}
    return arranged(batch for s in there if (s.id, s.tag("run")) not in void and (batch := read_batch(s)) is not None)


def take_back(job: Job, run: str, repo: Restic, snapshot: str, beside: Path) -> None:
    """Leave a mark that a snapshot does not count; `beside` is any file, for something has to be stored. Whoever ships
    need not have the right to remove anything."""
    labels = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"{VOID}={snapshot}"]
    repo.backup([beside], tags=labels)


def _listed(job: Job, repo: Restic) -> list[RepoSnapshot]:
    with contextlib.suppress(RepositoryMissing):
        return repo.snapshots([OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}"])
    return []


# Up to when a log is stored that leads on from a good base: as this host wrote it down, or by the repository alone.


def _on_its_branch(standing: LogStanding, archive: LogArchive, log: ShippedLog) -> LogStanding:
    """The same, with where in the log's history it stands as the repository has it."""
    if archive.newest is None:
        return standing
    return replace(standing, branch=log.branch(archive.newest.ends), forks=archive.forks(archive.newest.anew))


def logged(
    job: Job,
    services: Services,
    usable: Sequence[Snapshot],
    disproved: Callable[[Snapshot], bool] = lambda _: False,
    archive: Callable[[], LogArchive] | None = None,
    standing: LogStanding | None = None,
) -> list[Point]:
    """How far the log is stored, as this host wrote it down (`standing`: as far as that is believed), if the newest
    usable base is one that it goes on from, and the log from there on is not `disproved`. With an `archive`, no more
    than what is there: it is asked after what was written down was read, for it may grow meanwhile. Where another host
    ships it, the log archive alone tells."""
    standing = standing or read_standing(services.state, job.plan, job.asset)
    log = job.engine.log("")
    if standing is None and log is not None and archive is not None:  # another host ships it
        return stored(job, services, usable, disproved, archive())
    if standing is not None and log is not None and standing.newest is not None and archive is not None:
        asked = archive()
        there = asked.contiguous(log)
        since, point = (there[0].begins, min(standing.newest.consistent, there[-1].point)) if there else (None, None)
        standing = replace(standing, since=standing.since and since, point=point)
        standing = _on_its_branch(standing, asked, log)
    if log is None or standing is None or standing.newest is None or standing.since is None:
        return []
    for snapshot in reversed(usable):
        with suppress(BackupBad):
            manifest = services.catalogue.manifest(snapshot)
            if log.goes_on_from(manifest):
                if disproved(snapshot) or (standing.anew and manifest.consistent_point < standing.anew):
                    return []
                branch = max(log.branch(log.needed_from(manifest)), standing.branch or 1)
                if not line_to(log, standing.forks, branch).leads_on_from(manifest):
                    continue  # the source was recovered to before it: an older one may lead there
                return [standing.newest] if covers(log, standing.since, log.needed_from(manifest)) else []
    return []


def stored(
    job: Job, services: Services, usable: Sequence[Snapshot], disproved: Callable[[Snapshot], bool], archive: LogArchive
) -> list[Point]:
    """The same by what is in the repository alone: for a host that ships nothing itself. `usable` are oldest first."""
    _, log = log_of(job)
    there, newest = archive.contiguous(log), archive.newest
    if newest is None or newest.dated_ahead(services.clock.now()):
        return []
    for snapshot in reversed(usable):
        manifest = services.catalogue.manifest(snapshot)
        if log.goes_on_from(manifest):
            if disproved(snapshot) or archive.torn_from(manifest.consistent_point) is not None:
                return []
            if not archive.line(log).leads_on_from(manifest):
                continue  # as in `logged`
            held = covers(log, there[0].begins, log.needed_from(manifest))
            return [Point(newest.point, newest.usable_at)] if held else []
    return []
