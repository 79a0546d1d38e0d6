"""What the state directory holds of assets that no plan names any more: counted day by day, then let go.

A plan may be away for an hour by mistake, and a run may be asked for some plans only, so nothing goes by the first
look: an asset is retired once runs of `DAYS` different days have not seen it, and each run that sees it begins the
count anew. Days are counted, not the time between two readings of a clock, so that a clock that is wrong for an hour is
one day more. Then its schedules' slots and its listings of files go: both are made anew. The ledger, the catalogue and
log that was not stored yet stay; `ccdr doctor` says where they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ccdr.host.state import State
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan

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
