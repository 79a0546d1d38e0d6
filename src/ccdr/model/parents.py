"""Increments and what they build upon. An increment is only as good as every snapshot that it needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ccdr.model.values import Snapshot, rfc3339


def lacks(snapshot: Snapshot, there: Iterable[Snapshot]) -> str | None:
    """Why an increment cannot be restored from the snapshots that are `there`: one sentence; None where it can."""
    if not snapshot.upon:
        return None
    known = {s.id: s for s in there}
    for needed in snapshot.upon:
        own = f"snapshot {snapshot.short} of {rfc3339(snapshot.consistent_point)} depends on {needed.id[:8]}"
        if needed.id not in known:
            return f"{own}, which is not there"
        if known[needed.id].manifest_sha256 != needed.manifest_sha256:
            return f"{own}, and what goes by that name is another one"
    return None


def disproved(snapshot: str, parents: Iterable[str], proven: dict[str, str]) -> bool:
    """By a test of its own; an increment also by one of what it builds upon, unless it has itself passed since.
    `proven` has each tested snapshot's latest verdict, in the order of these tests."""
    ids = {snapshot, *parents}
    if len(ids) == 1:  # no increment: there may be years of them
        return proven.get(snapshot) == "FAIL"
    for tested, verdict in reversed(proven.items()):
        if tested in ids and (verdict == "FAIL" or tested == snapshot):
            return verdict == "FAIL"
    return False


def usable(
    snapshots: Sequence[Snapshot], there: Sequence[Snapshot], disproved: Callable[[Snapshot], bool]
) -> list[Snapshot]:
    """Those of `snapshots` that can be counted on: not disproved, and with all that they build upon."""
    return [s for s in snapshots if not (disproved(s) or lacks(s, there))]


def needed_by(kept: Iterable[Snapshot]) -> Mapping[str, Snapshot]:
    """By the id of each snapshot that another one builds upon: the newest that does."""
    newest = sorted(kept, key=lambda s: s.consistent_point)
    return {needed.id: s for s in newest for needed in s.upon}
