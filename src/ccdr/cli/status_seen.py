"""All that `ccdr status` has to tell, gathered once: for people (`status_told.py`), or for a program (`document`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ccdr.host.state_files import plain
from ccdr.model.errors import Exit, worst
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import DUTIES, Verb

if TYPE_CHECKING:
    from ccdr.cli.settings import Settings
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.judgement.anchors import AnchorsStanding
    from ccdr.evidence.judgement.asset_status import AssetStatus
    from ccdr.evidence.judgement.incidents import IncidentNow
    from ccdr.evidence.lineage.own_records import Lineage
    from ccdr.evidence.population import Chain
    from ccdr.jobs.daily_verification import Finding
    from ccdr.jobs.pausing import PausedPlan
    from ccdr.jobs.services import Services
    from ccdr.plans import LoadedPlan
    from ccdr.plans.versions import Judged, PlanRevision
    from ccdr.telling.copies import CopyStatus
    from ccdr.telling.status import Answering


@dataclass(frozen=True)
class Seen:
    """All that is told, by people's eyes or a program's. Mappings are by plan, of the plans that are `shown`."""

    services: Services
    shown: Sequence[str]
    judged: Sequence[Judged]
    loaded: Sequence[LoadedPlan]  # as they were recorded
    gone: Sequence[PlanRevision]  # plans whose files are not there any more
    statuses: Sequence[AssetStatus]
    care: Mapping[str, Sequence[Problem]]
    deaf: Mapping[str, Sequence[str]]
    own: Mapping[str, Collection[Verb]]
    elsewhere: Mapping[str, Sequence[Answering]]
    private: Mapping[str, Sequence[str]]
    copies: Sequence[CopyStatus]
    paused: Mapping[str, PausedPlan]
    incidents: Mapping[str, Sequence[IncidentNow]]  # those that are open
    lineage: Lineage
    verified: Finding | None
    of_ledger: Sequence[Problem]
    anchors: AnchorsStanding
    of_anchors: Sequence[Problem]
    attested: Sequence[Problem]  # what is stale, and what will be soon
    left: Sequence[Problem]  # deviations that are overdue, of plans whose files are not there any more
    read_with: Sequence[Chain]
    by_hand: Mapping[str, Sequence[str]]  # of plans that were backed up here, and for which no run came by itself
    code: Exit

    @property
    def everything(self) -> list[Problem]:
        of_plans = (p for name in self.shown for p in self.care[name])
        of_host = (*self.attested, *self.left, *self.of_anchors)
        return [*(p for s in self.statuses for p in s.troubles), *of_plans, *of_host]

    @property
    def acknowledged(self) -> int:
        return sum(p.acknowledged is not None for p in self.everything)

    @property
    def not_known_here(self) -> int:
        return sum(p.trouble is Trouble.NOT_KNOWN_HERE for p in self.everything)


def gather(plans: Sequence[LoadedPlan], services: Services, options: Settings) -> Seen:
    from ccdr.cli.by_itself import not_by_itself
    from ccdr.evidence.acknowledged import exit_of
    from ccdr.evidence.history.asset_history import AssetHistory
    from ccdr.evidence.history.kinds import CHECKED, PRUNED
    from ccdr.evidence.judgement.upkeep import elsewhere
    from ccdr.jobs.approvals.signed_again import believed
    from ccdr.jobs.daily_verification import newest
    from ccdr.jobs.in_force import as_recorded, lost
    from ccdr.jobs.pausing import paused
    from ccdr.plans import plan_names
    from ccdr.plans.versions import FileState
    from ccdr.run.responsible import responsible_for
    from ccdr.telling.anchoring.standing import standing
    from ccdr.telling.copies import copies_of
    from ccdr.telling.notify import untold
    from ccdr.telling.status import (
        anchor_problems,
        answering,
        attestation_problems,
        exit_code,
        incidents_now,
        ledger_problems,
        left_by_plans,
        private_of,
        upkeep_problems,
    )
    from ccdr.telling.status import status as ask

    shown, histories = [p.plan.plan for p in plans], services.histories()
    judged = as_recorded(plans, histories, services)
    loaded = [one.loaded for one in judged if one.loaded]
    histories = believed(loaded, services, histories)
    statuses, care = ask(loaded, services, histories), upkeep_problems(loaded, services, histories)
    files = {p.plan.plan: p for p in plans}
    for one in judged:  # what is in force may be of another plan of that name
        if one.loaded is not None and one.file is FileState.DIFFERS:
            found = elsewhere(files[one.plan], histories.get((one.plan, None), AssetHistory()))
            told = {problem.trouble for problem in care[one.plan]}
            care[one.plan] += tuple(problem for problem in found if problem.trouble not in told)
    of_plans = {name: histories.get((name, None), AssetHistory()) for name in shown}
    lineage = services.lineage()
    left_out, verified = {one.ledger for one in services.unsound}, newest(lineage)
    of_ledger = ledger_problems(loaded, services, histories, [s for one in statuses for s in one.usable[-1:]])
    stated, left = attestation_problems(services, histories), left_by_plans(options.plans, services, histories)
    anchors = standing(options.plans, services, lineage)
    of_anchors = anchor_problems(anchors, services, histories)
    broken = Exit.FINDING if verified is not None and not verified.ok else Exit.OK

    def private(history: AssetHistory) -> Sequence[str]:
        return private_of((history.newest.get(PRUNED), history.newest.get(CHECKED)), services.state)

    return Seen(
        services,
        shown,
        judged,
        loaded,
        lost(plan_names(options.plans), options.plans, services, histories),
        statuses,
        care,
        untold(services.state, shown),
        responsible_for(loaded, histories),
        {name: answering(name, history, services.catalogue) for name, history in of_plans.items()},
        {name: private(history) for name, history in of_plans.items()},
        [one for plan in loaded for one in copies_of(plan, histories, services.clock.now())],
        {one.plan: one for one in paused(services)},
        {name: incidents_now(name, history, services) for name, history in of_plans.items()},
        lineage,
        verified,
        of_ledger,
        anchors,
        of_anchors,
        stated,
        left,
        [chain for chain in services.population().chains if chain.ledger not in left_out],
        {
            one.plan.plan: list(not_by_itself(one.plan.plan, services.state, options))
            for one in loaded
            if any(histories.get((one.plan.plan, asset), AssetHistory()).begun_here for asset in one.plan.assets)
        },
        worst(
            [
                broken,
                exit_of(of_ledger),
                exit_of(stated),
                exit_of(left),
                exit_of(of_anchors),
                *map(exit_of, care.values()),
                exit_code(statuses),
            ]
        ),
    )


def document(seen: Seen) -> dict[str, object]:
    from ccdr.jobs.attest import places
    from ccdr.jobs.by_itself import has_come

    plans = [
        {
            "plan": name,
            "assets": [s.as_json() for s in seen.statuses if s.plan == name],
            "copies": [one.as_json() for one in seen.copies if one.plan == name],
            "problems": [p.text for p in seen.care[name]],
            "troubles": [p.as_json() for p in seen.care[name]],
            "private": list(seen.private[name]),
            "paused": seen.paused[name].as_json() if name in seen.paused else None,
            "incidents": [one.as_json() for one in seen.incidents[name]],
            "could_not_tell": seen.deaf.get(name, []),
            "elsewhere": [one.as_json() for one in seen.elsewhere[name]],
            "duties": [verb.value for verb in DUTIES if verb in seen.own[name]],
            "by_itself": has_come(name, seen.services.state),
            "version": version.as_json(),
        }
        for name, version in zip(seen.shown, seen.judged, strict=True)
    ]
    stored = {plan: plain(at.seen(seen.lineage)) for plan, at in places(seen.services).items() if plan in seen.shown}
    ledger = {**seen.lineage.as_json, "stored": stored, "problems": [p.text for p in seen.of_ledger]}
    ledger["anchors"] = {**seen.anchors.as_json(), "troubles": [p.as_json() for p in seen.of_anchors]}
    return {
        "plans": plans,
        "plans_gone": [version.plan for version in seen.gone],
        "left_overdue": [p.as_json() for p in seen.left],
        "acknowledged": seen.acknowledged,
        "not_known_here": seen.not_known_here,
        "attestations": [p.as_json() for p in seen.attested],
        "ledger": seen.verified and seen.verified.as_json(),
        "lineage": {**ledger, "beside": [chain.as_json() for chain in seen.read_with]},
    }
