"""What is stored of a source's log: batches, each a run of segments, in a repository of their own.

A batch is stored again at every interval with all that came since it began, and is closed once it is large or old:
then its segments leave the spool and the next batch begins. So the newest snapshot of each batch is all that is ever
needed of it, and a recovery fetches as many snapshots as there are batches, not as there were intervals.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from ccdr.catalogue import OURS
from ccdr.engines.base import LogShipping
from ccdr.errors import RepositoryMissing, UsageProblem
from ccdr.interfaces import ShippedLog
from ccdr.model import utc
from ccdr.services import Job, Services
from ccdr.storage.restic import RepoSnapshot, Restic

LOG = "log"  # kind of snapshot, and where the repository lies below the plan's own
OPEN = ".open"  # what the name of a segment ends in that is not whole yet
INDEX = "ccdr-log.json"


@dataclass(frozen=True)
class Batch:
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

    @property
    def taken(self) -> datetime:
        return self.begun or self.usable_at

    @property
    def begins(self) -> str:
        return self.first or self.name


@dataclass(frozen=True)
class Gap:
    """Log that is missing: nothing between `after` and `before` was ever stored."""

    after: str
    before: str


@dataclass(frozen=True)
class Shelf:
    """The newest snapshot of each batch, in the log's order. `spare` are older snapshots of the same batches."""

    batches: tuple[Batch, ...] = ()
    spare: tuple[Batch, ...] = ()

    @property
    def newest(self) -> Batch | None:
        return self.batches[-1] if self.batches else None

    def gaps(self, log: ShippedLog) -> list[Gap]:
        """Where a batch does not begin right after the one before it ends."""
        found = []
        for one, other in pairwise(self.batches):
            end = one.last
            if end is None or not (log.follows(end, other.begins)):
                found.append(Gap(end or one.name, other.begins))
        return found

    def contiguous(self, log: ShippedLog) -> tuple[Batch, ...]:
        """The newest batches that have no gap between them."""
        kept: list[Batch] = []
        for batch in reversed(self.batches):
            if kept and not (batch.last and log.follows(batch.last, kept[-1].begins)):
                break
            kept.append(batch)
        return tuple(reversed(kept))

    def from_segment(self, needed: str, log: ShippedLog) -> tuple[Batch, ...]:
        """The batches that a recovery from segment `needed` asks for; empty where the log does not hold it."""
        at = [n for n, batch in enumerate(self.batches) if log.covers(batch.begins, needed)]
        return self.batches[at[-1] :] if at else ()


def let_go(shelf: Shelf, needed: str | None, log: ShippedLog) -> list[Batch]:
    """What no recovery will ask for any more: older snapshots of the same batches, and batches before the one that
    holds segment `needed`, with which the oldest kept base begins (None: there is no base, and all batches stay). Where
    the log does not hold that one, all batches stay: what is wrong is not for pruning to make worse. Pure."""
    kept = shelf.batches if needed is None else shelf.from_segment(needed, log) or shelf.batches
    return [*shelf.spare, *(batch for batch in shelf.batches if batch not in kept)]


def arranged(found: Iterable[Batch]) -> Shelf:
    """Snapshots in the order they were stored in, told apart by batch. Pure."""
    newest: dict[str, Batch] = {}
    spare = []
    for batch in sorted(found, key=lambda b: (b.usable_at, b.id)):
        if (older := newest.pop(batch.name, None)) is not None:
            spare.append(older)
        newest[batch.name] = batch
    return Shelf(tuple(newest.values()), tuple(spare))


def log_of(job: Job) -> tuple[LogShipping, ShippedLog]:
    """UsageProblem where the plan does not want it shipped."""
    settings, log = job.engine.shipping, job.engine.log(f"ccdr_{job.plan}_{job.asset}")
    if settings is None or log is None:
        raise UsageProblem(
            f"{job.plan}/{job.asset} ships no log", hint="`log_shipping: {interval: 60s}` in the plan asks for it"
        )
    return settings, log


def log_repository(job: Job, services: Services) -> Restic:
    """Where an asset's log is stored: below the plan's repository, so that pruning one does not stop the other."""
    repo = services.repository(job.loaded, job.limits)
    return replace(repo, location=f"{repo.location.rstrip('/')}/{LOG}")


def shelf_of(job: Job, repo: Restic) -> Shelf:
    """Ask the repository; an empty shelf where nothing was ever stored."""
    with contextlib.suppress(RepositoryMissing):
        there = repo.snapshots([OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}"])
        return arranged(batch for listed in there if (batch := _batch(listed)) is not None)
    return Shelf()


def tags(
    job: Job,
    run: str,
    name: str,
    whole: Sequence[str],
    open_: str | None,
    point: str,
    position: str,
    server: str | None = None,
) -> list[str]:
    """What `shelf_of` reads back."""
    found = [OURS, f"kind={LOG}", f"plan={job.plan}", f"asset={job.asset}", f"run={run}", f"batch={name}"]
    found += [f"first={whole[0]}", f"last={whole[-1]}"] if whole else []
    found += [f"open={open_}"] if open_ else []
    found += [f"server={server}"] if server else []
    return [*found, f"point={point}", f"position={position}"]


def _batch(listed: RepoSnapshot) -> Batch | None:
    """None for what is not ours to read: it has no such tags."""
    try:
        point, name = utc(str(listed.tag("point"))), listed.tag("batch")
    except ValueError:
        return None
    if name is None or not listed.paths:
        return None
    return Batch(
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
    )
