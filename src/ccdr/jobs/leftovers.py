"""Remove what a crash left: our own, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ccdr.evidence.records.upkeep import SandboxReap
from ccdr.evidence.records.values import recorded_user
from ccdr.host.files import remove_tree
from ccdr.jobs.services import Services
from ccdr.model.errors import Locked
from ccdr.sandbox.docker import Leftover

CLIENT = "-client"  # a capture's container is named after its run, with this at its end


@dataclass
class Cleared:
    removed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)  # not ours to remove, or still in use
    problems: list[str] = field(default_factory=list)


def clear_leftovers(services: Services, *, dry_run: bool = False, docker: bool = True) -> Cleared:
    """Remove containers and volumes of this installation whose run is dead, those of another one that have ended and
    expired, and scratch of dead runs. TestBroken where Docker does not answer; scratch is removed all the same.
    Without `docker` it is not asked."""
    done = Cleared()
    state, now = services.state, services.clock.now()
    for scratch in state.dead_runs(now):
        if not dry_run:
            done.problems += state.forget_run(scratch)
        done.removed.append(f"scratch {scratch.name}")
    if not dry_run:
        state.forget_private(now)
    _clear_captures(services, done, dry_run)
    if docker:
        _clear_docker(services, done, dry_run)
    if done.removed and not dry_run:
        services.ledger.write(SandboxReap(removed=done.removed, left_behind=done.problems, who=recorded_user()))
    return done


def _clear_docker(services: Services, done: Cleared, dry_run: bool) -> None:
    state, docker, now = services.state, services.lab.docker, services.clock.now()
    leftovers = docker.leftovers()
    ours, theirs = ([one for one in leftovers if one.of(docker.state) is own] for own in (True, False))
    dead = [one for one in ours if not state.alive(one.run.removesuffix(CLIENT), now)]
    dead += _abandoned(theirs, docker.now()) if theirs else []
    for leftover in leftovers:
        if leftover not in dead:
            done.left.append(f"{leftover.kind} {leftover.name} is in use, or another installation's")
            continue
        if not dry_run:
            done.problems += docker.remove(leftover)
        done.removed.append(f"{leftover.kind} {leftover.name}")
    # A kept sandbox that somebody removed has nothing left to be looked at, and restored data must not stay.
    there = {leftover.run for leftover in leftovers}
    for scratch in state.kept_runs(now):
        if scratch.name.removeprefix("run-") not in there:
            if not dry_run:
                done.problems += state.forget_run(scratch)
            done.removed.append(f"scratch {scratch.name}, whose sandbox is gone")


def _abandoned(theirs: Sequence[Leftover], now: datetime | None) -> list[Leftover]:
    """Of other installations: their runs cannot be asked for here, so what runs stays. Nor does this host's clock say
    what has expired, which may have jumped; the clock does that all of them share."""
    return [one for one in theirs if one.ended and now is not None and one.expired(now)]


def _clear_captures(services: Services, done: Cleared, dry_run: bool) -> None:
    """What a crashed backup left of its capture; under the asset's lock, so that a running one keeps its own."""
    for plan, asset in services.state.captures():
        try:
            with services.state.lock(plan, asset, "backup"):
                if not dry_run:
                    done.problems += remove_tree(services.state.capture_path(plan, asset))
        except Locked:
            done.left.append(f"capture of {plan}/{asset} is under way")
        else:
            done.removed.append(f"capture of {plan}/{asset}")
