"""What a recovery to a point needs beside its base: chosen from what is stored, fetched onto a disk in its order, and
proven to have no gap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import structs

from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.records.restores import AppliedLog, LogReached, LogRecovery
from ccdr.host.files import remove_tree
from ccdr.host.interrupts import threads
from ccdr.host.state import Run
from ccdr.host.state_files import decoded
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.choice import Base, Choice, WrittenBranches, choose, holding, stored_again
from ccdr.jobs.shipping.log_archive import (
    INDEX,
    LOG,
    OPEN,
    LogArchive,
    LogIndex,
    StoredBatch,
    archive_of,
    line_to,
    log_of,
    log_repository,
)
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem, blaming_the_log
from ccdr.model.measure import Point
from ccdr.model.values import LATEST, CheckResult, FileDigest, Manifest, Snapshot, Verdict, rfc3339, so_many
from ccdr.plans.job import Job
from ccdr.ports.log import Reached, RecoveryTarget, ShippedLog
from ccdr.ports.place import Digester, Place, Progress
from ccdr.storage.restic import Restic

# A log's batches from the repository onto a disk, in their order.

AT_ONCE = 2  # batches that are fetched side by side


def batches_holding(
    target: RecoveryTarget,
    log: ShippedLog,
    archive: LogArchive,
    bases: Sequence[Base],
    chosen: Callable[[RecoveryTarget, Sequence[Base]], Choice],
    search: PointSearch,
) -> Choice:
    """By the newest branch of the log that has a point of that name; what the first of them said, where none has."""
    first: CcdrError | None = None
    assert target.name is not None
    newest = archive.newest
    others = WrittenBranches(archive, log, newest.anew).branches[-2::-1] if newest and target.branch is None else []
    for branch in (target.branch, *others):
        wanted = replace(target, branch=branch)
        try:
            return holding(target.name, bases, partial(chosen, wanted), search.meets)
        except (BackupBad, TestBroken, UsageProblem) as error:
            first = first or error
    assert first is not None
    raise first


@dataclass(frozen=True)
class PointSearch:
    """For a named point in the log: each batch is fetched once, into a directory of its own below `into`."""

    job: Job
    repo: Restic
    log: ShippedLog
    archive: LogArchive
    into: Path

    def meets(self, choice: Choice, manifest: Manifest) -> bool:
        needed, files = self.log.needed_from(manifest), []
        line = self.archive.line(self.log, choice.target.branch, choice.batches[-1].anew)
        for batch in choice.batches:
            place = self.into / batch.id
            if not place.exists():
                _fetched(self.repo, batch, place)
            index = index_of(self.job, place, batch)
            files += [(name, place / name) for name in index.segments]
            if index.open is not None and batch == choice.batches[-1]:
                files.append((index.open, place / f"{index.open}{OPEN}"))
        start = self.log.place(needed)
        wanted = [(name, file) for name, file in files if line.takes(name) and self.log.place(name) >= start]
        return self.log.finds(wanted, str(choice.target.name), manifest)


def fetch_log(
    job: Job, repo: Restic, choice: Choice, needed: str, log: ShippedLog, into: Path, digest: Digester
) -> CheckResult:
    """Every segment of the chosen batches into the directory `into`, under the names that recovery asks for.

    Each whole one has the SHA-256 that was taken before it was stored, and follows the one before: BackupBad where
    not. The result says so, for the record.
    """
    into.mkdir(mode=0o700)
    with threads(AT_ONCE) as pool:
        named = [(batch, into / f"batch-{n}") for n, batch in enumerate(choice.batches)]
        places = list(pool.map(lambda pair: _fetched(repo, *pair), named))
    chain: list[str] = []
    compared = 0
    for batch, place in zip(choice.batches, places, strict=True):
        index = index_of(job, place, batch)
        _refuse_changed(batch, place, index.files, log, digest)
        compared += len(index.files)
        for name in index.files:
            (place / name).replace(into / name)
        chain += index.segments
        if place == places[-1] and index.open is not None:
            (place / f"{index.open}{OPEN}").replace(into / index.open)
            log.fill_up(into / index.open)
            chain.append(index.open)
    branch = log.branch(needed) if choice.target.branch is None else choice.target.branch
    if (lacks := log.lacks(into, branch)) is not None:
        raise BackupBad(f"the log lacks {lacks}, by which a recovery finds its way", hint="back up again")
    wanted = line_to(log, log.forks(into), branch).stretch(chain, needed)
    log.reserve(into, choice.forks)
    return CheckResult(
        kind="log",
        name="shipped log",
        status=Verdict.PASS,
        expected=f"{len(wanted)} segments without a gap",
        actual=f"{wanted[0]} to {wanted[-1]}, {compared} equal by SHA-256",
    )


def _refuse_changed(
    batch: StoredBatch, place: Path, files: Mapping[str, FileDigest], log: ShippedLog, digest: Digester
) -> None:
    """BackupBad where a whole segment is not as it was when it was stored, or as no source writes it."""
    digests = digest(place, sorted(files))
    if changed := sorted(name for name, stored in files.items() if digests[name].sha256 != stored.sha256):
        raise BackupBad(f"segments of the log are not as they were stored: {', '.join(changed[:3])}")
    if flaw := next(filter(None, (log.flaw(place / name) for name in sorted(files))), None):
        raise BackupBad(f"the log snapshot {batch.id[:8]} is not what was received: {flaw}")


def _fetched(repo: Restic, batch: StoredBatch, into: Path) -> Path:
    into.mkdir(mode=0o700)
    repo.restore(batch.id, batch.root, into)
    return into


def index_of(job: Job, place: Path, batch: StoredBatch) -> LogIndex:
    """What the fetched snapshot says of itself: BackupBad where that is not what its tags say, by which it was chosen,
    and which anybody who writes to the repository can change."""
    what = f"the log snapshot {batch.id[:8]}"
    try:
        index = decoded((place / INDEX).read_bytes(), LogIndex, what)
    except (OSError, ValueError) as error:
        raise BackupBad(f"{what} cannot be read: {error}") from None
    if (index.plan, index.asset, index.source) != (job.plan, job.asset, job.engine.source_name):
        raise BackupBad(f"{what} is of another source: {index.plan}/{index.asset}")
    _refuse_other_claims(batch, index)
    every = dict.fromkeys((*index.segments, *index.files))
    missing = [n for n in every if n not in index.files or not (place / n).is_file()]
    if index.open and not (place / f"{index.open}{OPEN}").is_file():
        missing.append(index.open)
    if missing:
        raise BackupBad(f"{what} lacks {', '.join(missing[:3])}")
    return index


def _refuse_other_claims(batch: StoredBatch, index: LogIndex) -> None:
    """BackupBad where a batch's tags claim anything else than its index says."""
    ends = (index.segments[0], index.segments[-1]) if index.segments else (None, None)
    claims: dict[str, tuple[object, object]] = {
        "point": (index.point, batch.claimed or batch.point),
        "position": (index.position, batch.position),
        "open": (index.open, batch.open),
        "first": (ends[0], batch.first),
        "last": (ends[1], batch.last),
        "batch": (index.batch, batch.name),
        "server": (index.server, batch.server),
        "heads": ({n: head for n, head in index.heads.items() if n in {*ends, index.open}}, batch.heads),
        "anew": (index.anew, batch.anew),
        "forks": (index.forks, batch.forks),
        "clock_skew_s": (None, None) if batch.claimed else (index.clock_skew_s, batch.skew),
    }
    for name, (stored, claimed) in claims.items():
        if stored != claimed:
            raise BackupBad(
                f"the log snapshot {batch.id[:8]} claims another {name} than was stored: {claimed} instead of {stored}",
                hint="its tags were changed since: find out who writes to the repository",
            )


