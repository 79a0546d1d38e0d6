"""A run's end: where everything stands now is told to the people and programs that want to know it.

Nothing here undoes or fails the work that was done: what could not be told is said, and told the next time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ccdr.evidence.acknowledged import exit_of
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset import LATE_GRACE, LATE_INTERVALS
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.troubles import judge_host
from ccdr.evidence.summary import HOLDS
from ccdr.jobs.approvals import believed
from ccdr.jobs.attest import news as not_told_yet
from ccdr.jobs.attest import troubles
from ccdr.jobs.daily_verification import DIFFERS, Finding, daily
from ccdr.jobs.examining import examine_daily
from ccdr.jobs.object_locks import DONE, LockExtension, extend_daily
from ccdr.jobs.services import Services
from ccdr.jobs.shipping.ship import SHIP
from ccdr.model.errors import CcdrError, Exit, LedgerBroken, PlanInvalid, worst
from ccdr.model.trouble import Problem, Trouble, next_step
from ccdr.model.values import Achieved, ObjectiveVerdict, Verb
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.run.next_due import Log, calm_standing
from ccdr.run.tasks import RunResult
from ccdr.telling import metrics
from ccdr.telling.anchoring import plans_of, standing
from ccdr.telling.copies import copies_of
from ccdr.telling.notify import (
    Concern,
    Key,
    RunAttempt,
    Telling,
    after_run,
    changed_duties,
    concerns_of,
    ledger_broken,
    missed,
    plan_wrong,
    summary,
    summary_wrong,
)
from ccdr.telling.status import anchor_problems, attestation_problems, left_by_plans, status, upkeep_problems

PATIENCE = 30  # seconds for another run's telling


@dataclass
class Conclusion:
    """What was told, and sentences on what could not be. `summary` is one line on where all assets stand,
    `next_due` is when there is something to tell again, `ledger` the newest verification of it; `code` is a finding
    where that is bad news."""

    ledger: Finding | None = None
    code: Exit = Exit.OK
    stands: Exit = Exit.OK  # a finding while something is wrong with the ledger, news or not
    telling: Telling | None = None
    troubles: list[str] = field(default_factory=list)
    summary: str | None = None
    next_due: datetime | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "telling": self.telling and self.telling.as_json(),
            "summary": self.summary,
            "troubles": self.troubles,
            "ledger": self.ledger and self.ledger.as_json(),
        }


def end_run(
    plans: Sequence[LoadedPlan],
    services: Services,
    result: RunResult,
    *,
    seconds: float,
    textfile: Path | None = None,
    logs: Sequence[Log] = (),
    wrong: Sequence[PlanInvalid] = (),
) -> Conclusion:
    """Tell people what is news to them, ping, and write the metrics. `seconds` is how long the run took, `logs` are
    those that `followed` gave before, `wrong` is what is the matter with other plans' files."""
    done = Conclusion()
    ours = OurOwn()
    broken = None
    concerns: list[Concern] = []
    try:
        concerns += _verified(plans, services, done)
        ours = our_own(plans, services)
        done.summary = summary(ours.assets, services.clock.now())
    except CcdrError as error:
        done.troubles.append(str(error))
        broken = error
    concerns += _of_the_run(plans, result, wrong)
    if isinstance(broken, LedgerBroken):
        concerns += [ledger_broken(p.plan.plan, broken) for p in plans]
    try:
        telling = _tell_people(
            plans, services, ours, result, concerns, lasting=_lasting(ours.assets, logs), whole=broken is None
        )
        done.telling, done.next_due = telling, telling.wakes
        done.troubles += telling.notes
        done.troubles += telling.new_failures  # once: cron would mail it every time
    except CcdrError as error:
        done.troubles.append(str(error))
    try:
        if broken is None:
            examine_daily(plans, services)
            done.troubles += [_unlocked(one) for one in extend_daily(plans, services) if one.result != DONE]
    except CcdrError as error:
        done.troubles.append(str(error))
    if textfile is not None and broken is None:
        facts = _facts(done, result, services.clock.now(), seconds)
        try:
            known = services.histories()
            copies = [one for p in plans for one in copies_of(p, known, services.clock.now())]
            metrics.write(textfile, ours.assets, ours.upkeep, known, facts, copies)
        except CcdrError as error:
            done.troubles.append(str(error))
    return done


