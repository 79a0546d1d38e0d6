"""One snapshot of a batch of a source's log: what its tags say of it, and how it stands to others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ccdr.host.state_files import StateFile
from ccdr.jobs.shipping.branches import joins
from ccdr.model.forks import Fork, written
from ccdr.model.forks import read as read_forks
from ccdr.model.instant import Instant
from ccdr.model.values import FileDigest, rfc3339, utc
from ccdr.plans.job import Job
from ccdr.ports.log import ShippedLog
from ccdr.storage.listing import OURS, RepoSnapshot
from ccdr.storage.removals import CLOCK_TOLERANCE

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
        heads=dict(_name_and_head(tag) for tag in listed.tags if tag.startswith("head=")),
        anew=anew,
        forks=forks,
        bytes=listed.bytes,
    )
