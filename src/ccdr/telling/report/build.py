"""Makes a report: verifies the ledger and folds it in one pass, then judges."""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

from ccdr import __version__
from ccdr.evidence.controls.values import Known, PlanKnown
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.fold import UNENDED
from ccdr.evidence.judgement.anchors import AnchorsStanding
from ccdr.evidence.judgement.incidents import Clocks, judge_incidents
from ccdr.evidence.judgement.statements import judge_people, refused
from ccdr.evidence.judgement.troubles import judge_host
from ccdr.evidence.judgement.upkeep import judge_upkeep, of_copies
from ccdr.evidence.ledger.verification import Verification
from ccdr.evidence.lineage.own_records import AnchorChange, Lineage, verified_of
from ccdr.evidence.log_standing import read_standing
from ccdr.evidence.pauses import by_elapsed
from ccdr.evidence.payloads import payload
from ccdr.evidence.population import Population, records_of
from ccdr.evidence.records import LedgerVerified
from ccdr.host.clock import boot
from ccdr.host.state import default_state
from ccdr.jobs.approvals import believed
from ccdr.jobs.attest import troubles
from ccdr.jobs.in_force import judged_by, kept_texts, without_file
from ccdr.jobs.services import Services
from ccdr.jobs.shipping import UNRECORDED
from ccdr.model.errors import CcdrError, Exit, UsageProblem, worst
from ccdr.model.trouble import Level, Problem, Trouble, next_step
from ccdr.model.values import Snapshot, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.changed_keys import changed_keys
from ccdr.plans.job import Job
from ccdr.plans.loosened import PlanChange
from ccdr.plans.model import SIGNERS
from ccdr.plans.versions import Judged
from ccdr.storage.removals import CLOCK_TOLERANCE
from ccdr.telling.anchoring import plans_of, standing
from ccdr.telling.answer import Answer, answer
from ccdr.telling.controls import Asked, Controls
from ccdr.telling.controls import judged as judged_controls
from ccdr.telling.deviations import Told
from ccdr.telling.incidents.view import Listed
from ccdr.telling.report.asset_evidence import AssetEvidence
from ccdr.telling.report.chains import ChainFacts, facts_of
from ccdr.telling.report.copies import copy_reports
from ccdr.telling.report.deviations import deviations_in
from ccdr.telling.report.evidence import Evidence, PlanEvidence
from ccdr.telling.report.headline import over_the_period
from ccdr.telling.report.incidents import incidents_in
from ccdr.telling.report.judge import interruptions, judge_asset, judge_plan
from ccdr.telling.report.judged import AssetReport, Interruption, PlanReport, ReportedFinding
from ccdr.telling.report.noted import Noted, noted
from ccdr.telling.report.period import Period
from ccdr.telling.report.population_csv import PopulationDigest, digesting
from ccdr.telling.report.promises import PlanPromises, Tallies, counted, mending, promises, versions_in_force
from ccdr.telling.report.reading import Before, read
from ccdr.telling.report.runs import RecordedRun
from ccdr.telling.report.sign_offs import SignOff, findings_of, sign_off_again, sign_offs_in
from ccdr.telling.status import (
    anchor_problems,
    answering,
    left_overdue,
    overdue_deviations,
    records_lost,
    seen_now,
    upkeep_problems,
)

_NOTHING = PlanEvidence()  # of a plan without a record