def _unlocked(one: LockExtension) -> str:
    return f"{one.plan}: the locks of {one.repository} were not all pushed forward: {one.reason}"


def _of_the_run(plans: Sequence[LoadedPlan], result: RunResult, wrong: Sequence[PlanInvalid]) -> Iterator[Concern]:
    """What only this run has seen."""
    for p in result.missed:
        yield missed(p.task.plan, p.task.asset, p.task.verb, p.missed.first, p.missed.last, p.missed.count)
    yield from (plan_wrong(p.plan.plan, why) for p in plans for why in wrong)
    yield from (changed_duties(change.plan, str(change), change.at) for change in result.changes)


def _tell_people(
    plans: Sequence[LoadedPlan],
    services: Services,
    ours: OurOwn,
    result: RunResult,
    concerns: list[Concern],
    *,
    lasting: frozenset[tuple[str, str]],
    whole: bool,
) -> Telling:
    failed = {d.task.plan for d in result.did if d.code is not Exit.OK} | {p.task.plan for p in result.missed}
    attempts = [RunAttempt(d.task.plan, d.task.asset, d.task.verb, d.reason) for d in result.did]
    for n in range(PATIENCE):
        if n:
            time.sleep(1)  # another run is telling, and does not know of what this one alone has seen
        telling = after_run(
            plans,
            services,
            ours.assets,
            ours.upkeep,
            elsewhere=ours.elsewhere,
            attempts=attempts,
            extra=concerns,
            failed=failed,
            lasting=lasting,
            whole=whole,
        )
        if not (telling.busy and concerns):
            break
    return telling


def _facts(done: Conclusion, result: RunResult, now: datetime, seconds: float) -> metrics.RunFacts:
    unreached = {plan: len(lines) for plan, lines in done.telling.failures.items()} if done.telling else {}
    code, ledger = worst([result.exit_code, done.code, done.stands]), done.ledger
    verified, holds = (ledger.at, ledger.ok) if ledger else (None, None)
    return metrics.RunFacts(now, seconds, int(code), unreached, verified, holds)


def followed(jobs: Sequence[Job], services: Services) -> list[Log]:
    """Logs that other processes ship, as they stand: asked before people are told, so that the next run tells what
    changes meanwhile."""
    return [
        Log(
            job.plan,
            job.asset,
            SHIP,
            min(LATE_INTERVALS * job.engine.shipping.interval + LATE_GRACE, job.objectives.rpo),
            calm_standing(services.state, job.plan, job.asset),
        )
        for job in jobs
        if job.engine.shipping is not None
    ]


def _lasting(assets: Sequence[AssetStatus], logs: Sequence[Log]) -> frozenset[tuple[str, str]]:
    """Assets whose exposure is that of their log while it goes on: nothing is wrong with them, no gap either."""
    calm = {(log.plan, log.asset) for log in logs if log.standing is not None}
    return frozenset((a.plan, a.asset) for a in assets if not a.wrong) & calm


def _index(services: Services) -> dict[str, str]:
    from ccdr.telling.report import index  # once a day: no other run need read what writes reports

    return index.make(services)


