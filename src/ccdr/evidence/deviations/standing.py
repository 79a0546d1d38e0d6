"""The deviations that there are: those that history has kept, with what people have said of each, and what is wrong now
and no record tells of yet. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta

from ccdr.evidence.deviations.derive import NO_RULES
from ccdr.evidence.deviations.values import (
    Acceptance,
    Deviation,
    DeviationSpan,
    Kept,
    RecordIdentity,
    SaidOfOne,
    identity,
)
from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import BACKUP_START, CONTROL_START, TEST_START
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.records.statements import ASSIGN_FINDING
from ccdr.model.trouble import Trouble
from ccdr.model.values import ObjectiveVerdict
from ccdr.plans.deviation_rules import due_within, severity_of

_NOTHING, NOTHING_SAID = AssetHistory(), SaidOfOne()


def deviations_of(
    histories: Histories, plans: Collection[str | None] | None = None, *, ended: bool = True
) -> list[Deviation]:
    """In the order in which they were opened. `plans`: of these only, None is the ledger's own; `ended`: those that
    ended, too, as far as history has kept them."""
    found = (
        one
        for (place, asset), history in histories.items()
        for one in _of_place(place, asset, history.deviations, histories, ended=ended)
        if plans is None or one.plan in plans
    )
    return sorted(found, key=lambda one: (one.opened_at, one.number or 0, one.id))


def within(deviations: list[Deviation], start: datetime, end: datetime) -> list[Deviation]:
    """Those that lasted in some of a period, or were opened in it."""
    return [one for one in deviations if one.since < end and (one.until is None or one.until >= start)]


def _of_place(
    place: str | None, asset: str | None, kept: Kept, histories: Histories, *, ended: bool
) -> Iterator[Deviation]:
    plan, _, copy = (place or "").partition("@")
    of_plan = histories.get((plan or None, None), _NOTHING).deviations
    for span in (*kept.spans, *(kept.ended if ended else ())):
        yield deviation(span, plan or None, asset or span.asset, copy or None, of_plan)


def deviation(span: DeviationSpan, plan: str | None, asset: str | None, copy: str | None, of_plan: Kept) -> Deviation:
    """Its owner is whom somebody assigned last; else whom the plan's version in force when it began names."""
    place = f"{plan}@{copy}" if copy else plan
    name = identity(place, asset, span.code, span.base)
    entry = of_plan.said.get(name, NOTHING_SAID)
    dues = [ASSIGN_FINDING.end_of(one.due, one.at) for one in entry.assigned if one.due is not None]
    return Deviation(
        id=name,
        plan=plan,
        asset=asset,
        copy=copy,
        code=span.code,
        number=span.seq,
        ledger=span.ledger,
        since=span.since,
        opened_at=span.opened,
        last=span.last,
        times=span.times,
        severity=span.severity,
        due_by_rule=span.opened + timedelta(seconds=span.within),
        owner=entry.assigned[-1].owner if entry.assigned else of_plan.owner_at(span.since),
        retest=span.retest,
        unchecked=span.unchecked,
        due_assigned=dues[-1] if dues else None,
        assigned=tuple(entry.assigned),
        cause=tuple(entry.cause),
        action=tuple(entry.action),
        notes=tuple(entry.note),
        accepted=tuple(map(Acceptance, entry.accepted)),
    )


# What is wrong now and no record tells of yet: a backup that does not come leaves none. By the judgement. Pure.

_LATE = {
    Trouble.BACKUP_LATE: BACKUP_START,
    Trouble.TEST_LATE: TEST_START,
    Trouble.CONTROL_LATE: CONTROL_START,
}  # in the order in which `ccdr run` will tell of them


def unrecorded(assets: Iterable[AssetStatus], histories: Histories, now: datetime) -> Iterator[Deviation]:
    """Of these assets, as they were judged. Each is known by what its record will know it by, once there is one."""
    for one in assets:
        own = histories.get((one.plan, one.asset), AssetHistory()).deviations
        of_plan = histories.get((one.plan, None), AssetHistory())
        rules = of_plan.facts.deviations if of_plan.facts else NO_RULES
        for code, base, began in _standing(one, own):
            severity, since = severity_of(code, rules.severity), min(began or now, now)
            within = due_within(severity, rules.due)
            span = DeviationSpan(code, one.asset, base, None, None, since, since, now, severity, within, times=1)
            yield deviation(span, one.plan, one.asset, None, of_plan.deviations)


def _standing(one: AssetStatus, own: Kept) -> Iterator[tuple[str, RecordIdentity, datetime | None]]:
    """Code, base, and since when."""
    breached = one.rpo.verdict is ObjectiveVerdict.BREACHED
    if breached and own.point and not _has(own, Trouble.BREACH_RPO):
        began = own.point.consistent + timedelta(seconds=one.rpo.objective_s)
        yield Trouble.BREACH_RPO.name, own.point.base, began
    since = {problem.trouble: problem.since for problem in one.wrong}
    late = next((trouble for trouble, start in _LATE.items() if trouble in since and start in own.begun), None)
    if late is not None and not _has(own, Trouble.MISSED):
        yield Trouble.MISSED.name, own.begun[_LATE[late]].base, since[late]


def _has(own: Kept, trouble: Trouble) -> bool:
    return any(span.code == trouble.name for span in own.spans)