@dataclass(frozen=True)
class LedgerFacts:
    """Where the evidence lies, and whether it holds: by itself, and by what the repositories attest of it.
    `lost_before` is what became of ledgers that were lost before it; `before` is None where all of it was verified for
    this report."""

    directory: Path
    verification: Verification
    lineage: Lineage
    troubles: tuple[Problem, ...]
    lost_before: tuple[str, ...]
    before: Before | None = None
    beside: tuple[ChainFacts, ...] = ()  # what was read with it
    elsewhere: Path | None = None  # the state directory, where it is not where ccdr would look by itself
    anchors: AnchorsStanding | None = None  # as they stand when it is made
    of_anchors: tuple[Problem, ...] = ()  # what is wrong with them, where the period reaches to now
    loosened: tuple[AnchorChange, ...] = ()  # within the period: fewer of them, rarer ones, others

    @property
    def problems(self) -> tuple[str, ...]:
        return (*self.verification.problems, *(problem.text for problem in self.troubles))

    @property
    def unproven(self) -> int:
        """How many problems it has for which nothing that it holds proves anything."""
        return len(self.verification.problems) + sum(p.trouble.tampering for p in self.troubles)


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
    over_the_period: str
    findings: tuple[ReportedFinding, ...]
    assets: tuple[AssetReport, ...]
    plans: tuple[PlanReport, ...]
    runs: tuple[RecordedRun, ...]
    tallies: Tallies
    interruptions: tuple[Interruption, ...]
    population: PopulationDigest
    promises: tuple[PlanPromises, ...] = ()
    judged_by: tuple[Judged, ...] = ()
    noted: tuple[Noted, ...] = ()  # what somebody has taken note of
    controls: Controls | None = None
    incidents: tuple[Listed, ...] = ()
    deviations: tuple[Told, ...] = ()
    sign_offs: tuple[SignOff, ...] = ()

    @property
    def exit_code(self) -> Exit:
        """A repository beside its source is where the plan wants it: said, and no finding; nor is what is
        acknowledged, another host's to know, or a pause. Where no plan lies here nothing was judged."""
        codes = [f.exit for f in self.findings if f.acknowledged is None and f.level is not Level.NEAR]
        return worst(
            [code for code in codes if code is not Exit.OK]
            or [Exit.OK if any(a.in_plan for a in self.assets) else Exit.NOT_CARRIED_OUT]
        )


def make_report(
    plans: Sequence[LoadedPlan],
    services: Services,
    period: Period,
    *,
    named: Sequence[str] = (),
    there: Sequence[str] = (),
    command: str,
    whole: bool = False,
    words: bool = False,
    asked: Asked | None = None,
    signers: Path | None = SIGNERS,
    shown: Verification | None = None,
) -> Report:
    """`named` are the plans that were asked for, of those that are `there`: records of others are left out. `whole`:
    all of the ledger is verified, whatever was before. `words`: what people wrote for what they acknowledged stands in
    it, too. `asked`: by what measures are judged; None: by what comes with ccdr. `signers`: who may sign a period off:
    by that file, or the plans' own, the signatures of sign-offs are verified once more, and those of all else by the
    plans' own; None: none is verified, and it says so. `shown`: of a part of a ledger, what is known of
    that as a whole; None: all of it is here, and is verified.
    UsageProblem where neither plans nor records know one; CcdrError where the ledger cannot be read."""
    read_ = _read(plans, services, period, named=named, there=there, whole=whole, shown=shown)
    evidence, directory, verify = read_.evidence, plans_of(plans), signers is not None
    judged = _as_recorded(plans, there, services, evidence)
    plans = [one.loaded for one in judged if one.loaded]
    if verify:
        evidence.histories = believed(plans, services, evidence.histories)
        for name, asset in evidence.assets.items():
            asset.history = evidence.histories[name]
    runs = tuple(evidence.runs)
    with digesting(runs) as digest:
        assets = _judge_assets(plans, services, evidence, period)
        care = {p.plan.plan: _problems(p, services, evidence, period, verify=verify) for p in plans}
        care |= _left(services, evidence, period, care, verify=verify)
        reports = _judge_plans(plans, care, services, evidence, runs, period)
        promised = [_with_keys(one, services) for one in promises(evidence)]
        tallies = counted(evidence.tallies(), runs, promised)
        interrupted = tuple(interruptions(runs, mending(evidence)))
        population = digest()
    ledger = _with_anchors(_ledger(read_, plans, services, period), directory, services, evidence)
    findings = (*_findings(ledger, assets, reports), *_of_nobody(evidence))
    first = _first(ledger.verification, evidence)
    signed = _sign_offs(plans, services, evidence, named, signers, None if shown else first)
    return Report(
        period=period,
        made_at=services.clock.now(),
        made_by=services.ledger.actor,
        host=services.ledger.host,
        command=command,
        version=__version__,
        wanted=tuple(named),
        ledger=ledger,
        answer=_answer(ledger, assets, findings, period),
        over_the_period=over_the_period(period, assets, runs, tallies, promised, first, ledger.unproven),
        findings=(*findings, *findings_of(signed)),
        assets=assets,
        plans=reports,
        runs=runs,
        tallies=tallies,
        interruptions=interrupted,
        population=population,
        promises=tuple(promised),
        judged_by=tuple(judged),
        noted=noted(evidence.histories, period.end, partial(payload, services.state) if words else None),
        incidents=incidents_in(evidence.histories, period),
        deviations=deviations_in(
            plans,
            [one.judged for one in assets if one.judged is not None],
            evidence.histories,
            services,
            period,
            words=words,
            verify=verify,
            wanted=named,
        ),
        sign_offs=signed,
        controls=_controls(plans, assets, care, ledger, services, evidence, asked or Asked.with_map()),
    )


