"""Read a part of what a repository holds, the one that was read longest ago."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from msgspec import structs

from ccdr.evidence.history.asset_history import NEVER, AssetHistory, Histories
from ccdr.evidence.history.kinds import CLEAN, DAMAGED
from ccdr.evidence.records.upkeep import CheckStart
from ccdr.host.state import Run
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.services import BY_HAND, Services, Trigger, limits_of
from ccdr.jobs.shipping import log_repository
from ccdr.jobs.upkeep.outcome import PLANNED, Check, capacity_of, tenths
from ccdr.model.errors import RepositoryDamaged, RepositoryMissing
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage import upkeep as storage
from ccdr.storage.restic import Restic


def check(
    loaded: LoadedPlan,
    services: Services,
    progress: Progress,
    *,
    trigger: Trigger = BY_HAND,
    dry_run: bool = False,
    all_data: bool = False,
) -> Check:
    """Check the repository's structure, and read the next part of its data: the one that was read longest ago; or
    `all_data` of it.

    Raises as `prune` does; `dry_run` only says which part would be read.
    """
    repo = services.repository(loaded, limits_of(loaded))
    state, plan = services.state, loaded.plan.plan
    if dry_run:
        return replace(_next_check(loaded, services.histories(), all_data=all_data), result=PLANNED)
    with state.lock(plan, "", "upkeep"), state.reading(repo.location), state.run(services.clock) as run:
        result = _next_check(loaded, services.histories(), all_data=all_data)
        result.run = run.id
        recorded = RecordedRun(services, loaded, None, run.id, trigger)
        recorded.begin(CheckStart, part=result.part, parts=result.parts, all_data=all_data)
        with recorded.attempt(result.failed):
            _check(loaded, services, repo, progress, result, run)
        result.conclude(recorded)
    return result


def _check(loaded: LoadedPlan, services: Services, repo: Restic, progress: Progress, result: Check, run: Run) -> None:
    part, parts = _span(result)
    what = "reading all of the data" if result.all_data else f"reading part {part} of {parts}"
    progress.step(what)
    began = services.clock.monotonic()
    try:
        damage = storage.check(repo, part, parts, run.directory("cache"), tenths(progress, what))
    except RepositoryDamaged as error:
        damage, result.repository = storage.Damage(str(error), ()), error.repository
    if damage is None:
        damage = _check_log(loaded, services, progress, result, run)
    result.seconds = services.clock.monotonic() - began
    if damage is None:
        result.result = CLEAN
    else:
        result.result, result.reason = DAMAGED, damage.text
        result.words += damage.words
        result.hint = (
            f"`ccdr test {loaded.plan.plan}` shows whether the newest snapshots are whole; copy the repository "
            f"before anything repairs it, and follow docs/how-to/recover.md, A damaged repository"
        )
        result.findings = [f"the repository is damaged: {damage.text}"]
    history = services.histories().get((loaded.plan.plan, None), AssetHistory())
    history.take(structs.replace(result.ended(), time=services.clock.now()))
    result.covered, result.full_since = _coverage(history, result.parts)
    result.capacity = capacity_of(loaded, services, repo)


def _check_log(
    loaded: LoadedPlan, services: Services, progress: Progress, result: Check, run: Run
) -> storage.Damage | None:
    """The same part of the shipped log's repository, where there is one."""
    ships = [asset for asset, engine in loaded.plan.assets.items() if engine.shipping is not None]
    if not ships:
        return None
    repo, (part, parts) = log_repository(Job(loaded, ships[0]), services), _span(result)
    what = f"reading {'all' if result.all_data else f'part {part}'} of the shipped log"
    progress.step(what)
    with services.state.reading(repo.location):
        try:
            repo.probe()
        except RepositoryMissing:  # nothing was shipped yet; `status` tells of that
            return None
        except RepositoryDamaged as error:
            return storage.Damage(str(error), ())
        return storage.check(repo, part, parts, run.directory("cache-log"), tenths(progress, what))


def _span(result: Check) -> tuple[int, int]:
    """Which part of how many restic is to read: all of the data is one of one."""
    return (1, 1) if result.all_data else (result.part, result.parts)


def _next_check(loaded: LoadedPlan, histories: Histories, *, all_data: bool) -> Check:
    """The part that was never read, or longest ago. One that could not be read stays the next one; a damaged one was
    read, so that the others have their turn."""
    history = histories.get((loaded.plan.plan, None), AssetHistory())
    parts = min(loaded.plan.upkeep.parts, storage.MOST_PARTS)
    read = history.read if history.parts == parts else {}
    times = {int(part): one.time for part, one in read.items()}
    part = min(range(1, parts + 1), key=lambda n: (times.get(n, NEVER), n))
    covered, full_since = _coverage(history, parts)
    return Check(
        loaded.plan.plan,
        part=0 if all_data else part,
        parts=parts,
        all_data=all_data,
        covered=covered,
        full_since=full_since,
    )


def _coverage(history: AssetHistory, parts: int) -> tuple[int, datetime | None]:
    """How many parts were read and found clean in the present cycle, and since when all were."""
    if history.parts != parts:
        return 0, None
    clean = {part: one.time for part, one in history.read.items() if one.result == CLEAN}
    return sum(part in clean for part in history.cycle), min(clean.values()) if len(clean) == parts else None
