"""Which snapshots count, why another one does not, and what it means that some vanished."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.evidence.acknowledged import acknowledged
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset_status import AssetStatus, Seen
from ccdr.evidence.judgement.troubles import MOST_NAMED
from ccdr.model import parents as chain
from ccdr.model.measure import Point
from ccdr.model.next_steps import Missing, after_vanishing
from ccdr.model.trouble import Level, Problem, Trouble
from ccdr.model.values import (
    Snapshot,
    Verdict,
    rfc3339,
    so_many,
    to_the_second,
    utc,
)
from ccdr.plans.job import Job
from ccdr.storage.catalogue import of_source
from ccdr.storage.removals import dated_in_future


@dataclass(frozen=True)
class Counted:
    """An asset's snapshots, oldest first: those that `vanished`, and of the others (`known`) those of what the plan
    names (`ours`), of these those that are `usable` where the repository is whole, of these those that count."""

    gone: frozenset[str]  # ids of all that vanished: the catalogue need not know each
    vanished: Sequence[Snapshot]
    known: Sequence[Snapshot]
    ours: Sequence[Snapshot]
    usable: Sequence[Snapshot]
    counting: Sequence[Snapshot]

    @property
    def newest(self) -> Snapshot | None:
        """The newest that is usable."""
        return self.usable[-1] if self.usable else None


def count(job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, now: datetime) -> Counted:
    gone = frozenset(history.vanished)
    known = [s for s in seen.snapshots if s.id not in gone]
    source = job.engine.source_name  # put together once: a name may be of many paths
    ours = [s for s in known if of_source(s, source)]
    usable = chain.usable([s for s in ours if not dated_in_future(s, now)], known, history.disproved)
    vanished = [s for s in seen.snapshots if s.id in gone]
    return Counted(gone, vanished, known, ours, usable, history.counting(usable, upkeep))


def newer_not_counting(counted: Counted, history: AssetHistory, now: datetime) -> Iterator[Problem]:
    """One that a newer good one has made up for is history, not a finding for ever."""
    newest = counted.newest
    bad = [s for s in counted.ours if newest is None or s.consistent_point > newest.consistent_point]
    if bad:
        snapshots = so_many(len(bad), "newer snapshot does", "newer snapshots do")
        named = [f"{s.short}, {why_not(s, counted.known, history, now)}" for s in reversed(bad[-MOST_NAMED:])]
        rest = [f"and {len(bad) - MOST_NAMED} more"] if len(bad) > MOST_NAMED else []
        which = " ".join(sorted(s.short for s in bad))
        text = f"{snapshots} not count: {'; '.join([*named, *rest])}"
        lacks = Trouble.SNAPSHOT_SUSPECT if all(history.is_suspect(s.id) for s in bad) else None
        lacks = Trouble.SNAPSHOT_VANISHED if all(counted.gone & {n.id for n in s.upon} for s in bad) else lacks
        yield Problem(Trouble.FINDING, text, about="newer", cause=which, because=lacks)
    if counted.known[-1:] != counted.ours[-1:]:
        text = "its newest snapshot is from another source than the plan names now"
        yield Problem(Trouble.FINDING, text, about="source")


def why_not(snapshot: Snapshot, known: Sequence[Snapshot], history: AssetHistory, now: datetime) -> str:
    """Why one that is there cannot be counted on."""
    if dated_in_future(snapshot, now):
        date = max(snapshot.consistent_point, snapshot.usable_at)
        return f"which has a date in the future, {to_the_second(date)}"
    if snapshot.note is not None:
        return f"which restic stored with a warning: {snapshot.note}"
    if lack := chain.lacks(snapshot, known):
        return f"without what it needs: {lack}"
    if history.is_suspect(snapshot.id, *(needed.id for needed in snapshot.upon)):
        return "which is suspect until somebody has looked (SNAPSHOT_SUSPECT)"
    if history.disproved(snapshot):
        own = history.proven.get(snapshot.id) == Verdict.FAIL
        return f"which {'failed its last restore test' if own else 'depends on one that failed its restore test'}"
    return "which depends on one that restic stored with a warning"


def why_not_counting(
    status: AssetStatus, job: Job, history: AssetHistory, known: Sequence[Snapshot], now: datetime
) -> dict[str, str | None]:
    """Of each snapshot that is `known`, by id: why it does not count for the RPO; None where it does."""

    def why(s: Snapshot) -> str | None:
        if s in status.counting:
            return None
        if not of_source(s, job.engine.source_name):
            return "is from another source than the plan names now"
        if s in status.usable:
            return "the repository was found damaged, and nothing as new has passed a test since"
        if s.note is not None and not dated_in_future(s, now):
            return f"restic stored it with a warning: {s.note}"
        return why_not(s, known, history, now).removeprefix("which ")

    return {s.id: why(s) for s in known}


def points_by_records(
    job: Job, history: AssetHistory, upkeep: AssetHistory, seen: Seen, usable: Sequence[Snapshot]
) -> Iterator[Point]:
    """Backups that the ledger of whoever takes them tells of, and that the catalogue has not learned of yet."""
    until = history.counts_until(((s.id, s.consistent_point) for s in usable), upkeep)
    points = history.points_beside(job.engine.source_name, [s.id for s in seen.snapshots])
    return (Point(consistent, at) for consistent, at in points if consistent <= until)


def made_up_for(gone: Sequence[Snapshot], newest: Snapshot | None, history: AssetHistory) -> Missing:
    """Of what vanished: is there a newer one, and has one passed a test? Where it is the last that was stored, none."""
    last, passed = ((r or {}).get("snapshot") or {} for r in (history.last_good_backup, history.last_latest_pass))
    latest = max((s.consistent_point for s in gone), default=None)
    if last.get("id") in history.vanished or (latest and (newest is None or newest.consistent_point <= latest)):
        return Missing.NOTHING
    shown = passed.get("consistent_point")
    return Missing.SHOWN if latest is None or (shown and utc(shown) > latest) else Missing.STORED


def apart_from_vanished(problems: Iterable[Problem], gone: Collection[str]) -> Iterator[Problem]:
    """Without what a run found of snapshots that vanished alone: SNAPSHOT_VANISHED tells it. What it found of others
    and of these follows from that."""
    lost = {one[:8] for one in gone}
    for p in problems:
        named = {one[:8] for one in p.cause.split()} if p.trouble is Trouble.FINDING and lost else set()
        if not named & lost:
            yield p
        elif named - lost:
            yield replace(p, because=Trouble.SNAPSHOT_VANISHED)


def answered_for(gone: Collection[Snapshot], history: AssetHistory, now: datetime) -> bool:
    """Has somebody taken note that these are gone, just these?"""
    cause = " ".join(sorted(s.short for s in gone))
    (problem,) = acknowledged([Problem(Trouble.SNAPSHOT_VANISHED, "", cause=cause)], history.acks, now)
    return problem.acknowledged is not None


def vanished_problem(
    job: Job, snapshots: Sequence[Snapshot], besides: Collection[str], made_up: Missing
) -> Iterator[Problem]:
    """What was removed from the repository, and not by retention: it counts no more. `besides` are those that the
    ledger alone knows of."""
    every = [f"{s.short} of {rfc3339(s.consistent_point)}" for s in reversed(snapshots)]
    every += [f"{one[:8]}, which the catalogue lacks, too" for one in sorted(besides)]
    if not every:
        return
    named = ", ".join(every[:MOST_NAMED])
    more = f" and {len(every) - MOST_NAMED} more" if len(every) > MOST_NAMED else ""
    is_gone = "snapshot is" if len(every) == 1 else "snapshots are"
    text = (
        f"{len(every)} {is_gone} gone from its repository, and retention did not remove "
        f"{'it' if len(every) == 1 else 'them'}: {named}{more}"
    )
    shorts = sorted([*(s.short for s in snapshots), *(one[:8] for one in besides)])
    step = after_vanishing(job.plan, job.asset, made_up, retained=job.loaded.plan.retention is not None)
    # What a newer one has shown to come back is no less within what was promised for it.
    level = Level.NOTE if made_up is Missing.SHOWN else None
    yield Problem(Trouble.SNAPSHOT_VANISHED, text, cause=" ".join(shorts), step=step, as_bad_as=level)