def _verified(plans: Sequence[LoadedPlan], services: Services, done: Conclusion) -> Iterator[Concern]:
    """The ledger is verified, if that is due, before anything is read by its summary; and what the last comparisons
    with the repositories found is told."""
    done.ledger, news = daily(services, _index)
    of_host = judge_host(plans, services.histories())  # first: what is left out then is told, too
    lineage = services.lineage()
    of_ledger = (*troubles(lineage, services.unsound), *of_host)
    stated = attestation_problems(services, believed(plans, services))
    stated += left_by_plans(plans_of(plans), services, services.histories())
    # Told, and no reason for a run to fail: it anchors only once it is over.
    anchors = standing(plans_of(plans), services, lineage)
    anchored = anchor_problems(anchors, services, services.histories())
    done.stands = exit_of((*of_ledger, *stated))
    for problem in not_told_yet(of_ledger, services.state):
        done.code = worst([done.code, exit_of([problem])])
        done.troubles.append(f"{problem.text}; {next_step(problem.trouble, 'PLAN', None)}")
    for name in (p.plan.plan for p in plans):
        yield from (Concern(name, None, p.trouble, p.text, p.since, p.about) for p in of_ledger)
        yield from concerns_of((), {name: (*stated, *anchored)})
    if done.ledger is None or done.ledger.ok:
        return
    problems = done.ledger.problems or ("its record does not say what is wrong",)
    if news:
        done.code = Exit.FINDING
        done.troubles.append(f"the ledger: {'; '.join(problems)}; `ccdr ledger verify` tells all of it")
    for name in (p.plan.plan for p in plans):
        if done.ledger.result != HOLDS:
            yield ledger_broken(name, problems[0])
        if done.ledger.summary == DIFFERS:
            yield summary_wrong(name, problems[-1])


@dataclass(frozen=True)
class OurOwn:
    """Where the assets and the care of their repositories stand, as far as it is this host's to tell. `elsewhere` is
    what is not: only the host that does the work can know, another one learns of backups when it next tests one."""

    assets: Sequence[AssetStatus] = ()
    upkeep: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)
    elsewhere: frozenset[tuple[str, Key]] = frozenset()  # concerns, by plan


def our_own(plans: Sequence[LoadedPlan], services: Services) -> OurOwn:
    histories = services.histories()
    assets, upkeep = status(plans, services), upkeep_problems(plans, services)

    def ours(plan: str, problems: Sequence[Problem]) -> tuple[Problem, ...]:
        history = histories.get((plan, None), AssetHistory())
        return tuple(p for p in problems if p.verb is None or history.answers_for(p.verb))

    def own(asset: AssetStatus) -> AssetStatus:
        history = histories.get((asset.plan, None), AssetHistory())
        rpo = asset.rpo if history.answers_for(Verb.BACKUP) else _not_known_here(asset.rpo)
        rto = asset.rto if history.answers_for(Verb.TEST) else _not_known_here(asset.rto)
        return replace(
            asset, wrong=ours(asset.plan, asset.wrong), breaches=ours(asset.plan, asset.breaches), rpo=rpo, rto=rto
        )

    our_assets, our_upkeep = [own(s) for s in assets], {plan: ours(plan, wrong) for plan, wrong in upkeep.items()}
    our_concerns = {(c.plan, c.key) for c in concerns_of(our_assets, our_upkeep)}
    all_of_it = {(c.plan, c.key) for c in concerns_of(assets, upkeep)}
    # What nobody can tell here is not over either.
    unknown = (Trouble.NEVER_SUCCEEDED, Trouble.BACKUP_LATE, Trouble.BREACH_RPO)
    all_of_it |= {(s.plan, (s.asset, kind.value, "")) for s in assets if not s.backs_up for kind in unknown}
    untested = (Trouble.NEVER_TESTED, Trouble.TEST_LATE)
    all_of_it |= {(s.plan, (s.asset, kind.value, "")) for s in assets if s.not_known_here for kind in untested}
    return OurOwn(our_assets, our_upkeep, frozenset(all_of_it - our_concerns))


def _not_known_here(achieved: Achieved) -> Achieved:
    return Achieved(achieved.objective_s, None, ObjectiveVerdict.NOT_KNOWN_HERE)
