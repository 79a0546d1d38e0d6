"""What prune and check have in common: how they are recorded, and what the repository takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from ccdr.evidence.history import AssetHistory
from ccdr.host import interrupts
from ccdr.host.state import Run
from ccdr.jobs import in_force
from ccdr.jobs.services import Services, Trigger, facts_of_end
from ccdr.jobs.upkeep.outcome import Capacity, Check, Prune
from ccdr.model import measure
from ccdr.model.errors import CcdrError, Exit, told
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress
from ccdr.storage import upkeep as storage
from ccdr.storage.restic import Restic


def recorded(
    services: Services,
    start: str,
    end: str,
    loaded: LoadedPlan,
    run: Run,
    trigger: Trigger,
    about: Mapping[str, object],
    result: Prune | Check,
    work: Callable[[], None],
) -> None:
    """A run has a start and an end in the ledger, whatever happens in between."""
    where = {"plan": loaded.plan.plan, "asset": None, "run": run.id}
    tenant = loaded.plan.tenant
    body = {"plan_sha256": loaded.sha256, "tenant": tenant, **trigger.facts(), **about}
    in_force.record(loaded, services)
    services.ledger.append(start, **where, body=body)
    interrupted: BaseException | None = None
    try:
        work()
    except KeyboardInterrupt as error:
        interrupted, result.reason = error, "interrupted"
    except Exception as error:
        failed = told(error)
        result.reason, result.hint = failed.reason, failed.hint
        result.words += failed.words
        result.failure = getattr(error, "exit_code", Exit.NOT_CARRIED_OUT)
    with interrupts.deferred():
        services.state.keep_words(run.id, result.words)
        result.record = services.ledger.append(
            end, **where, body={**result.body(), **facts_of_end(loaded, None, trigger)}
        )
    if interrupted is not None:
        raise interrupted


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
    told: dict[str, int] = {}

    def count(done: int, total: int, unit: str) -> None:
        tenth = 10 * done // max(total, 1)
        if tenth > told.get(unit, 0) and done < total:
            told[unit] = tenth
            progress.step(f"{what}: {done} of {total} {unit}")

    return count