def _sign_offs(
    plans: Sequence[LoadedPlan],
    services: Services,
    evidence: Evidence,
    named: Sequence[str],
    signers: Path | None,
    first: datetime | None,
) -> tuple[SignOff, ...]:
    theirs = (p.plan.approval.signers for p in plans if p.plan.approval is not None)
    again = partial(sign_off_again, places=None if signers is None else {signers, *theirs}, services=services)
    host = "" if services.in_package else services.ledger.host  # whose uids have names here
    ours = services.lineage().ledger, host
    return sign_offs_in(evidence.sign_offs, evidence.runs, evidence.period, named, *ours, again, first)


def _with_keys(promised: PlanPromises, services: Services) -> PlanPromises:
    """Which keys each change is of, where the files of both versions are kept here."""

    def of(change: PlanChange) -> PlanChange:
        if change.before is None:
            return change
        plan, digests = change.after.plan, (change.before.digest, change.after.digest)
        before, after = (kept_texts(services, plan, digest) for digest in digests)
        return change if before is None or after is None else replace(change, keys=changed_keys(before, after))

    return replace(promised, changes=tuple(map(of, promised.changes)))


def _controls(
    plans: Sequence[LoadedPlan],
    assets: Sequence[AssetReport],
    care: Mapping[str, Sequence[Problem]],
    ledger: LedgerFacts,
    services: Services,
    evidence: Evidence,
    used: Asked,
) -> Controls:
    """As they stood at the period's end."""
    end = evidence.period.end
    stood = [one.judged for one in assets if one.judged is not None]
    host = evidence.histories.get((None, None), AssetHistory())
    known = Known(
        now=end,
        plans=[PlanKnown(p, [s for s in stood if s.plan == p.plan.plan], care[p.plan.plan]) for p in plans],
        histories=evidence.histories,
        lineage=_verified_by(end, ledger.lineage, services),
        of_ledger=ledger.troubles,
        of_people=judge_people(host, end),
        floors=used.floors.value,
        lowered=used.lowered,
    )
    return judged_controls(known, services, used)


def _verified_by(end: datetime, lineage: Lineage, services: Services) -> Lineage:
    """With the newest verification of that time, where there was a later one."""
    if lineage.verified is None or utc(lineage.verified.at) <= end:
        return lineage
    every = (record for record in services.ledger.newest(LedgerVerified) if isinstance(record, LedgerVerified))
    last = next((record for record in every if record.time <= end), None)
    return replace(lineage, verified=None if last is None else verified_of(last))


