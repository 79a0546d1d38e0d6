"""A source's log: what is shipped of it, and how far a recovery by it goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ccdr.model.finding import Finding
from ccdr.model.forks import Fork
from ccdr.model.instant import Instant
from ccdr.model.values import Manifest
from ccdr.ports.place import Clock, Place, Source

if TYPE_CHECKING:  # contracts name each other
    from ccdr.ports.restored import SandboxNeeds


@dataclass(frozen=True)
class LogMark:
    """Where a source's log stood: every commit acknowledged before `at` (this host's clock) lies before `position`."""

    position: str
    at: datetime
    clock_skew_s: float


@dataclass(frozen=True)
class Segment:
    """One file of a shipped log, under the name that recovery asks for; `file` is what it is called in the spool.
    A `whole` one is never written to again; one that stands `beside` is stored with the others and no link in their
    chain."""

    name: str
    file: str
    whole: bool
    beside: bool = False


@dataclass(frozen=True)
class RecoveryTarget:
    """How far recovery is to go: to a time (this host's clock), to a point that somebody named in the log, or (both
    None) to the end of what was shipped. Whichever it is, the log that was fetched for it must reach `position`: one
    that ends before it is cut off. `skew` is the source's clock's lead over this host's nearest to then; None where
    only the base tells one. A time may lie `beyond` what the log is known to hold: its commits tell whether it does.

    `branch` is the one of the log to go by; None: the newest, or the one that was written at that time. Where a time
    lies behind what is known of that branch and before the next began, `left` is where that one left it."""

    time: Instant | None = None
    name: str | None = None
    position: str | None = None
    skew: float | None = None
    beyond: bool = False
    branch: int | None = None
    left: Fork | None = None

    def clock_skew(self, base: Manifest) -> float:
        return (base.clock_skew_s or 0.0) if self.skew is None else self.skew

    @property
    def to_the_end(self) -> bool:
        return self.time is None and self.name is None


@dataclass(frozen=True)
class Reached:
    """How far recovery went. Every commit acknowledged before `at` (this host's clock) is in what was restored; None
    where nothing tells. `last_commit` is the newest restored transaction's own time, by the source's clock. `left_out`
    are tables whose rows are in no base: how many of the log's changes of each were not applied. None is in the log of
    one that is unlogged (0)."""

    position: str
    at: Instant | None
    last_commit: Instant | None
    left_out: Mapping[str, int] = field(default_factory=dict)


class RecoversFiles(Protocol):
    """Applies a log to a server's files that stay, where they stand whole and proven: in a box that has them at its
    `data_dir`."""

    def needs(self, manifest: Manifest) -> SandboxNeeds: ...

    def recover(self, box: Place, restored: Path, log: Path, manifest: Manifest, target: RecoveryTarget) -> Reached:
        """As `Engine.recover`."""

    def leave(self, box: Place, files: Path, final: Path) -> str:
        """End its server. In these files (host path), which are going to stand at `final`, nothing is left of the
        sandbox, and nothing by which a server that is started on them applies a log, or follows another. What a
        person does then, once they belong to the server's user."""


class ShippedLog(Protocol):
    """The log of changes that a source writes anyway, shipped as it is written.

    A receiver runs for as long as the source does and writes segments into a spool. All methods but the pure ones
    raise CommandFailed when a program fails.
    """

    def ready(self, source: Source) -> Iterator[Finding]:
        """Prepare the source where it must be (a slot, the canary's table); what threatens it.
        BackupFailed where its log cannot be shipped as it is."""

    def identity(self, source: Source) -> str:
        """Which server this is, whatever it is called: a log of another one leads nowhere from our bases."""

    def made_new(self, mark: str) -> str | None:
        """What `identity` tells of the server that a recovery with this mark made new; None where it is still that of
        the server whose base it was made of. Pure."""

    def receiver(
        self, source: Source, spool: Path, after: str | None, needed: str | None, *, stored: bool
    ) -> tuple[list[str], dict[str, str]]:
        """Command and environment of the program that writes into `spool`, until the source ends. `after` is the last
        whole segment that was received already, `needed` what the newest base begins with. Is all in the spool
        `stored`? Only then may what is in the program's way be removed from there."""

    def beat(self, source: Source) -> AbstractContextManager[Callable[[], None]]:
        """What writes the canary's heartbeat each time it is called; it does nothing where the plan has no canary."""

    def mark(self, source: Source, clock: Clock) -> LogMark: ...

    def lies_in(self, position: str, segment: str) -> bool:
        """Does what was written last before `position` lie in this segment? Pure."""

    def reaches(self, spool: Path, position: str) -> bool:
        """Does the spool still hold all up to `position`, of which it once did? A receiver that begins a segment anew
        has less of it for a while. Pure but for a look at the directory."""

    def holds(self, source: Source, spool: Path, mark: LogMark) -> bool:
        """Is everything before the mark durably in the spool?"""

    def segments(self, spool: Path) -> list[Segment]:
        """What the spool holds, in the log's order. It may let go of what the spool holds twice."""

    def went_back(
        self, source: Source, last: str, whole: str | None, position: str | None, head: str | None
    ) -> str | None:
        """In which segment the source's log stands, if that is behind what was received of it: the segments up to
        `last`, which began so (`head`), all up to the end of `whole`, all up to `position`. Its disk was put back then,
        or its log begun anew, and from somewhere before there it is another one under the same names. None where it
        goes on."""

    def begun_after(self, source: Source, manifest: Manifest, moment: datetime, stored: str | None) -> bool:
        """Is this base of a log that the source writes now, and that was begun after that moment, or is of another
        server (`identity`) than the one whose log is `stored`?"""

    def same_source(self, head: str, other: str) -> bool:
        """Are segments that begin so of one and the same server? Pure."""

    def branch(self, segment: str) -> int:
        """Which branch of the log it is of: a later one has a greater number. Pure."""

    def place(self, segment: str) -> int:
        """Where it stands among the segments of its branch, and of those that the branch goes on from. Pure."""

    def place_of(self, position: str) -> int:
        """Where the segment stands in which the log goes on from this position. Pure."""

    def forks(self, files: Path) -> tuple[Fork, ...]:
        """What the files in a directory tell of where branches began. Pure but for a look at the files."""

    def lineage(self, source: Source) -> tuple[int, tuple[Fork, ...]]:
        """Which branch the source writes now, and where those that lead to it began."""

    def holds_behind(self, file: Path, position: str) -> bool:
        """Does this segment, in which the position lies, hold anything behind it? Pure but for a look at the file."""

    def reached_before(self, position: str, other: str) -> bool:
        """Does the first of these positions lie no further than the other? Pure."""

    def lies_before(self, manifest: Manifest, position: str) -> bool:
        """Does this base hold nothing of what comes behind the position? Pure."""

    def fill_up(self, file: Path) -> None:
        """Have a segment that was still written to when it was stored be as long as recovery wants it."""

    def flaw(self, file: Path) -> str | None:
        """Why this file cannot be what a source has written: a whole segment, or what stands beside them. None where
        nothing is wrong with its shape. Pure but for a look at the file."""

    def lacks(self, files: Path, branch: int) -> str | None:
        """Which file a recovery on this branch asks for beside the segments, that is not there. None where none is."""

    def reserve(self, files: Path, forks: Sequence[Fork]) -> None:
        """Have a directory of log, by which a server is recovered, tell of these branches too: what goes on from there
        must not take the number of one of them."""

    def head(self, file: Path) -> str | None:
        """How a segment begins, in a word without a space, comma or colon: segments of one name and with other heads
        are of different logs. What of it is there only later is told behind a dot: that is the same head. None where
        too little of it is there yet. Pure but for a look at the file."""

    def follows(self, earlier: str, later: str) -> bool:
        """Does segment `later` come right after `earlier`? Pure."""

    def goes_on_from(self, manifest: Manifest) -> bool:
        """Can what this manifest describes be a base, on which the log is applied? Pure."""

    def leads_to(self, manifest: Manifest, target: RecoveryTarget) -> bool:
        """Does this base hold nothing of what comes after the target? Pure."""

    def finds(self, files: Sequence[tuple[str, Path]], name: str, manifest: Manifest) -> bool:
        """Does recovery of this base meet a point of that name in these segments (names and files, in the log's order,
        from the one on that the base asks for)? UsageProblem where nothing in such a log is called like that. Pure but
        for a look at the files."""

    def needed_from(self, manifest: Manifest) -> str:
        """The first segment that recovery of this base asks for. Pure."""

    def needed_head(self, manifest: Manifest) -> str | None:
        """The head of that segment, as the base tells it; None where it does not. Pure."""

    def covers(self, first: str, needed: str) -> bool:
        """Does a log that begins with segment `first` hold segment `needed`, if it has no gap? Pure."""
