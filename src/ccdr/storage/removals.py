"""What retention has removed, here or on another host: marks of prunes, and what explains that a snapshot is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePosixPath

from ccdr.model.errors import BackupBad
from ccdr.model.values import (
    Snapshot,
    rfc3339,
    utc,
)
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic

PRUNED = "pruned"  # the kind of the mark that a prune leaves, so that other hosts know what it removed
# Two hosts' clocks may differ; a snapshot further ahead than this is dated in the future.
CLOCK_TOLERANCE = timedelta(minutes=5)

Expired = Callable[[Sequence[Snapshot]], Collection[str]]  # ids that the plan's retention would let go by now


class Pruning(Enum):
    """Whose work it is to remove what retention lets go, as far as this host knows."""

    OURS = "this host's"
    UNKNOWN = "nobody has said"
    ELSEWHERE = "another host's"


@dataclass(frozen=True)
class LedgerOfRemovals:
    """What the ledger knows of what retention may have removed. `stored` tells of an asset what it has seen stored and
    not removed, without those whose ids are given; `ever` is as `Expired`, by any rules that were in force here since a
    snapshot was taken."""

    pruning: Pruning = Pruning.OURS
    stored: Callable[[str, Collection[str]], list[Snapshot]] = lambda _, __: []
    ever: Expired = lambda _: ()


NOTHING_KNOWN = LedgerOfRemovals()


@dataclass(frozen=True)
class Removal:
    """One line of a prune's mark: what it was about to remove, and when."""

    asset: str
    id: str
    at: datetime


def removals_text(removals: Iterable[Removal]) -> str:
    return "".join(f"{r.asset} {r.id} {rfc3339(r.at)}\n" for r in removals)


def removals(repo: Restic, there: Iterable[RepoSnapshot]) -> list[Removal]:
    """What the marks of earlier prunes say that they removed; a line that is none is left out.

    Whoever may write to the repository may write a mark: it explains nothing that retention would have kept.
    """
    listed = []
    for mark in there:
        if mark.tag("kind") != PRUNED:
            continue
        with contextlib.suppress(BackupBad, IndexError):
            for line in repo.read(mark.id, PurePosixPath(mark.paths[0])).splitlines():
                with contextlib.suppress(ValueError):
                    asset, snapshot_id, at = line.split(" ")
                    listed.append(Removal(asset, snapshot_id, utc(at)))
    return listed


def explained_by_retention(
    repo: Restic,
    there: Iterable[RepoSnapshot],
    gone: Collection[Snapshot],
    known: list[Snapshot],
    expired: Expired | None,
    now: datetime,
    ledger: LedgerOfRemovals,
    besides: Collection[Snapshot],
) -> set[str]:
    """Ids among `gone` that retention has removed, or may have. A newer one of the same asset is always left by it. On
    the host that prunes, a prune's mark names them, and the plan's rules would let them go by now. Another host learns
    late: marks are forgotten, so that its time is up is enough where anybody prunes at all; and where that is surely
    another's work, what its mark names is let go, and what any rules since would have: it may have learned of these
    earlier or later than this one. All else has vanished. `besides` are those that the catalogue has not any more: what
    was let go once needs no mark, whatever the rules have become."""
    if not gone or expired is None:
        return set()
    marked, marks = {(r.asset, r.id) for r in removals(repo, there)}, any(s.tag("kind") == PRUNED for s in there)
    past = [s for s in known if not dated_in_future(s, now)]
    let_go, lost = set(expired(past)), {s.id for s in gone}
    elsewhere = ledger.pruning is Pruning.ELSEWHERE
    ever = let_go.union(ledger.ever(past)) if elsewhere or besides else let_go
    newest = max((s.consistent_point for s in past if s.id not in lost), default=None)

    def explained(s: Snapshot) -> bool:
        named = (s.asset, s.id) in marked
        if s in besides:
            return s.id in ever or (named and elsewhere)
        if elsewhere:
            return named or (marks and s.id in ever)
        return s.id in let_go and (named or (bool(marked) and ledger.pruning is Pruning.UNKNOWN))

    return {s.id for s in gone if newest is not None and newest > s.consistent_point and explained(s)}


def dated_in_future(snapshot: Snapshot, now: datetime) -> bool:
    return max(snapshot.consistent_point, snapshot.usable_at) > now + CLOCK_TOLERANCE
