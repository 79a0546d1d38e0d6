"""What prune and check have in common: how they are recorded, and what the repository takes."""

from __future__ import annotations

import contextlib

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.jobs.recorded import RecordedRun
from ccdr.jobs.services import Services
from ccdr.jobs.upkeep.outcome import Capacity, Check, Prune
from ccdr.model import measure
from ccdr.model.errors import CcdrError, Exit, failure_of
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.storage import upkeep as storage
from ccdr.storage.restic import Restic


def failed(result: Prune | Check, error: KeyboardInterrupt | Exception) -> None:
    """Why it ended early, and what to do next."""
    if isinstance(error, KeyboardInterrupt):
        result.reason = "interrupted"
        return
    why = failure_of(error)
    result.reason, result.hint = why.reason, why.hint
    result.words += why.words
    result.failure = getattr(error, "exit_code", Exit.NOT_CARRIED_OUT)


def record_end(recorded: RecordedRun, result: Prune | Check) -> None:
    with recorded.conclusion():
        recorded.services.state.keep_words(recorded.run, result.words)
        result.record = recorded.end(result.ended())


def size(repo: Restic) -> int | None:
    with contextlib.suppress(CcdrError):
        return storage.size(repo)
    return None


def capacity_of(loaded: LoadedPlan, services: Services, repo: Restic) -> Capacity:
    """It is a note on what was done: a store that does not answer any more leaves it empty."""
    taken = size(repo)
    if taken is None:
        return Capacity()
    history = services.histories().get((loaded.plan.plan, None), AssetHistory())
    today = services.clock.now().date().isoformat()
    return Capacity(taken, storage.room(repo), measure.growth({**history.sizes, today: taken}))


def tenths(progress: Progress, what: str) -> storage.OnCount:
    """Tells a person how far it is, ten times at most."""
    reported: dict[str, int] = {}

    def count(done: int, total: int, unit: str) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > reported.get(unit, 0) and done < total:
            reported[unit] = tenth
            progress.step(f"{what}: {done} of {total} {unit}")

    return count
