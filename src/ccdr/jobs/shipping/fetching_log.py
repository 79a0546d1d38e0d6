"""A log's batches from the repository onto a disk, in their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ccdr.host.interrupts import threads
from ccdr.host.state_files import decoded
from ccdr.jobs.shipping.branches import line_to
from ccdr.jobs.shipping.choice import Base, Choice, holding
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.stored_batch import INDEX, OPEN, LogIndex, StoredBatch
from ccdr.jobs.shipping.which_branch import WrittenBranches
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.log import RecoveryTarget, ShippedLog
from ccdr.ports.place import Digester
from ccdr.storage.restic import Restic

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
