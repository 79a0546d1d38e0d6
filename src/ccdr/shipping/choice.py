"""Which base and which log lead to a target: from what the shelf says, before anything of it is fetched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ccdr.errors import BackupBad, TestBroken, UsageProblem
from ccdr.interfaces import ShippedLog, Target
from ccdr.model import Manifest, Snapshot, rfc3339
from ccdr.shipping.shelf import Batch, Shelf, held_of, key_of, rank


@dataclass(frozen=True)
class Choice:
    """A base, and the batches of log that lead from it to the target."""

    base: Snapshot
    batches: tuple[Batch, ...]
    target: Target


def choose(
    bases: Sequence[Snapshot],
    manifests: Sequence[Manifest],
    shelf: Shelf,
    log: ShippedLog,
    target: Target,
    anew: datetime | None = None,
    point: datetime | None = None,
) -> Choice:
    """The newest base that lies before the target, and the log from there on. `bases` are good ones that a log can go
    on from, oldest first, with their manifests; `anew` and `point` are as this host wrote them down (`Standing`).

    BackupBad where log is missing on the way, naming where; UsageProblem where the target lies outside of all that
    is stored; TestBroken where the log has not come as far as the newest base yet.
    """
    newest = shelf.newest
    if newest is None:
        raise BackupBad(
            "no log was ever stored", hint="`ccdr ship PLAN` ships it; `ccdr run` starts that in the background"
        )
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
    base, needed = bases[before[-1]], log.needed_from(manifests[before[-1]])
    if (back := shelf.torn_from(base.consistent_point, anew)) is not None:
        raise BackupBad(
            f"the source was found on {rfc3339(back)} to have gone back behind its own log, and no log that is stored "
            f"leads on from the base of {rfc3339(base.consistent_point)}",
            hint="where it is older, `ccdr backup PLAN` takes a new one; behind that, `ccdr ship PLAN` stores log",
        )
    ends = newest.open or newest.last or newest.name
    if rank(ends) < rank(needed) and (point is None or point <= newest.point):  # else it was there, and has gone
        raise TestBroken(
            f"the log is stored up to {rfc3339(newest.point)}, and that is before the base of "
            f"{rfc3339(base.consistent_point)}: there is none yet that leads on from it",
            hint="`ccdr ship PLAN --once` stores what there is now; if `ccdr ship` is at work, wait for its interval",
        )
    batches = shelf.from_segment(needed, log, base.consistent_point, anew)
    if not batches:
        raise BackupBad(
            f"the base of {rfc3339(base.consistent_point)} needs {needed}, the log begins later: "
            f"with {shelf.batches[0].begins}",
            hint="back up again: recovery goes from that base on",
        )
    _refuse_of_another_history(base, manifests[before[-1]], needed, batches)
    if target.time is not None:  # no further than to the first that surely holds it
        reach = next((n for n, batch in enumerate(batches) if batch.point >= target.time), len(batches))
        target = replace(target, beyond=reach == len(batches))
        batches = batches[: reach + 1]
    if gaps := Shelf(batches).gaps(log):
        raise BackupBad(
            f"log is missing between {gaps[0].after} and {gaps[0].before}", hint="back up again, and find out why"
        )
    told = shelf.skew_at(target.time, (base.consistent_point, manifests[before[-1]].clock_skew_s))
    return Choice(base, batches, replace(target, position=batches[-1].position, skew=told))


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
        hint='a time is written like "2026-11-24 14:05:00"; a point is named at the source, by what docs/logs.md tells',
    )


def stored_again(choice: Choice, shelf: Shelf) -> Choice | None:
    """The same by the newest snapshots of the same batches; None where what was chosen is all there still, or what has
    gone is in no newer one. Pure."""
    there = {batch.id for batch in (*shelf.batches, *shelf.spare)}
    newest = {key_of(batch): batch for batch in shelf.batches}
    found = tuple(newest.get(key_of(batch), batch) for batch in choice.batches)
    pairs = list(zip(choice.batches, found, strict=True))
    whole = all(new.id in there and held_of(new) >= held_of(old) for old, new in pairs)
    if not whole or all(old.id in there for old, _ in pairs):
        return None
    return replace(choice, batches=found, target=replace(choice.target, position=found[-1].position))


def _refuse_of_another_history(base: Snapshot, manifest: Manifest, needed: str, batches: Sequence[Batch]) -> None:
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