@dataclass(frozen=True)
class _Reading:
    """The ledger as it was read, what lay beside it, and what of that was believed."""

    evidence: Evidence
    verification: Verification
    before: Before | None
    beside: Population
    believed: Population


def _read(
    plans: Sequence[LoadedPlan],
    services: Services,
    period: Period,
    *,
    named: Sequence[str],
    there: Sequence[str],
    whole: bool,
    shown: Verification | None,
) -> _Reading:
    running, wanted = _not_crashed(services), frozenset(named) or None
    beside = services.population()
    if shown is None:
        evidence, verification, before, believed = read(services, beside, period, wanted, whole=whole)
    else:
        evidence, verification, before, believed = (
            Evidence(period, wanted, clock=services.clock.now),
            shown,
            None,
            beside,
        )
        for record in records_of(services.ledger, beside):
            evidence.take(record)
    known = {p.plan.plan: p for p in plans}
    if unknown := [name for name in named if name not in known and name not in evidence.plans_seen]:
        raise UsageProblem(
            f"there is no plan {', '.join(map(ascii, unknown))}, and the ledger has no record of one",
            hint=f"there are {', '.join(there or known) or 'none'}; name another directory with --plans",
        )
    evidence.close(running)
    for plan in () if services.in_package else evidence.plans.values():
        by_elapsed(plan.pauses, services.clock.now(), services.clock.monotonic(), boot())
    return _Reading(evidence, verification, before, beside, believed)


def _ledger(
    reading: _Reading,
    plans: Sequence[LoadedPlan],
    services: Services,
    period: Period,
) -> LedgerFacts:
    lineage, state = services.lineage(), services.state.root.absolute()
    return LedgerFacts(
        services.ledger.directory,
        reading.verification,
        lineage,
        (*troubles(lineage), *judge_host(plans, reading.evidence.histories)),
        tuple(_lost(lineage, services, period)),
        reading.before,
        tuple(facts_of(reading.beside, reading.believed, services.catalogue, lineage)),
        None if state == default_state().absolute() else state,
    )


def _with_anchors(facts: LedgerFacts, plans: Path | None, services: Services, evidence: Evidence) -> LedgerFacts:
    """`plans` is their directory. What is overdue is so now: of a past period it says nothing."""
    anchors, period = standing(plans, services, facts.lineage), evidence.period
    now = anchor_problems(anchors, services, evidence.histories) if period.until_now else ()
    loosened = facts.lineage.anchoring.loosened
    within = tuple(one for one in loosened if period.start <= utc(one.at) < period.end)
    return replace(facts, anchors=anchors, of_anchors=now, loosened=within)


def _findings(
    ledger: LedgerFacts, assets: Sequence[AssetReport], plans: Sequence[PlanReport]
) -> Iterator[ReportedFinding]:
    """The ledger's, then those of assets, the worst first, then those of plans."""
    step = next_step(Trouble.LEDGER_BROKEN, "", None)
    yield from (ReportedFinding(Level.UNPROVEN, problem, step=step) for problem in ledger.verification.problems)
    for p in ledger.troubles:
        step = next_step(p.trouble, "", None)
        yield ReportedFinding(Level.UNPROVEN, p.text, step=step, code=p.trouble.name)
    for p in ledger.of_anchors:
        yield ReportedFinding(p.level, p.text, step=p.step, code=p.trouble.name, acknowledged=p.acknowledged)
    yield from sorted((f for a in assets for f in a.findings), key=lambda f: -f.level)
    yield from (f for p in plans for f in p.findings)


def _of_nobody(evidence: Evidence) -> Iterator[ReportedFinding]:
    """What is stated of this host, and is not by whom it names."""
    for p in refused(evidence.histories.get((None, None), AssetHistory())):
        step = next_step(p.trouble, "", None)
        yield ReportedFinding(p.level, p.text, step=step, code=p.trouble.name)


