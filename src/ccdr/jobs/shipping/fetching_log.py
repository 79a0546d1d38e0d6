"""A log's batches from the repository onto a disk, in their order."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ccdr.host.interrupts import threads
from ccdr.jobs.shipping.branches import line_to
from ccdr.jobs.shipping.choice import Base, Choice, holding
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.stored_batch import INDEX, INDEX_FORMAT, OPEN, StoredBatch
from ccdr.jobs.shipping.which_branch import WrittenBranches
from ccdr.model.errors import BackupBad, CcdrError, TestBroken, UsageProblem, require_format
from ccdr.model.forks import written
from ccdr.model.values import CheckResult, Manifest, Verdict, rfc3339, utc
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
            files += [(name, place / name) for name in index["segments"]]
            if index["open"] is not None and batch == choice.batches[-1]:
                files.append((index["open"], place / f"{index['open']}{OPEN}"))
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
        files: dict[str, Any] = index["files"]
        _refuse_changed(batch, place, files, log, digest)
        compared += len(files)
        for name in files:
            (place / name).replace(into / name)
        chain += index["segments"]
        if place == places[-1] and index["open"] is not None:
            (place / f"{index['open']}{OPEN}").replace(into / index["open"])
            log.fill_up(into / index["open"])
            chain.append(index["open"])
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
    batch: StoredBatch, place: Path, files: Mapping[str, Any], log: ShippedLog, digest: Digester
) -> None:
    """BackupBad where a whole segment is not as it was when it was stored, or as no source writes it."""
    digests = digest(place, sorted(files))
    if changed := sorted(name for name, stored in files.items() if digests[name].sha256 != stored["sha256"]):
        raise BackupBad(f"segments of the log are not as they were stored: {', '.join(changed[:3])}")
    if flaw := next(filter(None, (log.flaw(place / name) for name in sorted(files))), None):
        raise BackupBad(f"the log snapshot {batch.id[:8]} is not what was received: {flaw}")


def _fetched(repo: Restic, batch: StoredBatch, into: Path) -> Path:
    into.mkdir(mode=0o700)
    repo.restore(batch.id, batch.root, into)
    return into


def index_of(job: Job, place: Path, batch: StoredBatch) -> dict[str, Any]:
    """What the fetched snapshot says of itself: BackupBad where that is not what its tags say, by which it was chosen,
    and which anybody who writes to the repository can change."""
    try:
        body: dict[str, Any] = json.loads((place / INDEX).read_text("utf-8"))
        require_format(f"the log snapshot {batch.id[:8]}", body["format"], INDEX_FORMAT)
        whose = (body["plan"], body["asset"], body["source"])
        if whose != (job.plan, job.asset, job.engine.source_name):
            raise BackupBad(f"the log snapshot {batch.id[:8]} is of another source: {whose[0]}/{whose[1]}")
        _refuse_other_claims(batch, body)
        every = dict.fromkeys((*body["segments"], *body["files"]))
        missing = [n for n in every if n not in body["files"] or not (place / n).is_file()]
        if body["open"] and not (place / f"{body['open']}{OPEN}").is_file():
            missing.append(body["open"])
        if missing:
            raise BackupBad(f"the log snapshot {batch.id[:8]} lacks {', '.join(missing[:3])}")
        return body
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackupBad(f"the log snapshot {batch.id[:8]} cannot be read: {error}") from None


def _refuse_other_claims(batch: StoredBatch, body: dict[str, Any]) -> None:
    """BackupBad where a batch's tags claim anything else than its index (`body`) says."""
    whole = body["segments"]
    ends = (whole[0], whole[-1]) if whole else (None, None)
    stored = {"point": utc(body["point"]), "position": body["position"], "open": body["open"]}
    stored |= {"first": ends[0], "last": ends[1]}
    claimed = {name: getattr(batch, name) for name in stored} | {"point": batch.claimed or batch.point}
    heads = {name: head for name, head in body.get("heads", {}).items() if name in {*ends, body["open"]}}
    later: dict[str, object] = {"batch": batch.name, "server": batch.server, "heads": batch.heads}
    body.setdefault("anew", None)
    later["anew"] = batch.anew and rfc3339(batch.anew)
    later["forks"] = written(batch.forks) or None
    for name, tag in (later if batch.claimed else later | {"clock_skew_s": batch.skew}).items():
        if name in body:  # an index did not always say so
            stored[name], claimed[name] = heads if name == "heads" else body[name], tag
    if wrong := [name for name in stored if stored[name] != claimed[name]]:
        raise BackupBad(
            f"the log snapshot {batch.id[:8]} claims another {wrong[0]} than was stored: {claimed[wrong[0]]} "
            f"instead of {stored[wrong[0]]}",
            hint="its tags were changed since: find out who writes to the repository",
        )
