"""Which base and which log lead to a target, along which branch: from what the log archive says, before anything of it
is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from ccdr.engines.base import two_branches
from ccdr.jobs.shipping.log_archive import EARLIEST, Line, LogArchive, StoredBatch, held_of, key_of, rank
from ccdr.model.errors import BackupBad, LogNotYet, TestBroken, UsageProblem
from ccdr.model.forks import Fork
from ccdr.model.values import LATEST, Manifest, Snapshot, rfc3339
from ccdr.ports.log import RecoveryTarget, ShippedLog

# A moment to recover to, as a person writes it.

# A time written out. What else Python would take for one (20261124, 2026-W48) may be the name of a point.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)?", re.ASCII)


def target_of(text: str, zone: Any, timeline: int | None = None) -> RecoveryTarget:
    """What `--at` and `--timeline` say."""
    return replace(_target_of(text, zone), branch=timeline)


def _target_of(text: str, zone: Any) -> RecoveryTarget:
    """`latest`, a time (in the plan's zone where it names none), or the name of a point."""
    if text == LATEST:
        return RecoveryTarget()
    if not text.strip():  # a script's variable that was not set must not mean a point that nobody named
        raise UsageProblem("--at is empty", hint='write a time like "2026-11-24 14:05:00", `latest`, or a name')
    if _TIME.fullmatch(text) is None:
        return RecoveryTarget(name=text)
    try:
        when = datetime.fromisoformat(text)
        return RecoveryTarget(time=when.astimezone(UTC) if when.tzinfo else _local(text, when, zone))
    except (ValueError, OverflowError):
        raise UsageProblem(f"there is no such time as {text}", hint="is a part of it out of its range?") from None


def _local(text: str, when: datetime, zone: Any) -> datetime:
    """The one moment at which clocks there show it; UsageProblem where there are two, or none."""
    earlier, later = (when.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if earlier.utcoffset() == later.utcoffset():
        return earlier.astimezone(UTC)
    one, other = (f"`{text}{str(moment)[len(str(when)) :]}`" for moment in (earlier, later))
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == when:
        raise UsageProblem(f"{text} comes twice in {zone}: clocks are set back", hint=f"write {one}, or {other}")
    raise UsageProblem(
        f"{text} never comes in {zone}: clocks are set forward", hint=f"write {one}, if it is by a clock that was not"
    )


# Which branch of a log a recovery goes by: the one that is asked for, or that was written at its target.


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


Base = tuple[Snapshot, Manifest]


@dataclass(frozen=True)
class Choice:
    """A base, and the batches of log that lead from it to the target; `current`: on the branch that is written now.
    `forks` are where all branches began that are known of that history."""

    base: Snapshot
    batches: tuple[StoredBatch, ...]
    target: RecoveryTarget
    current: bool = True
    forks: tuple[Fork, ...] = ()


def choose(
    bases: Sequence[Snapshot],
    manifests: Sequence[Manifest],
    archive: LogArchive,
    log: ShippedLog,
    target: RecoveryTarget,
    anew: datetime | None = None,
    point: datetime | None = None,
) -> Choice:
    """The newest base that lies before the target, and the log from there on. `bases` are good ones that a log can go
    on from, oldest first, with their manifests; `anew` and `point` are as this host wrote them down (`LogStanding`).

    BackupBad where log is missing on the way, naming where; UsageProblem where the target lies outside of all that
    is stored; TestBroken where the log has not come as far as the newest base yet, or two branches of it may be meant.
    """
    newest = archive.newest
    if newest is None:
        raise _nothing_there(point)
    _refuse_later_than(newest, target)
    before = _before(target, list(zip(bases, manifests, strict=True)), log)
    last, its_manifest = before[-1]
    _refuse_where_it_went_back(last, archive, anew)
    mine = archive.history_of(last.consistent_point)
    _refuse_of_another_server(last, its_manifest, log, [b for b in archive.batches if b.anew == mine])
    written = WrittenBranches(archive, log, mine)
    target = written.by(target, log.branch(log.needed_from(its_manifest)))
    assert target.branch is not None
    line = archive.line(log, target.branch, mine)
    base, manifest = _leading(before, line, target.branch, archive)
    needed = log.needed_from(manifest)
    way = archive.along(line, mine)
    if rank(way[-1].ends if way else newest.ends) < rank(needed) and (point is None or point <= newest.point):
        raise _not_come_as_far(base, newest)  # where it is written down as later, it was there, and has gone
    batches = archive.from_segment(needed, log, base.consistent_point, anew, target.branch)
    if not batches:
        raise BackupBad(
            f"the base of {rfc3339(base.consistent_point)} needs {needed}, the log begins later: "
            f"with {(way or archive.batches)[0].begins}",
            hint="back up again: recovery goes from that base on",
        )
    _refuse_of_another_history(base, manifest, needed, batches)
    batches, target = _no_further_than(target, batches)
    _refuse_torn(batches, log, archive.forks(mine))
    skew = archive.skew_at(target.time, (base.consistent_point, manifest.clock_skew_s))
    target = replace(target, position=batches[-1].position, skew=skew)
    return Choice(base, batches, target, target.branch == written.newest, archive.forks(mine))


def _before(target: RecoveryTarget, bases: Sequence[Base], log: ShippedLog) -> list[Base]:
    """Those that hold nothing of what comes after the target; UsageProblem where there is none."""
    before = [(base, manifest) for base, manifest in bases if log.leads_to(manifest, target)]
    if not before:
        first = f"the oldest is of {rfc3339(bases[0][0].consistent_point)}" if bases else "there is none"
        raise UsageProblem(
            f"no base backup that the log can go on from lies before that: {first}",
            hint="name a later time (a base holds what was written while it was taken); `method: physical` takes such",
        )
    return before


def _leading(before: Sequence[Base], line: Line, branch: int, archive: LogArchive) -> Base:
    """The newest of the newest one's history that the way to this branch leads on from; BackupBad where none is."""
    last = before[-1][0].consistent_point
    mine = archive.history_of(last)
    for base, manifest in reversed(before):
        if line.leads_on_from(manifest) and archive.history_of(base.consistent_point) == mine:
            return base, manifest
    raise BackupBad(
        f"no base leads to timeline {branch}: that of {rfc3339(last)} lies behind where it was begun",
        hint="`ccdr backup PLAN` takes a new one",
    )


def _no_further_than(
    target: RecoveryTarget, batches: tuple[StoredBatch, ...]
) -> tuple[tuple[StoredBatch, ...], RecoveryTarget]:
    """No further than to the first that surely holds the target's time; none of them may, and then it lies beyond."""
    if target.time is None:
        return batches, target
    reach = next((n for n, batch in enumerate(batches) if batch.point >= target.time), len(batches))
    return batches[: reach + 1], replace(target, beyond=reach == len(batches))


def _refuse_later_than(newest: StoredBatch, target: RecoveryTarget) -> None:
    if target.time is not None and target.time > max(newest.point, newest.taken):
        raise UsageProblem(
            f"the log is stored up to {rfc3339(newest.point)}", hint="name an earlier time, or `--at latest`"
        )


def _refuse_where_it_went_back(base: Snapshot, archive: LogArchive, anew: datetime | None) -> None:
    if (back := archive.torn_from(base.consistent_point, anew)) is not None:
        raise BackupBad(
            f"the source was found on {rfc3339(back)} to have gone back behind its own log, and no log that is stored "
            f"leads on from the base of {rfc3339(base.consistent_point)}",
            hint="where it is older, `ccdr backup PLAN` takes a new one; behind that, `ccdr ship PLAN` stores log",
        )


def _refuse_of_another_server(
    base: Snapshot, manifest: Manifest, log: ShippedLog, history: Sequence[StoredBatch]
) -> None:
    """LogNotYet: the next part of the log is of the base's own server, once somebody has agreed to that one."""
    mine, heads = log.needed_head(manifest), (head for batch in history for head in batch.heads.values())
    if mine is not None and not all(log.same_source(head, mine) for head in heads):
        raise LogNotYet(
            f"the base of {rfc3339(base.consistent_point)} is of another server than the log that is stored, and none "
            "leads on from it yet",
            hint="`ccdr status` tells of that server, and `ccdr ship PLAN --once` stores its log once it is agreed to; "
            "`--snapshot` goes by a base of the other one",
        )


def _refuse_torn(batches: Sequence[StoredBatch], log: ShippedLog, forks: Sequence[Fork]) -> None:
    """BackupBad where one does not begin right after the one before it ends."""
    for one, other in pairwise(batches):
        if not one.leads_to(other, log, forks):
            raise BackupBad(
                f"log is missing between {one.last or one.name} and {other.begins}",
                hint="back up again, and find out why",
            )


def _not_come_as_far(base: Snapshot, newest: StoredBatch) -> LogNotYet:
    return LogNotYet(
        f"the log is stored up to {rfc3339(newest.point)}, and that is before the base of "
        f"{rfc3339(base.consistent_point)}: there is none yet that leads on from it",
        hint="test again when the log has come as far: `ccdr ship`, which `ccdr run` starts, stores it each "
        "`interval:` (a minute, by default); where none is at work, `ccdr ship PLAN --once` does so now",
    )


def _nothing_there(point: datetime | None) -> BackupBad | LogNotYet:
    if point is not None:
        return BackupBad(
            f"no log is there, and it was stored up to {rfc3339(point)}",
            hint="find out who removed it; `ccdr backup PLAN` takes a new base, from which the log goes on",
        )
    return LogNotYet(
        "nothing is shipped yet: no log was ever stored",
        hint="`ccdr ship PLAN --once` stores what there is now; `ccdr run` starts what ships it in the background",
    )


def holding(
    name: str,
    bases: Sequence[Base],
    chosen: Callable[[Sequence[Base]], Choice],
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
    now = tuple(newest.get(key_of(batch), batch) for batch in choice.batches)
    pairs = list(zip(choice.batches, now, strict=True))
    whole = all(new.id in there and held_of(new) >= held_of(old) for old, new in pairs)
    if not whole or all(old.id in there for old, _ in pairs):
        return None
    return replace(choice, batches=now, target=replace(choice.target, position=now[-1].position))


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
