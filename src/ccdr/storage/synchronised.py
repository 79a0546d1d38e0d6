"""What the repository told: failed attempts, what vanished, what was removed, and what cannot be read here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.model.errors import WrittenByNewer
from ccdr.model.finding import Finding
from ccdr.model.values import (
    Snapshot,
    rfc3339,
)
from ccdr.storage.listing import RepoSnapshot

VANISHED = "docs/how-to/recover.md, A snapshot that vanished"
FUTURE = "has a date in the future"


@dataclass(frozen=True)
class FailureMark:
    """A failed backup that another host left a mark of in the repository."""

    asset: str
    run: str
    at: datetime
    void: str | None  # the snapshot it stored all the same, which does not count
    ended: bool = False  # nothing that this run has stored counts


def vanished_finding(snapshot: Snapshot) -> Finding:
    """What is found where no retention has removed it."""
    sentence = f"snapshot {snapshot.short} of {rfc3339(snapshot.consistent_point)} vanished"
    return Finding(f"{sentence}, and no prune removed it: {VANISHED}", "vanished", cause=snapshot.short)


@dataclass(frozen=True)
class Synchronised:
    """What the repository told: failed attempts, what vanished, what retention removed (here and interrupted, or on
    another host), and findings. `listed` is everything of the plan's that is there, `unread` are those with a
    backup's tags, oldest first, that have no manifest that counts; `newer` those that a newer ccdr wrote, and why
    they cannot be read here; `unlooked` are those that nobody wanted to be read: the catalogue lacks them still.
    `of_before` are of before the first release: nothing counts them, removes them or misses them."""

    failed: tuple[FailureMark, ...] = ()
    vanished: tuple[Snapshot, ...] = ()
    findings: tuple[tuple[str, Finding], ...] = ()  # asset, and what is found of it
    pruned: tuple[Snapshot, ...] = ()
    listed: tuple[RepoSnapshot, ...] = ()
    unread: tuple[RepoSnapshot, ...] = ()
    newer: tuple[tuple[RepoSnapshot, WrittenByNewer], ...] = ()
    unlooked: tuple[RepoSnapshot, ...] = ()
    of_before: tuple[RepoSnapshot, ...] = ()

    def understood(self, assets: Collection[str] | None = None) -> None:
        """WrittenByNewer where a backup of these assets (None: of any) is one that only a newer ccdr can read: nobody
        can tell here what there is."""
        for s, why in self.newer:
            if assets is None or s.tag("asset") in assets:
                what = f"the manifest of snapshot {s.id[:8]} ({s.tag('asset')}, {rfc3339(s.time)})"
                raise WrittenByNewer(what, why.written, why.known)

    def of_asset(self, asset: str) -> Synchronised:
        """As if only this asset had been asked for; what is listed, and the marks, are the whole plan's all the
        same."""
        return replace(
            self,
            vanished=tuple(s for s in self.vanished if s.asset == asset),
            findings=tuple((of, text) for of, text in self.findings if of == asset),
            pruned=tuple(s for s in self.pruned if s.asset == asset),
            unread=tuple(s for s in self.unread if s.tag("asset") == asset),
            newer=tuple((s, why) for s, why in self.newer if s.tag("asset") == asset),
            unlooked=tuple(s for s in self.unlooked if s.tag("asset") == asset),
        )

    @classmethod
    def of(cls, there: Sequence[RepoSnapshot]) -> Synchronised:
        """What the list of what is there tells by itself."""
        return cls(tuple(mark_of(s) for s in there if s.tag("kind") == "failed"), listed=tuple(there))

    @property
    def void(self) -> frozenset[str]:
        """Ids of what failed backups stored all the same; of a run that came to nothing also what it had stored before
        it heard of it: restic is done a moment earlier."""
        runs = {s.id: s.tag("run") for s in self.listed}
        # A snapshot that is gone from the repository has no tags any more: then the mark alone does not explain it.
        named = {a.void for a in self.failed if a.void and runs.get(a.void) == a.run}
        ended = {a.run for a in self.failed if a.ended}
        return frozenset(named | {s.id for s in self.listed if s.tag("kind") == "backup" and s.tag("run") in ended})


ENDED = "ended=failed"  # a tag of the mark that a failed run leaves last


def mark_of(listed: RepoSnapshot) -> FailureMark:
    run, ended = listed.tag("run") or "", ENDED in listed.tags
    return FailureMark(listed.tag("asset") or "", run, listed.time, listed.tag("void"), ended)
