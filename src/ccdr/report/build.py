"""Makes a report: verifies the ledger and folds it in one pass, then judges."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccdr import __version__
from ccdr.catalogue import of_source
from ccdr.errors import CcdrError, Exit, UsageProblem
from ccdr.ledger import Verification
from ccdr.measure import Point
from ccdr.plans import LoadedPlan
from ccdr.reading import Take, read_verified
from ccdr.report.answer import Answer, answer
from ccdr.report.evidence import Evidence, PlanEvidence, Run
from ccdr.report.judge import (
    AssetReport,
    Finding,
    Interruption,
    Level,
    PlanReport,
    interruptions,
    judge_asset,
    judge_plan,
)
from ccdr.report.period import Period
from ccdr.report.population import Digest, digesting
from ccdr.services import Job, Services
from ccdr.shipping import read_standing
from ccdr.trouble import Trouble, next_step

_NOTHING = PlanEvidence()  # of a plan without a record


@dataclass(frozen=True)
class LedgerFacts:
    """Where the evidence lies, and whether it holds."""

    directory: Path
    verification: Verification


@dataclass(frozen=True)
class Report:
    """All that is written down, whatever the format. `runs` is the whole population of the period, in order."""

    period: Period
    made_at: datetime
    made_by: str
    host: str
    command: str
    version: str
    wanted: tuple[str, ...]  # plans that were asked for by name; none: all
    ledger: LedgerFacts
    answer: Answer
    findings: tuple[Finding, ...]
    assets: tuple[AssetReport, ...]
    plans: tuple[PlanReport, ...]
    runs: tuple[Run, ...]
    tallies: dict[tuple[str, str], dict[str, int]]
    interruptions: tuple[Interruption, ...]
    population: Digest

    @property
    def exit_code(self) -> Exit:
        """A repository beside its source is where the plan wants it: said, and no finding."""
        return Exit.FINDING if any(f.level is not Level.NEAR for f in self.findings) else Exit.OK


def make_report(
    plans: Sequence[LoadedPlan],
    services: Services,
    period: Period,
    *,
    named: Sequence[str] = (),
    there: Sequence[str] = (),
    command: str,
) -> Report:
    """`named` are the plans that were asked for, of those that are `there`: records of others are left out.
    UsageProblem where neither plans nor records know one; CcdrError where the ledger cannot be read."""
    evidence = Evidence(period, frozenset(named) or None)

    def anew() -> Take:
        nonlocal evidence
        evidence = Evidence(period, frozenset(named) or None)
        return evidence.take

    running = _not_crashed(services)
    found = read_verified(services.ledger.directory, anew)
    known = {p.plan.plan: p for p in plans}
    if unknown := [name for name in named if name not in known and name not in evidence.plans_seen]:
        raise UsageProblem(
            f"there is no plan {', '.join(map(ascii, unknown))}, and the ledger has no record of one",
            hint=f"there are {', '.join(there or known) or 'none'}; name another directory with --plans",
        )
    evidence.close(running)
    jobs = {(p.plan.plan, asset): Job(p, asset) for p in plans for asset in p.plan.assets}
    runs = tuple(evidence.runs)
    with digesting(runs) as digest:
        assets = _judge_assets(jobs, services, evidence, period)
        reports = _judge_plans(known, jobs, evidence, period)
        tallies = {key: dict(tally) for key, tally in evidence.tallies().items()}
        interrupted = tuple(interruptions(runs))
        population = digest()
    look = next_step(Trouble.LEDGER_BROKEN, "", None)
    findings = (
        *(Finding(Level.UNPROVEN, problem, step=look) for problem in found.problems),
        *sorted((f for a in assets for f in a.findings), key=lambda f: -f.level),
        *(f for p in reports for f in p.findings),
    )
    return Report(
        period=period,
        made_at=services.clock.now(),
        made_by=services.ledger.actor,
        host=services.ledger.host,
        command=command,
        version=__version__,
        wanted=tuple(named),
        ledger=LedgerFacts(services.ledger.directory, found),
        answer=answer(assets, findings, len(found.problems), until_now=period.until_now),
        findings=findings,
        assets=assets,
        plans=reports,
        runs=runs,
        tallies=tallies,
        interruptions=interrupted,
        population=population,
    )


def _judge_assets(
    jobs: Mapping[tuple[str, str], Job], services: Services, evidence: Evidence, period: Period
) -> tuple[AssetReport, ...]:
    """Those of plans, and those that only records tell of."""
    for name in jobs:
        _take_pending(services, name, evidence, period)
    return tuple(
        judge_asset(
            jobs.get(name),
            name,
            evidence.assets.get(name),
            _elsewhere(services, jobs[name], evidence, period) if name in jobs else {},
            evidence.plans.get(name[0], _NOTHING),
            period,
        )
        for name in [*jobs, *sorted(set(evidence.assets) - set(jobs))]
    )


def _judge_plans(
    known: Mapping[str, LoadedPlan], jobs: Mapping[tuple[str, str], Job], evidence: Evidence, period: Period
) -> tuple[PlanReport, ...]:
    names = [*known, *sorted({plan for plan, _ in evidence.assets} | set(evidence.plans))]
    return tuple(
        judge_plan(
            name,
            [job for (plan, _), job in jobs.items() if plan == name],
            evidence.plans.get(name, _NOTHING),
            period,
            first=min((a.first_seen for (plan, _), a in evidence.assets.items() if plan == name), default=None),
            free=_free(known.get(name)) if period.until_now else None,
        )
        for name in dict.fromkeys(names)
    )


def _not_crashed(services: Services) -> Callable[[str, datetime], bool]:
    """Made before the ledger is read: whether a run (and when it began) that has no end there has not crashed. It is
    at work, or was when the reading began and has ended since: a run is held until its end is recorded."""
    began, before = services.clock.now(), frozenset[str]()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        before = services.state.runs_at_work()

    def known(run: str, begun: datetime) -> bool:
        with contextlib.suppress(CcdrError):
            return run in before or begun >= began or services.state.at_work(run)
        return False

    return known


def _elsewhere(services: Services, job: Job, evidence: Evidence, period: Period) -> dict[str, Point]:
    """Snapshots that other hosts took, and that the catalogue learned of from the repository."""
    asset = evidence.assets.get((job.plan, job.asset))
    seen = asset.points.keys() | asset.removed if asset else set()
    known = services.catalogue.snapshots(job.plan, job.asset, besides=seen)
    if asset:
        asset.upon |= {s.id: [needed.id for needed in s.upon] for s in known if s.upon}
    ours = [s for s in known if of_source(s, job.engine.source_name) and s.note is None]
    return {s.id: Point(s.consistent_point, s.usable_at) for s in ours if s.usable_at < period.end}


def _take_pending(services: Services, name: tuple[str, str], evidence: Evidence, period: Period) -> None:
    """What was stored of a log since the last record of it, as this host wrote it down."""
    standing, asset = read_standing(services.state, *name), evidence.assets.get(name)
    if standing is not None and asset is not None and standing.since is not None:
        asset.shipped([point for point in standing.pending if point.usable < period.end], standing.since)


def _free(loaded: LoadedPlan | None) -> int | None:
    """The room left where a local repository lies, bytes."""
    if loaded is None or not loaded.plan.repository.is_local:
        return None
    with contextlib.suppress(OSError):
        return shutil.disk_usage(loaded.plan.repository.location).free
    return None
