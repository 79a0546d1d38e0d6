"""Which branch of a log a recovery goes by: the one that is asked for, or that was written at its target."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ccdr.engines.base import two_branches
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.stored_batch import EARLIEST, StoredBatch
from ccdr.model.errors import UsageProblem
from ccdr.model.forks import Fork
from ccdr.ports.log import RecoveryTarget, ShippedLog


@dataclass(frozen=True)
class WrittenBranches:
    """Which branch of a history was written when: each from its own beginning until the next one's."""

    archive: LogArchive
    log: ShippedLog
    anew: datetime | None

    @property
    def batches(self) -> list[StoredBatch]:
        return [b for b in self.archive.batches if b.anew == self.anew]

    @property
    def branches(self) -> list[int]:
        """All of which something is stored, oldest first."""
        return sorted({self.log.branch(name) for b in self.batches for name in (b.begins, b.ends)})

    @property
    def newest(self) -> int:
        return self.branches[-1]

    def by(self, target: RecoveryTarget, base: int) -> RecoveryTarget:
        """With the branch to go by; `base` is that of the newest base before the target. UsageProblem where the one
        that is asked for is not there; TestBroken where two may be meant."""
        if target.branch is not None:
            if target.branch not in self.branches:
                known = ", ".join(map(str, self.branches))
                raise UsageProblem(
                    f"no log of timeline {target.branch} leads on from a base before that: there is {known}",
                    hint="name one of these with --timeline, or leave it out",
                )
            return target
        if target.time is None:
            return replace(target, branch=max(self.newest, base))
        return self._at(replace(target, branch=max(self.newest, base)), target.time, base)

    def _at(self, target: RecoveryTarget, time: datetime, base: int) -> RecoveryTarget:
        forks = {fork.branch: fork for fork in self.archive.forks(self.anew)}
        known = [branch for branch in self.branches if branch >= base]
        if len(known) < 2 or any(branch not in forks for branch in known[1:]):
            return target
        began = {branch: self._began(forks[branch]) or time for branch in known[1:]}
        mine = max((branch for branch in known[1:] if began[branch] <= time), default=known[0])
        for other in known[: known.index(mine)]:
            self._refuse_two_at_once(other, forks[mine], time)
        if mine == known[-1]:
            return target
        fork = forks[known[known.index(mine) + 1]]
        until = self._left_at(mine, self.newest)
        if until is not None and not self._goes_on_behind(mine, until):
            return target
        left = None
        if time > self._point(mine):  # as it was left by then; it may have been left again, further back
            left = replace(fork, parent=mine, position=self._left_at(mine, fork.branch) or fork.position)
        return replace(target, branch=mine, left=left)

    def _left_at(self, branch: int, way: int) -> str | None:
        """Where the way to another branch leaves this one; None where it does not go through it."""
        parts = self.archive.line(self.log, way, self.anew).parts
        return next((part.until for part in parts if part.branch == branch), None)

    def _began(self, fork: Fork) -> datetime | None:
        """By this host's clock; at the latest when it was first stored. None where it was there from the start."""
        mine = [b for b in self.batches if self.log.branch(b.ends) == fork.branch]
        first = min((b.point for b in mine), default=None)
        if fork.at is None:
            return first
        skew = next((b.skew for b in mine if b.skew is not None), 0.0)
        return fork.at - timedelta(seconds=skew)

    def _point(self, branch: int) -> datetime:
        """Up to when a branch is stored for certain."""
        return max((b.point for b in self.batches if self.log.branch(b.ends) == branch), default=EARLIEST)

    def _goes_on_behind(self, branch: int, position: str) -> bool:
        """Is the segment there, of this branch, in which it was left?"""
        ends = [b.ends for b in self.batches if self.log.branch(b.ends) == branch]
        return any(self.log.place(name) >= self.log.place_of(position) for name in ends)

    def _refuse_two_at_once(self, other: int, fork: Fork, time: datetime) -> None:
        """TestBroken where a former branch was still written then: by two servers at once."""
        if time <= self._point(other) and self._goes_on_behind(other, fork.position):
            raise two_branches(
                time,
                f"both were written then. Timeline {fork.branch} goes on from {fork.position} and lacks what {other} "
                f"holds behind that; timeline {other} lacks all that {fork.branch} holds",
                (other, fork.branch),
            )
