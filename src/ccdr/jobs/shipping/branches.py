"""A log may branch: a PostgreSQL server that was recovered to a moment, or promoted, writes on under a timeline of its
own, and what its former self wrote behind that place stays true of what it was. Which segments lead to which branch is
for this room to say. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ccdr.model.errors import BackupBad
from ccdr.model.forks import Fork
from ccdr.model.values import Manifest
from ccdr.ports.log import ShippedLog


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
        if self.log.branch(first) != self.log.branch(last):  # stored before each branch had batches of its own
            return any(p.branch == self.log.branch(last) for p in self.parts)
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
