"""A run's end: where everything stands now is told to the people and programs that want to know it.

Nothing here undoes or fails the work that was done: what could not be told is said, and told the next time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ccdr import metrics
from ccdr.errors import CcdrError, Exit, LedgerBroken
from ccdr.model import Achieved, ObjectiveVerdict
from ccdr.notify import Attempt, Telling, after_run, ledger_broken, missed, summary
from ccdr.plans import LoadedPlan
from ccdr.run import Book, RunResult, Verb
from ccdr.services import Services
from ccdr.status import AssetStatus, Problem, Trouble, status, upkeep_problems

PATIENCE = 30  # seconds for another run's telling
# What only the host that does the work can know: another one learns of backups when it next tests one.
_OF = {
    Verb.BACKUP: {Trouble.BACKUP_FAILED, Trouble.BACKUP_LATE, Trouble.NEVER_SUCCEEDED},
    Verb.TEST: {Trouble.TEST_FAILED, Trouble.TEST_LATE, Trouble.TEST_INCONCLUSIVE, Trouble.NEVER_TESTED},
}


@dataclass
class Conclusion:
    """What was told, and sentences on what could not be. `summary` is one line on where all assets stand,
    `wakes` is when there is something to tell again."""

    telling: Telling | None = None
    troubles: list[str] = field(default_factory=list)
    summary: str | None = None
    wakes: datetime | None = None

    def as_json(self) -> dict[str, object]:
        return {"telling": self.telling and self.telling.as_json(), "summary": self.summary, "troubles": self.troubles}


def conclude(
    plans: Sequence[LoadedPlan], services: Services, result: RunResult, *, seconds: float, textfile: Path | None = None
) -> Conclusion:
    """Tell people what is news to them, ping, and write the metrics. `seconds` is how long the run took."""
    done = Conclusion()
    found: list[AssetStatus] = []
    upkeep: dict[str, tuple[Problem, ...]] = {}
    broken = None
    try:
        found, upkeep = our_own(plans, services)
        done.summary = summary(found, services.clock.now())
    except CcdrError as error:
        done.troubles.append(str(error))
        broken = error
    extra = [
        missed(p.task.plan, p.task.asset, p.task.verb, p.missed.first, p.missed.last, p.missed.count)
        for p in result.missed
    ]
    if isinstance(broken, LedgerBroken):
        extra += [ledger_broken(p.plan.plan, broken) for p in plans]
    failed = {d.task.plan for d in result.did if d.code is not Exit.OK} | {p.task.plan for p in result.missed}
    attempts = [Attempt(d.task.plan, d.task.asset, d.task.verb, d.reason) for d in result.did]
    try:
        for _ in range(PATIENCE):
            telling = after_run(
                plans, services, found, upkeep, attempts=attempts, extra=extra, failed=failed, whole=broken is None
            )
            if not (telling.busy and extra):
                break
            time.sleep(1)  # another run is telling, and does not know of what this one alone has seen
        done.telling, done.wakes = telling, telling.wakes
        done.troubles += telling.notes
        done.troubles += telling.new_failures  # once: cron would mail it every time
    except CcdrError as error:
        done.troubles.append(str(error))
    if textfile is not None and broken is None:
        unreached = {plan: len(lines) for plan, lines in done.telling.failures.items()} if done.telling else {}
        facts = metrics.RunFacts(services.clock.now(), seconds, int(result.exit_code), unreached)
        try:
            metrics.write(textfile, found, {p: len(w) for p, w in upkeep.items()}, services.histories(), facts)
        except CcdrError as error:
            done.troubles.append(str(error))
    return done


def our_own(
    plans: Sequence[LoadedPlan], services: Services
) -> tuple[list[AssetStatus], dict[str, tuple[Problem, ...]]]:
    """Where the assets and the care of their repositories stand, as far as it is this host's to tell: all of it where
    it was never asked to do anything yet."""
    duties = {p.plan.plan: Book(services.state).duties(p.plan.plan) or set(Verb) for p in plans}
    return [_our_own(s, duties[s.plan]) for s in status(plans, services)], upkeep_problems(plans, services)


def _our_own(found: AssetStatus, duties: Collection[Verb]) -> AssetStatus:
    """Without what is another host's to tell."""
    not_ours = {trouble for verb, troubles in _OF.items() if verb not in duties for trouble in troubles}
    rpo = found.rpo if Verb.BACKUP in duties else Achieved(found.rpo.objective_s, None, ObjectiveVerdict.NOT_MEASURED)
    return replace(found, wrong=tuple(p for p in found.wrong if p.trouble not in not_ours), rpo=rpo)
