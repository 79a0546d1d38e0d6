"""Where a repository holds many snapshots that this host has not read, as on a bare host: the newest by the moment that
is asked for are read first, and no more of them than the choice needs. Pure.

What is not known of a snapshot before its manifest was read is bounded by what restic lists: its consistent point lies
behind the begin of its run, which the run's id tells, and before restic stored it; by clocks that may be apart."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from ccdr.model.values import so_many
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import Reads
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.synchronised import Synchronised

FEW = 24  # that are new of an asset: all are read, as ever
FIRST = 8  # by the moment, when there are more; twice as many each time that these do not do
NEWEST = 2  # of all, whatever the moment: by these a host judges how much is exposed
CLOCKS_APART = timedelta(hours=1)
RUN_BEGINS = "%Y%m%dT%H%M%S"


@dataclass
class NewestFirst:
    """What is to be read by asset; each call of `further` wants more. `moment` None: the newest state is meant."""

    moment: datetime | None = None
    depth: dict[str, int] = field(default_factory=dict)
    first: int = FIRST
    tried: set[str] = field(default_factory=set)
    only: frozenset[str] | None = None

    def wanted(self, asset: str, new: Sequence[RepoSnapshot]) -> list[RepoSnapshot]:
        """Of an asset's snapshots that are new here; the newest comes first."""
        ordered = sorted(new, key=lambda s: (s.time, s.id), reverse=True)
        if len(new) <= FEW:
            return ordered
        if self.only is not None and asset not in self.only:
            # What was read and is new all the same cannot be read: left out now, it would count as not looked at.
            return [s for s in ordered if s.id in self.tried]
        by_then = [s for s in ordered if self._by_then(s)]
        depth = self.depth.get(asset, self.first)
        # Those by the moment did not do, all of them: what is told of there being none needs the others.
        if depth == sys.maxsize or (asset in self.depth and self.tried.issuperset(s.id for s in by_then)):
            return ordered
        taken = {s.id for s in [*ordered[:NEWEST], *by_then[:depth]]}
        self.tried |= taken
        return [s for s in ordered if s.id in taken]

    def further(self, assets: Collection[str]) -> None:
        """What was read of these did not do; of others it did."""
        self.only = frozenset(assets)
        self.depth |= {asset: 2 * self.depth.get(asset, self.first) for asset in assets}

    def all_of(self, assets: Collection[str]) -> None:
        """A choice that may need any of them."""
        self.depth |= dict.fromkeys(assets, sys.maxsize)

    def open(self, asset: str, synchronised: Synchronised) -> bool:
        """Are there any that were not looked at?"""
        return any(s.tag("asset") == asset for s in synchronised.unlooked)

    def settled(self, asset: str, synchronised: Synchronised, point: datetime) -> bool:
        """Is everything looked at that may be of the time from `point` to the moment?"""
        mine = (s for s in synchronised.unlooked if s.tag("asset") == asset)
        return all(s.time + CLOCKS_APART < point for s in mine if self._by_then(s))

    def _by_then(self, listed: RepoSnapshot) -> bool:
        return self.moment is None or _begun(listed) <= self.moment + CLOCKS_APART


def no_more() -> NewestFirst:
    """Where the choice is made: what is new since is learned, and nothing of long ago."""
    return NewestFirst(first=0)


def counted(progress: Progress) -> Reads:
    """Tells how far the reading is, where it takes long enough to be asked."""

    def reads(done: int, of: int) -> None:
        if of > FEW:
            progress.step(f"reading manifest {done} of {of}")

    return reads


def not_looked_at(plan: str, synchronised: Synchronised) -> Iterator[str]:
    """By asset, how many: a sentence."""
    for asset in sorted({s.tag("asset") or "" for s in synchronised.unlooked}):
        count = sum(s.tag("asset") == asset for s in synchronised.unlooked)
        were = "was" if count == 1 else "were"
        yield (
            f"{asset}: {so_many(count, 'snapshot')} further from the moment {were} not looked at: "
            f"`ccdr snapshots {plan}` reads and lists all"
        )


def _begun(listed: RepoSnapshot) -> datetime:
    """When its run began; of a run whose id does not tell, it may be at any time."""
    try:
        return datetime.strptime((listed.tag("run") or "").partition("-")[0], RUN_BEGINS).replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