def _answer(
    ledger: LedgerFacts, assets: Sequence[AssetReport], findings: Sequence[ReportedFinding], period: Period
) -> Answer:
    return answer(
        [one.judged for one in assets if one.judged is not None],
        ledger_problems=ledger.unproven,
        noted=sum(f.level is Level.NOTE for f in findings),
        until_now=period.until_now,
        lost=any(p.trouble is Trouble.LEDGER_LOST for p in ledger.troubles),
        unknown=any(f.exit is Exit.NOT_CARRIED_OUT and f.acknowledged is None for f in findings),
    )


def _lost(lineage: Lineage, services: Services, period: Period) -> Iterator[str]:
    """What became of ledgers that were lost before this one, and by whom; and of lines that were changed."""
    for ledger, sentence in lineage.past_losses(services.clock.now(), (period.start, period.end)):
        record = services.ledger.numbered(lineage.answers.get(ledger, 0)) if ledger else None
        yield f"{sentence}, by {record.actor} on {record.host} (record {record.seq})" if record else sentence


def _first(verification: Verification, evidence: Evidence) -> datetime | None:
    """When the first record is of, of this ledger or of one beside it."""
    beside = (history.first for history in evidence.histories.values())
    return min((at for at in (verification.first_time, *beside) if at), default=None)


def _as_recorded(
    plans: Sequence[LoadedPlan], there: Sequence[str], services: Services, evidence: Evidence
) -> list[Judged]:
    """The plans as the version in force at the period's end had them, those without a file too. Of a past period no
    file of today tells anything."""
    versions = versions_in_force(evidence)
    judged = [judged_by(loaded, versions.get(loaded.plan.plan), services) for loaded in plans]
    named = {*there, *(one.plan for one in judged)}
    judged += [without_file(v, services) for name, v in versions.items() if name not in named and not v.gone]
    return judged if evidence.period.until_now else [replace(one, file=None, stated=None) for one in judged]


def _judge_assets(
    plans: Sequence[LoadedPlan], services: Services, evidence: Evidence, period: Period
) -> tuple[AssetReport, ...]:
    """Those of plans, and those that only records tell of."""
    jobs = {(p.plan.plan, asset): Job(p, asset) for p in plans for asset in p.plan.assets}
    for name in jobs:
        _take_pending(services, name, evidence, period)
    return tuple(
        _judge(name, jobs.get(name), services, evidence, period)
        for name in [*jobs, *sorted(set(evidence.assets) - set(jobs))]
    )


def _judge(
    name: tuple[str, str], job: Job | None, services: Services, evidence: Evidence, period: Period
) -> AssetReport:
    """With what this host knows now beside its ledger, as `status` has it, where the period's end is now."""
    asset, elsewhere = evidence.assets.get(name), list[Snapshot]()
    removed = asset.removed if asset else ()
    seen = seen_now(job, services, evidence.history(*name), removed) if job and period.until_now else None
    if job:
        ours = asset.points.keys() | asset.removed if asset else set[str]()
        known = seen.snapshots if seen else services.catalogue.snapshots(*name, besides=ours)
        elsewhere = _elsewhere([s for s in known if s.id not in ours], asset, period)
    return judge_asset(
        job,
        name,
        asset,
        elsewhere,
        evidence.history(name[0], None),
        period,
        versions=evidence.plans.get(name[0], _NOTHING).versions,
        seen=seen,
        lost=job is not None and records_lost(services, evidence.history(*name)),
    )


