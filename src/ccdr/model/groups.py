"""Which snapshots were captured together, and how far their consistent points lie apart. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.model.measure import apart
from ccdr.model.values import GroupRun, Snapshot, rfc3339


@dataclass(frozen=True)
class Together:
    """One time that a group was captured: its snapshots that there are, and of whom there is none."""

    group: GroupRun
    snapshots: tuple[Snapshot, ...]

    @property
    def missing(self) -> list[str]:
        there = {s.asset for s in self.snapshots}
        return [asset for asset in self.group.assets if asset not in there]

    @property
    def skew(self) -> float | None:
        """Seconds from the oldest to the newest consistent point; None where there are not two."""
        return apart(s.consistent_point for s in self.snapshots)

    @property
    def newest(self) -> datetime:
        return max(s.consistent_point for s in self.snapshots)

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.group.name,
            "run": self.group.run,
            "consistent_points": {s.asset: rfc3339(s.consistent_point) for s in self.snapshots},
            "skew_s": None if self.skew is None else round(self.skew, 3),
            "missing": self.missing,
        }


def captured_together(snapshots: Iterable[Snapshot]) -> list[Together]:
    """By consistent point, oldest first; what was captured alone is left out."""
    by_run: dict[str, list[Snapshot]] = {}
    for snapshot in snapshots:
        if snapshot.group is not None:
            by_run.setdefault(snapshot.group.run, []).append(snapshot)
    runs = [Together(of_run[0].group, tuple(of_run)) for of_run in by_run.values() if of_run[0].group]
    return sorted(runs, key=lambda together: together.newest)


def counterpart(own: Snapshot, point: datetime, good: Sequence[Snapshot], *, recovered: bool) -> Snapshot | None:
    """The snapshot of another asset that goes best with `own`, restored to `point`: the one captured together with it,
    else the one whose consistent point is nearest; of two as near, the newer. One that was `recovered` by its log is
    no more what was captured together."""
    if own.group is not None and not recovered:
        same = [s for s in good if s.group is not None and s.group.run == own.group.run]
        if same:
            return same[-1]
    return min(good, key=lambda s: (abs(s.consistent_point - point), point - s.consistent_point), default=None)
