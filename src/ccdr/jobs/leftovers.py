"""Remove what a crash left, and what the state holds of assets that no plan names any more: our
own, and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ccdr.evidence.records.upkeep import SandboxReap
from ccdr.evidence.records.values import recorded_user
from ccdr.host.files import remove_tree
from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.model.errors import Locked
from ccdr.plans import LoadedPlan
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


# What the state directory holds of assets that no plan names any more: counted day by day, then let go.
#
# A plan may be away for an hour by mistake, and a run may be asked for some plans only, so nothing goes by the first
# look: an asset is retired once runs of `DAYS` different days have not seen it, and each run that sees it begins the
# count anew. Days are counted, not the time between two readings of a clock, so that a clock that is wrong for an
# hour is one day more. Then its schedules' slots and its listings of files go: both are made anew. The ledger, the
# catalogue and log that was not stored yet stay; `ccdr doctor` says where they are.

DAYS = 90
KEPT = ("catalogue", "shipping")  # by plan and asset
Name = tuple[str, str]  # plan and asset; no asset for what is of the whole plan


class Retired(StateFile, frozen=True):
    """The day that was counted last, and for how many each has not been seen. When lost, all is counted from now."""

    day: str = ""
    absent: tuple[tuple[str, str, int], ...] = ()

    @property
    def days(self) -> dict[Name, int]:
        return {(plan, asset): days for plan, asset, days in self.absent}


def let_go(plans: Sequence[LoadedPlan], stated: Collection[str], services: Services) -> list[Path]:
    """Count this day, and remove what is retired; what was removed. `stated` are plans that have a file: one that is
    wrong, or was not asked for, has all the assets that it ever had. CcdrError where it cannot be written."""
    state, today = services.state, services.clock.now().date().isoformat()
    counted = _read(state)
    absent = counted.days
    assets = {p.plan.plan: {"", *p.plan.assets} for p in plans}

    def present(name: Name) -> bool:
        plan, asset = name
        return asset in assets[plan] if plan in assets else plan in stated

    seen = {name: days for name, days in absent.items() if not present(name)}
    if counted.day == today:
        if seen != absent:
            _write(state, today, seen)
        return []
    seen = {name: absent.get(name, 0) + 1 for name in _held(state) if not present(name)}
    removed = [path for name, days in seen.items() if days >= DAYS for path in _remove(state, name)]
    _write(state, today, seen)
    state.forget_caches(services.clock.now())
    return removed


def kept(plans: Collection[str], state: State) -> list[Path]:
    """Directories of plans that have been retired, which are a person's to remove."""
    retired = {plan for (plan, _), days in _read(state).days.items() if days >= DAYS and plan not in plans}
    return [path for plan in sorted(retired) for path in (state.root / part / plan for part in KEPT) if path.is_dir()]


def _held(state: State) -> set[Name]:
    """Of whom there is something."""
    files = [*_files(state, "schedule"), *_files(state, "index")]
    names = {(plan, asset) for (plan, asset), _ in files}
    for part in KEPT:
        names |= {(path.parent.name, path.name) for path in (state.root / part).glob("*/*") if path.is_dir()}
    return names


def _files(state: State, part: str) -> Iterator[tuple[Name, Path]]:
    for path in (state.root / part).glob("[!.]*.*.*"):
        plan, asset, _ = path.name.split(".", 2)
        yield (plan, asset), path


def _remove(state: State, name: Name) -> Iterator[Path]:
    for part in ("schedule", "index"):
        for whose, path in _files(state, part):
            if whose != name:
                continue
            # A slot is its turn's: whoever has that is at work by a plan that we do not see.
            turn = state.turn(f"run.{path.stem}") if part == "schedule" else contextlib.nullcontext(True)
            with turn as free, contextlib.suppress(OSError):
                if free:
                    path.unlink()
                    yield path


def _path(state: State) -> Path:
    return state.root / "retired.json"


def _read(state: State) -> Retired:
    return state_or_none(_path(state), Retired) or Retired()


def _write(state: State, day: str, absent: dict[Name, int]) -> None:
    write_state(_path(state), Retired(day=day, absent=tuple((*name, days) for name, days in sorted(absent.items()))))
