"""The batch that is being stored: what the spool holds, linked under names that stay, in order and without a gap."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from ccdr.host.files import remove_tree
from ccdr.host.state_files import write_state
from ccdr.jobs.shipping.log_archive import INDEX, OPEN, Extent, Gap, LogIndex, StoredBatch, joins, rank, same_head
from ccdr.model.errors import CcdrError
from ccdr.model.forks import Fork
from ccdr.model.values import FileDigest
from ccdr.plans.job import Job
from ccdr.ports.log import Segment, ShippedLog
from ccdr.ports.place import Clock, Digester


class WentBack(CcdrError):
    """The source's disk was put back, or its log begun anew: its segments' names are of another history since. It
    stands in `segment`."""

    def __init__(self, segment: str, why: str) -> None:
        super().__init__(
            f"the source went back behind its own log (recovered, its disk put back, its log begun anew?): {why}",
            hint="its log goes on from a new base backup only: run `ccdr backup PLAN`",
        )
        self.segment = segment


@dataclass(frozen=True)
class Held:
    """What a batch holds: its `whole` segments in order, the `open` one. `torn`: what comes behind them is of another
    batch, for log is missing there, or another branch of it begins. `gaps` were not seen before."""

    whole: list[str]
    open: str | None
    torn: bool
    gaps: tuple[Gap, ...] = ()

    @property
    def last(self) -> str | None:
        return self.open or (self.whole[-1] if self.whole else None)


@dataclass
class Batch:
    """`spool` is where a receiver writes, `directory` what is stored. A segment leaves the spool once its batch
    is closed, its snapshot confirmed."""

    log: ShippedLog
    spool: Path
    directory: Path
    digest: Digester
    clock: Clock
    name: str | None = None  # of the segment that it began with, once it has begun
    began: datetime = field(init=False)
    last: str | None = None  # the newest whole segment that is in the chain
    closed: str | None = None  # the last segment of the batches before this one
    left: str | None = None  # the segment that was open when the newest snapshot was stored by another process
    stored: list[tuple[str, int]] | None = None  # what `seen` was when it was last stored
    heads: dict[str, str] = field(default_factory=dict)  # by name: how the segments began that were seen
    base: tuple[str, str | None] | None = None  # the segment that the newest base begins with, and its head
    _digests: dict[str, FileDigest] = field(default_factory=dict)
    _torn_at: str | None = None  # the segment behind the newest gap

    def __post_init__(self) -> None:
        self.began = self.clock.now()
        self._empty()

    def goes_on(self, newest: StoredBatch, chain: Sequence[StoredBatch]) -> None:
        """From what is stored: its newest snapshot, and the batches up to it that have no gap between them."""
        self.last = self.closed = newest.last or (chain[-2].last if len(chain) > 1 else None)
        self.left = newest.open
        self.heads = {name: head for batch in chain[-2:] for name, head in batch.heads.items()}
        self._drop_stored()

    def begins_anew(self) -> None:
        """What was received so far is of another history, and so is what the spool holds, all that was stored."""
        for segment in self.log.segments(self.spool):
            (self.spool / segment.file).unlink(missing_ok=True)
        self.last = self.closed = self._torn_at = None
        self.heads = {}
        self._empty()

    def leaves(self, held: Held) -> None:
        """The source goes on by another branch, from before the end of what was received. All of that is stored: it
        leaves the spool, where it would be in the receiver's way."""
        for segment in self.log.segments(self.spool):
            if not segment.beside:
                (self.spool / segment.file).unlink(missing_ok=True)
        self.last = self.closed = max(filter(None, (held.last, self.last, self.closed)), key=rank, default=None)
        self._empty()

    @property
    def forks(self) -> tuple[Fork, ...]:
        """Where branches of the log began, as what the spool holds tells."""
        return self.log.forks(self.spool)

    def gather(self) -> Held:
        """Take in what the spool holds: a receiver renames its files while they are read."""
        forks, segments = self.forks, self.log.segments(self.spool)
        for segment in segments:
            if not segment.beside:
                self._recognise(segment)
        mine = [s for s in segments if s.beside or self.closed is None or rank(s.name) > rank(self.closed)]
        mine = [s for s in mine if not self._stored_longer(s, segments)]
        chain = [s for s in mine if not s.beside]
        if self.name is not None and self.name not in [s.name for s in chain]:
            self._empty()  # the receiver had to begin behind it
        until = next((n for n, (a, b) in enumerate(pairwise(chain), 1) if self._parts(a.name, b.name)), None)
        if until is not None:
            mine = [s for s in mine if s.beside or s in chain[:until]]
            chain = chain[:until]
        if self.name is None and chain:
            self.name, self.began = chain[0].name, self.clock.now()
        for segment in mine:
            self._link(segment)
        gaps = tuple(gap for segment in chain if (gap := self._in_chain(segment, forks)) is not None)
        new = [s.name for s in mine if s.whole and s.name not in self._digests]
        self._digests |= self.digest(self.directory, new)
        opened = [s.name for s in chain if not s.whole]
        whole = [s.name for s in chain if s.whole]
        return Held(whole, opened[-1] if opened else None, until is not None, gaps)

    def _stored_longer(self, segment: Segment, among: Sequence[Segment]) -> bool:
        """Was it left by a later branch, and received once more up to there? What is stored of it goes further."""
        later = any(self.log.branch(s.name) > self.log.branch(segment.name) for s in among if not s.beside)
        return later and segment.name == self.left and not segment.whole and not segment.beside

    def _parts(self, earlier: str, later: str) -> bool:
        """Is the second one for another batch? Each branch of the log has batches of its own."""
        return self.log.branch(earlier) != self.log.branch(later) or not self.log.follows(earlier, later)

    def _recognise(self, segment: Segment) -> None:
        """A source whose log was begun anew gives the same names again: what bears them must begin as it did before."""
        name, head = segment.name, self.log.head(self.spool / segment.file)
        if head is None:
            return
        known = self.heads.get(name, head)
        if not same_head(head, known):
            if self.log.same_source(head, known):
                raise WentBack(name, f"{name} begins otherwise than what was received under that name before")
            raise CcdrError(
                f"the source's log was begun anew: {name} begins otherwise ({head}) than what was received under that "
                f"name before ({self.heads[name]})",
                hint="a new base backup is needed, and a log of its own: give the asset another name in the plan",
            )
        if name not in self.heads and self.base is not None and self.base[0] == name:
            expected = self.base[1]
            if expected is not None and not same_head(head, expected):
                raise CcdrError(
                    f"the source's log was begun anew: {name} begins otherwise ({head}) than when the newest base "
                    f"backup was taken ({expected})",
                    hint="a new base backup is needed: run `ccdr backup PLAN`",
                )
        self.heads[name] = max(head, known, key=len)  # less of it is there while it is received once more

    def expect(self, position: str, held: Held) -> None:
        """What the source writes now must lie in what was received."""
        mine = [name for name in (self.closed, *held.whole, held.open) if name]
        if not any(self.log.lies_in(position, name) for name in mine):
            raise CcdrError(
                f"the source's log stands at {position}, which lies in none of {', '.join(mine[-2:]) or 'no segment'}",
                hint="was it begun anew there (RESET MASTER, another cluster)? then give the asset another name",
            )

    def seen(self) -> list[tuple[str, int]]:
        """What is to be stored, to see whether anything is new."""
        return [(p.name, p.stat().st_mtime_ns) for p in sorted(self.directory.iterdir()) if p.name != INDEX]

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.directory.iterdir())

    def write_index(
        self,
        job: Job,
        held: Held,
        extent: Extent,
    ) -> None:
        index = LogIndex(
            plan=job.plan,
            asset=job.asset,
            engine=job.engine.engine_name,
            source=job.engine.source_name,
            point=extent.point,
            position=extent.position,
            server=extent.server,
            batch=self.name,
            clock_skew_s=extent.skew,
            anew=extent.anew,
            forks=tuple(extent.forks),
            segments=tuple(held.whole),
            open=held.open,
            heads={name: self.heads[name] for name in (*held.whole, held.open) if name in self.heads},
            files={name: self._digests[name] for name in sorted(self._digests) if (self.directory / name).exists()},
        )
        write_state(self.directory / INDEX, index)

    def close(self, held: Held) -> None:
        """It is confirmed: its whole segments leave the spool, and the next one begins."""
        self.closed = (held.last if held.torn else None) or held.whole[-1]
        self.last = max(filter(None, (self.last, self.closed)), key=rank)
        self.heads = {name: head for name, head in self.heads.items() if rank(name) >= rank(self.closed)}
        self._drop_stored()
        self._empty()

    def _drop_stored(self) -> None:
        """What is confirmed leaves the spool, all but the last: a receiver goes on from it."""
        for segment in self.log.segments(self.spool):
            if self.closed is None or segment.beside or rank(segment.name) >= rank(self.closed):
                continue
            if segment.whole or self.log.branch(segment.name) != self.log.branch(self.closed):
                (self.spool / segment.file).unlink(missing_ok=True)

    def _link(self, segment: Segment) -> None:
        name = segment.name if segment.whole else f"{segment.name}{OPEN}"
        source, target = self.spool / segment.file, self.directory / name
        with contextlib.suppress(FileNotFoundError):  # renamed since: the next look finds it
            if not target.exists() or target.stat().st_ino != source.stat().st_ino:
                target.unlink(missing_ok=True)
                os.link(source, target)
            if segment.whole:
                (self.directory / f"{segment.name}{OPEN}").unlink(missing_ok=True)

    def _in_chain(self, segment: Segment, forks: Sequence[Fork]) -> Gap | None:
        """A segment that does not come right after the last whole one: what lies between is lost for ever. None where
        there is no gap, or it was told."""
        name, last, gap = segment.name, self.last, None
        if last is None or rank(name) <= rank(last):
            self.last = (name if segment.whole else None) if last is None else last
            return None
        if not joins(self.log, last, name, forks) and name != self._torn_at:
            self._torn_at = name
            gap = Gap(last, name)
        if segment.whole:
            self.last = name
        return gap

    def _empty(self) -> None:
        remove_tree(self.directory)
        self.directory.mkdir(mode=0o700)
        self.name, self.stored, self._digests = None, None, {}