def _judge_plans(
    plans: Sequence[LoadedPlan],
    care: Mapping[str, Sequence[Problem]],
    services: Services,
    evidence: Evidence,
    runs: Sequence[RecordedRun],
    period: Period,
) -> tuple[PlanReport, ...]:
    known = {p.plan.plan: p for p in plans}
    names = [*known, *sorted({plan for plan, _ in evidence.assets} | set(evidence.plans))]
    return tuple(
        judge_plan(
            name,
            loaded := known.get(name),
            evidence.plans.get(name, _NOTHING),
            care.get(name, ()),
            period,
            copies=copy_reports(loaded, evidence.histories, runs, care[name], period) if loaded else (),
            free=_free(known.get(name)) if period.until_now else None,
            elsewhere=answering(name, evidence.history(name, None), services.catalogue if period.until_now else None),
        )
        for name in dict.fromkeys(names)
    )


def _problems(
    loaded: LoadedPlan, services: Services, evidence: Evidence, period: Period, *, verify: bool
) -> Sequence[Problem]:
    """With the care of a plan's repository: as `status` has it where the period's end is now."""
    if period.until_now:
        return upkeep_problems([loaded], services, evidence.histories, verify=verify)[loaded.plan.plan]
    of_plan = judge_upkeep(loaded, evidence.histories, period.end)
    incidents = evidence.history(loaded.plan.plan, None).incidents
    due = judge_incidents(loaded.plan.plan, incidents, Clocks(period.end))
    late = overdue_deviations(loaded, services, evidence.histories, period.end, verify=verify)
    return (*of_plan, *of_copies(loaded, evidence.histories, period.end), *due, *late)


def _left(
    services: Services, evidence: Evidence, period: Period, care: Collection[str], *, verify: bool
) -> dict[str, list[Problem]]:
    """Of plans that nothing judges any more, as they have no file: what is overdue."""
    plans = {plan for plan, _ in evidence.histories if plan is not None and "@" not in plan and plan not in care}
    found = defaultdict[str, list[Problem]](list)
    for plan, problem in left_overdue(plans, services, evidence.histories, period.end, verify=verify):
        found[plan].append(problem)
    return found


def _not_crashed(services: Services) -> Callable[[str, datetime], bool]:
    """Made before the ledger is read: whether a run (and when it began) that has no end there has not crashed. It is
    at work, or was when the reading began and has ended since: a run is held until its end is recorded. Of one that was
    begun just before a package was made, nobody who has that can tell."""
    if services.in_package:
        return lambda run, begun: services.clock.now() - begun < UNENDED
    began, before = services.clock.now(), frozenset[str]()
    with contextlib.suppress(CcdrError):  # who may only read the state cannot tell
        before = services.state.runs_at_work()

    def known(run: str, begun: datetime) -> bool:
        with contextlib.suppress(CcdrError):
            return run in before or begun >= began or services.state.at_work(run)
        return False

    return known


def _elsewhere(others: Sequence[Snapshot], asset: AssetEvidence | None, period: Period) -> list[Snapshot]:
    """Snapshots that other hosts took, and that the catalogue learned of from the repository."""
    if asset:
        asset.parents |= {s.id: [needed.id for needed in s.upon] for s in others if s.upon}
    return [s for s in others if s.usable_at < period.end]


def _take_pending(services: Services, name: tuple[str, str], evidence: Evidence, period: Period) -> None:
    """What was stored of a log since the last record of it, as this host wrote it down."""
    standing, asset = read_standing(services.state, *name), evidence.assets.get(name)
    if standing is not None and asset is not None and standing.since is not None:
        # Each hour is recorded: what is claimed of any other time, no record would tell of.
        last = asset.log_recorded
        points = [
            point
            for point in standing.pending
            if last is not None and last <= point.usable <= last + UNRECORDED and point.usable < period.end
            if point.consistent <= point.usable + CLOCK_TOLERANCE
        ]
        asset.shipped(points, standing.since)


def _free(loaded: LoadedPlan | None) -> int | None:
    """The room left where a local repository lies, bytes."""
    if loaded is None or not loaded.plan.repository.is_local:
        return None
    with contextlib.suppress(OSError):
        return shutil.disk_usage(loaded.plan.repository.location).free
    return None
