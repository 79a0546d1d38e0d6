"""Which base and which log lead to a target: from what the log archive says, before anything of it is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise

from ccdr.engines.base import two_branches
from ccdr.jobs.shipping.log_archive import LogArchive
from ccdr.jobs.shipping.stored_batch import EARLIEST, Gap, StoredBatch, held_of, key_of, rank
from ccdr.model.errors import BackupBad, TestBroken, UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import Manifest, Snapshot, rfc3339
from ccdr.ports.log import ShippedLog, Target


@dataclass(frozen=True)
class Choice:
    """A base, and the batches of log that lead from it to the target; `current`: on the branch that is written now.
    `forks` are where all branches began that are known of that history."""

    base: Snapshot
    batches: tuple[StoredBatch, ...]
    target: Target
    current: bool = True
    forks: tuple[Fork, ...] = ()


def choose(
    bases: Sequence[Snapshot],
    manifests: Sequence[Manifest],
    archive: LogArchive,
    log: ShippedLog,
    target: Target,
    anew: datetime | None = None,
    point: datetime | None = None,
) -> Choice:
    """The newest base that lies before the target, and the log from there on. `bases` are good ones that a log can go
    on from, oldest first, with their manifests; `anew` and `point` are as this host wrote them down (`Standing`).

    BackupBad where log is missing on the way, naming where; UsageProblem where the target lies outside of all that
    is stored; TestBroken where the log has not come as far as the newest base yet, or two branches of it may be meant.
    """
    newest = archive.newest
    if newest is None:
        raise _nothing_there(point)
    if target.time is not None and target.time > max(newest.point, newest.taken):
        raise UsageProblem(
            f"the log is stored up to {rfc3339(newest.point)}", hint="name an earlier time, or `--at latest`"
        )
    before = [n for n, manifest in enumerate(manifests) if log.leads_to(manifest, target)]
    if not before:
        first = f"the oldest is of {rfc3339(bases[0].consistent_point)}" if bases else "there is none"
        raise UsageProblem(
            f"no base backup that the log can go on from lies before that: {first}",
            hint="name a later time (a base holds what was written while it was taken); `method: physical` takes such",
        )
    last = bases[before[-1]]
    if (back := archive.torn_from(last.consistent_point, anew)) is not None:
        raise BackupBad(
            f"the source was found on {rfc3339(back)} to have gone back behind its own log, and no log that is stored "
            f"leads on from the base of {rfc3339(last.consistent_point)}",
            hint="where it is older, `ccdr backup PLAN` takes a new one; behind that, `ccdr ship PLAN` stores log",
        )
    mine = archive.history_of(last.consistent_point)
    written = Written(archive, log, mine)
    target = written.by(target, log.branch(log.needed_from(manifests[before[-1]])))
    assert target.branch is not None
    line = archive.line(log, target.branch, mine)
    leading = [
        n for n in before if line.leads_on_from(manifests[n]) and archive.history_of(bases[n].consistent_point) == mine
    ]
    if not leading:
        raise BackupBad(
            f"no base leads to timeline {target.branch}: that of {rfc3339(last.consistent_point)} lies behind where it "
            "was begun",
            hint="`ccdr backup PLAN` takes a new one",
        )
    base, manifest = bases[leading[-1]], manifests[leading[-1]]
    needed = log.needed_from(manifest)
    way = archive.along(line, mine)
    ends = way[-1].ends if way else newest.ends
    if rank(ends) < rank(needed) and (point is None or point <= newest.point):  # else it was there, and has gone
        raise TestBroken(
            f"the log is stored up to {rfc3339(newest.point)}, and that is before the base of "
            f"{rfc3339(base.consistent_point)}: there is none yet that leads on from it",
            hint="`ccdr ship PLAN --once` stores what there is now; if `ccdr ship` is at work, wait for its interval",
        )
    batches = archive.from_segment(needed, log, base.consistent_point, anew, target.branch)
    if not batches:
        raise BackupBad(
            f"the base of {rfc3339(base.consistent_point)} needs {needed}, the log begins later: "
            f"with {(way or archive.batches)[0].begins}",
            hint="back up again: recovery goes from that base on",
        )
    _refuse_of_another_history(base, manifest, needed, batches)
    if target.time is not None:  # no further than to the first that surely holds it
        reach = next((n for n, batch in enumerate(batches) if batch.point >= target.time), len(batches))
        target = replace(target, beyond=reach == len(batches))
        batches = batches[: reach + 1]
    if gaps := torn(batches, log, archive.forks(mine)):
        raise BackupBad(
            f"log is missing between {gaps[0].after} and {gaps[0].before}", hint="back up again, and find out why"
        )
    skew = archive.skew_at(target.time, (base.consistent_point, manifest.clock_skew_s))
    target = replace(target, position=batches[-1].position, skew=skew)
    current = target.branch == written.newest
    return Choice(base, batches, target, current, archive.forks(mine))


def _nothing_there(point: datetime | None) -> BackupBad | TestBroken:
    if point is not None:
        return BackupBad(
            f"no log is there, and it was stored up to {rfc3339(point)}",
            hint="find out who removed it; `ccdr backup PLAN` takes a new base, from which the log goes on",
        )
    return TestBroken(
        "nothing is shipped yet: no log was ever stored",
        hint="`ccdr ship PLAN --once` stores what there is now; `ccdr run` starts what ships it in the background",
    )


@dataclass(frozen=True)
class Written:
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

    def by(self, target: Target, base: int) -> Target:
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

    def _at(self, target: Target, time: datetime, base: int) -> Target:
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


def torn(batches: Sequence[StoredBatch], log: ShippedLog, forks: Sequence[Fork]) -> list[Gap]:
    """Where one does not begin right after the one before it ends."""
    return [
        Gap(one.last or one.name, other.begins)
        for one, other in pairwise(batches)
        if not one.leads_to(other, log, forks)
    ]


def holding(
    name: str,
    bases: Sequence[tuple[Snapshot, Manifest]],
    chosen: Callable[[Sequence[tuple[Snapshot, Manifest]]], Choice],
    meets: Callable[[Choice, Manifest], bool],
) -> Choice:
    """By the newest base behind which the log holds the point: what a base holds already is not gone back from."""
    left, why = list(bases), ""
    while left:
        try:
            choice = chosen(left)
        except (BackupBad, TestBroken) as error:
            if len(left) == len(bases) and isinstance(error, BackupBad):
                raise
            why = f"; before its newest base: {error}"
            left = left[:-1] if isinstance(error, TestBroken) else []
            continue
        except UsageProblem:
            break
        at = next(n for n, (base, _) in enumerate(left) if base == choice.base)
        if meets(choice, left[at][1]):
            return choice
        left = left[:at]
    raise UsageProblem(
        f"no log that is stored has a point named {name!r}{why}",
        hint='a time is written like "2026-11-24 14:05:00"; a point is named at the source, by what '
        "docs/how-to/ship-logs.md tells",
    )


def stored_again(choice: Choice, archive: LogArchive) -> Choice | None:
    """The same by the newest snapshots of the same batches; None where what was chosen is all there still, or what has
    gone is in no newer one. Pure."""
    there = {batch.id for batch in (*archive.batches, *archive.spare)}
    newest = {key_of(batch): batch for batch in archive.batches}
    found = tuple(newest.get(key_of(batch), batch) for batch in choice.batches)
    pairs = list(zip(choice.batches, found, strict=True))
    whole = all(new.id in there and held_of(new) >= held_of(old) for old, new in pairs)
    if not whole or all(old.id in there for old, _ in pairs):
        return None
    return replace(choice, batches=found, target=replace(choice.target, position=found[-1].position))


def _refuse_of_another_history(base: Snapshot, manifest: Manifest, needed: str, batches: Sequence[StoredBatch]) -> None:
    """BackupBad where log was stored before the base was taken that goes further than it: the source went back in
    between. Nothing else may tell: after a clean start both histories may write records of the same length at the same
    places. By both clocks, for one of them may have been wrong; who knows no skew says nothing."""
    for batch in batches:
        if batch.skew is None or manifest.clock_skew_s is None:
            continue
        later = base.consistent_point - batch.taken
        by_the_source = later + timedelta(seconds=manifest.clock_skew_s - batch.skew)
        ends = batch.open or batch.last or ""
        if min(later, by_the_source) > timedelta(0) and rank(ends) > rank(needed):
            raise BackupBad(
                f"the source went back behind its own log: {ends} of it was stored by {rfc3339(batch.taken)}, and the "
                f"base of {rfc3339(base.consistent_point)} goes on from {needed}",
                hint="was its disk put back to an earlier state? `ccdr ship PLAN` sees that too; then back up again",
            )