class Recovers(Protocol):
    """What applies a log: an engine, or whoever makes a new server of it."""

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached: ...


def recorded_target(target: RecoveryTarget) -> str:
    """As a record names it: the end of a branch that somebody has chosen is not the log's."""
    if target.to_the_end and target.branch is not None:
        return f"{LATEST} of timeline {target.branch}"
    return rfc3339(target.time) if target.time else target.name or LATEST


class Recovery:
    """One recovery: what it begins with, what it fetched, how far it went."""

    def __init__(
        self,
        job: Job,
        repo: Restic,
        log: ShippedLog,
        choice: Choice,
        needed: str,
        *,
        ahead: bool,
        asked: RecoveryTarget | None = None,
    ) -> None:
        self._job, self._repo, self._log, self._needed = job, repo, log, needed
        self._asked = asked or replace(choice.target, branch=None)
        self.choice, self.ahead = choice, ahead  # dated so: how far the log reaches nobody knows then
        self._reached: Reached | None = None

    @classmethod
    def prepared(
        cls,
        job: Job,
        services: Services,
        usable: Sequence[Snapshot],
        target: RecoveryTarget,
        run: Run,
        progress: Progress,
        archive: LogArchive | None = None,
    ) -> Recovery:
        """`archive` is what is stored of the log, where that was asked for already. Raises as `choose`, LogBad where
        that raises BackupBad; UsageProblem where the asset ships no log, or none that is stored has a point of that
        name: the log is fetched to look for it."""
        _, log = log_of(job)
        repo = log_repository(job, services)
        known = [(s, services.catalogue.manifest(s)) for s in usable]
        bases = [(s, m) for s, m in known if log.goes_on_from(m)]
        with blaming_the_log():
            archive = archive_of(job, repo) if archive is None else archive
            standing = read_standing(services.state, job.plan, job.asset)
            anew = standing.anew if standing else None
            point = standing.point if standing else None

            def chosen(wanted: RecoveryTarget, among: Sequence[Base]) -> Choice:
                return choose([s for s, _ in among], [m for _, m in among], archive, log, wanted, anew, point)

            if target.name is None:
                choice = chosen(target, bases)
            else:
                progress.step(f"looking for {target.name} in the log")
                with services.state.reading(repo.location):
                    search = PointSearch(
                        job, repo.with_cache(run.directory("points-cache")), log, archive, run.directory("points")
                    )
                    choice = batches_holding(target, log, archive, bases, chosen, search)
        needed = next(log.needed_from(m) for s, m in bases if s == choice.base)
        ahead = choice.batches[-1].dated_ahead(services.clock.now())
        return cls(job, repo, log, choice, needed, ahead=ahead, asked=target)

    @property
    def bytes_restored(self) -> int:
        """What was fetched of the log."""
        return sum(self._repo.restored)

    def fetch(self, fetched: Path, cache: Path, services: Services) -> CheckResult:
        """What was chosen, as it is there now: whoever ships it has stored it again since, and a prune on another host
        lets go of what a newer snapshot of the same batch holds."""
        repo, into = self._repo.with_cache(cache), fetched / LOG
        with services.state.reading(self._repo.location), blaming_the_log():
            try:
                return fetch_log(self._job, repo, self.choice, self._needed, self._log, into, services.digest)
            except BackupBad:
                if (newer := stored_again(self.choice, archive_of(self._job, self._repo))) is None:
                    raise
            self.choice = newer
            self.ahead = self.ahead or newer.batches[-1].dated_ahead(services.clock.now())
            remove_tree(into)
            return fetch_log(self._job, repo, newer, self._needed, self._log, into, services.digest)

    def carry_out(
        self,
        engine: Recovers,
        box: Place,
        restored: Path,
        fetched: Path,
        manifest: Manifest,
        reopened: Callable[[Mapping[str, str]], Place],
    ) -> CheckResult:
        """Load the base and apply the log; the result says which point was reached. Where the log makes files outside
        of the base (`Engine.outside`), it is applied in a box that was `reopened` with these paths."""
        target, point, taken = self.choice.target, self.choice.batches[-1].point, self.choice.batches[-1].taken
        if outside := self._job.engine.outside(box, fetched / LOG, manifest, target):
            box = reopened(outside)
        reached = engine.recover(box, restored, fetched / LOG, manifest, target)
        if target.to_the_end:  # all that was there at that point was in it, and is restored
            later = reached.at is not None and point < reached.at <= taken
            reached = replace(reached, at=reached.at if later else point)  # what is ahead of the clock tells nothing
        elif reached.at is not None:  # whatever a clock says: nothing of it was written after it was stored
            reached = replace(reached, at=min(reached.at, taken))
        self._reached = reached
        where = reached.position if reached.at is None else f"{reached.position}, {rfc3339(reached.at)}"
        return CheckResult(
            kind="log",
            name="recovered to the target",
            status=Verdict.PASS,
            expected=self._wanted(),
            actual="; ".join([where, *self.lost]),
        )

    @property
    def reached(self) -> Reached | None:
        """How far it went; None before it has."""
        return self._reached

    @property
    def lost(self) -> list[str]:
        """Of which tables it brings back no rows, as sentences."""
        left = self._reached.left_out if self._reached else {}
        changes = [f"{so_many(n, 'change')} of {name}" for name, n in left.items() if n]
        unlogged = [name for name, n in left.items() if not n]
        some = ", ".join([*unlogged[:5], *["…"] * (len(unlogged) > 5)])
        comes = so_many(len(unlogged), "unlogged table comes", "unlogged tables come")
        told = [f"left out: {', '.join(changes)}, whose rows are in memory alone"] * bool(changes)
        return [*told, *[f"{comes} back empty ({some})"] * bool(unlogged)]

    def resumed(self, reached: Reached) -> None:
        """An earlier run has carried it out."""
        self._reached = reached

    @property
    def place(self) -> str:
        """Where `fetch` puts the log."""
        return LOG

    @property
    def described(self) -> str:
        """What of the log is fetched."""
        batches = self.choice.batches
        return f"{so_many(len(batches), 'snapshot')} of it, up to {rfc3339(batches[-1].point)}"

    @property
    def until(self) -> str:
        """Where the restored data ends once the log is applied."""
        target, point = self.choice.target, rfc3339(self.choice.batches[-1].point)
        ends = rfc3339(target.time) if target.time else target.name or f"the end of the stored log, {point} or later"
        if target.beyond and target.left is None:
            ends += f" (if the log reaches as far: it surely does to {point}, and `ccdr test --at` looks further)"
        if not self.choice.current:
            ends += f", on timeline {target.branch}"
        if target.left is not None:
            ends += f" (if that reaches as far: timeline {target.left.branch} goes on from {target.left.position})"
        return f"{ends}, once the log is applied to the base of {rfc3339(self.choice.base.consistent_point)}"

    def _wanted(self) -> str:
        target = self.choice.target
        on = "" if self.choice.current else f", on timeline {target.branch}"
        if target.time is not None:
            return f"{rfc3339(target.time)}{on}"
        return f"{target.name or f'the end of the log, not before {target.position}'}{on}"

    @property
    def former(self) -> datetime | None:
        """Up to when the log was gone through, where that is of a branch that was left since; None: of the newest."""
        return None if self.choice.current else self.choice.target.time or self.choice.batches[-1].point

    def facts(self) -> LogRecovery:
        """For the record."""
        target, batches, reached = self.choice.target, self.choice.batches, self._reached
        applied = AppliedLog(
            snapshots=len(batches),
            first=self._needed,
            last=batches[-1].open or batches[-1].last,
            point=batches[-1].point,
            timeline=target.branch,
        )
        return LogRecovery(
            target=recorded_target(self._asked),
            log=applied,
            reached=None
            if reached is None
            else LogReached(
                position=reached.position,
                at=reached.at,
                last_commit=reached.last_commit,
                left_out=dict(reached.left_out),
            ),
        )

    def stops(self) -> LogRecovery:
        """For the record, where it was found that not all of the log up to there can be applied."""
        until = self.choice.target.time or max(self.choice.base.consistent_point, self.choice.batches[-1].point)
        return structs.replace(self.facts(), until=until, stops=True)

    @property
    def moment(self) -> datetime | None:
        """The instant that the restored data is true for; None where nothing tells more than the base does."""
        return (self._reached and self._reached.at) or self.choice.target.time

    def points(self) -> list[Point]:
        """What this recovery has proven."""
        if self._reached is None or self._reached.at is None or self.ahead or not self.choice.current:
            return []
        return [Point(self._reached.at, self.choice.batches[-1].usable_at)]


def the_base(named: Snapshot, usable: Sequence[Snapshot]) -> list[Snapshot]:
    """The snapshot that somebody named to recover from. UsageProblem where no recovery may begin with it."""
    if named not in usable:
        raise UsageProblem(
            f"no recovery begins with the snapshot {named.short}: it is incomplete, failed its last test, or lacks what"
            " it depends on",
            hint="leave --snapshot out: then the newest base before that point is taken",
        )
    return [named]
