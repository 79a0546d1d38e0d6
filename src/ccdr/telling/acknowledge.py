"""`ccdr ack`: a trouble that stands is acknowledged, by whom, why and until when, in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr.evidence.acknowledged import Acknowledgement, Acknowledgements, as_bad_as_now, known_by
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.payloads import payload
from ccdr.evidence.records.statements import Statement, TroubleRef
from ccdr.jobs.approvals import believed
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.telling.anchoring import plans_of, standing
from ccdr.telling.status import anchor_problems, attestation_problems, left_by_plans, status, upkeep_problems

Place = tuple[str | None, str | None]  # plan and asset; a plan's upkeep has no asset, this host's own troubles no plan


@dataclass(frozen=True)
class StandingProblem:
    """One trouble that stands now, and where."""

    place: Place
    problem: Problem


@dataclass(frozen=True)
class InForce:
    """An acknowledgement, where it holds, and the words that were written for it (None where they were taken back)."""

    place: Place
    ack: Acknowledgement
    why: str | None

    def as_json(self) -> dict[str, object]:
        return {
            "code": self.ack.code,
            "plan": self.place[0],
            "asset": self.place[1],
            "since": rfc3339(self.ack.begun),
            "until": rfc3339(self.ack.until),
            "why": self.why,
            "record": self.ack.seq,
        }


def what_stands(plans: Sequence[LoadedPlan], services: Services, histories: Histories) -> Iterator[StandingProblem]:
    """All that is wrong now and bears a code."""
    histories = believed(plans, services, histories)
    for asset in status(plans, services, histories):
        yield from (StandingProblem((asset.plan, asset.asset), problem) for problem in (*asset.troubles, *asset.near))
    for plan, problems in upkeep_problems(plans, services, histories).items():
        yield from (StandingProblem((plan, None), problem) for problem in problems)
    yield from (StandingProblem((None, None), problem) for problem in attestation_problems(services, histories))
    left = left_by_plans(plans_of(plans), services, histories)
    yield from (StandingProblem((None, None), problem) for problem in left)
    anchors = anchor_problems(standing(plans_of(plans), services, services.lineage()), services, histories)
    yield from (StandingProblem((None, None), problem) for problem in anchors)


def acknowledge(
    code: Trouble,
    standing: Sequence[StandingProblem],
    services: Services,
    *,
    asset: str | None,
    until: datetime,
    why: str,
    tenants: Mapping[Place, str],
    dry_run: bool = False,
) -> list[InForce]:
    """Acknowledge every trouble of this code that stands (of this asset, where one is named), one record a place.
    UsageProblem where there is none: nothing is silenced before it happens."""
    places = _places(code, standing, asset)
    done = []
    for place, problems in places.items():
        about = TroubleRef(
            code=code.name,
            known_by=tuple(sorted({known_by(problem) for problem in problems})),
            values={known_by(problem): tuple(as_bad_as_now(problem)) for problem in problems},
            lasting={known_by(problem): problem.lasting for problem in problems if problem.lasting is not None},
        )
        seq, digest = 0, None
        if not dry_run:
            given = stated(services, "acknowledge", about, plan=place[0], until=until, words=why)
            seq, digest = _record(services, place, given, tenants), given.words_sha256
        of, now = frozenset(about.known_by), services.clock.now()
        ack = Acknowledgement(code.name, now, until, of, digest, seq, about.values, about.lasting)
        done.append(InForce(place, ack, why))
    return done


def _places(code: Trouble, standing: Sequence[StandingProblem], asset: str | None) -> dict[Place, list[Problem]]:
    places: dict[Place, list[Problem]] = {}
    for one in standing:
        if one.problem.trouble is code and asset in (None, one.place[1]):
            places.setdefault(one.place, []).append(one.problem)
    if not places:
        codes = dict.fromkeys(s.problem.trouble.name for s in standing)
        raise UsageProblem(
            f"{code.name} does not stand{f' at {asset}' if asset else ''}: only what is wrong now can be acknowledged",
            hint=f"what stands is {', '.join(codes)}" if codes else "nothing is wrong",
        )
    return places


def end(
    code: Trouble,
    acks: Sequence[InForce],
    services: Services,
    *,
    why: str | None,
    tenants: Mapping[Place, str],
    dry_run: bool = False,
) -> list[InForce]:
    """End those of this code now. UsageProblem where there is none."""
    ours = [one for one in acks if one.ack.code == code.name]
    if not ours:
        raise UsageProblem(f"{code.name} is not acknowledged there", hint="`ccdr ack --list` shows what is")
    now = services.clock.now()
    for one in ours if not dry_run else ():
        ended = stated(services, "end", TroubleRef(code=code.name), plan=one.place[0], words=why or None)
        _record(services, one.place, ended, tenants)
    return [replace(one, ack=replace(one.ack, until=now)) for one in ours]


def in_force(services: Services, histories: Histories) -> list[InForce]:
    """All that is acknowledged now, whether it still stands or not."""
    now = services.clock.now()
    return [
        InForce(place, ack, payload(services.state, ack.why))
        for place, history in histories.items()
        for ack in Acknowledgements.in_force(history.acks, now).each
    ]


def _record(services: Services, place: Place, given: Statement[TroubleRef], tenants: Mapping[Place, str]) -> int:
    return record_statement(given, services, more={"tenant": tenants.get(place, "default")}, asset=place[1])
