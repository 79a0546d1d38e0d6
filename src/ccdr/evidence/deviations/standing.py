"""The deviations that history has kept, with what people have said of each. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.deviations.spans import Kept
from ccdr.evidence.deviations.values import LONGEST, Acceptance, Deviation, Entry, Said, Span, identity
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.history.places import Histories
from ccdr.model.values import utc

_NOTHING = AssetHistory()


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
        yield deviation(span, plan or None, asset or span["asset"], copy or None, of_plan)


def deviation(span: Span, plan: str | None, asset: str | None, copy: str | None, of_plan: Kept) -> Deviation:
    """Its owner is whom somebody assigned last; else whom the plan's version in force when it began names."""
    place = f"{plan}@{copy}" if copy else plan
    name = identity(place, asset, span["code"], span["base"])
    entry = of_plan.said.get(name) or {}
    assigned = entry.get("assigned") or []
    dues = [min(utc(due), utc(at) + LONGEST) for _, at, _, _, due in assigned if due is not None]
    opened, since = utc(span["opened"]), utc(span["since"])
    return Deviation(
        id=name,
        plan=plan,
        asset=asset,
        copy=copy,
        code=span["code"],
        number=span["seq"],
        ledger=span["ledger"],
        since=since,
        opened_at=opened,
        last=utc(span["last"]),
        times=span["times"],
        severity=span["severity"],
        due_by_rule=opened + timedelta(seconds=span["within"]),
        owner=assigned[-1][3] if assigned else of_plan.owner_at(since),
        retest=_record(span["retest"]),
        unchecked=_record(span["unchecked"]),
        due_assigned=dues[-1] if dues else None,
        assigned=tuple(Said(seq, utc(at), actor, None) for seq, at, actor, *_ in assigned),
        cause=_said(entry, "cause"),
        action=_said(entry, "action"),
        notes=_said(entry, "note"),
        accepted=tuple(Acceptance(record) for record in entry.get("accepted") or ()),
    )


def _record(of: list[Any] | None) -> tuple[int, datetime] | None:
    return None if of is None else (of[0], utc(of[1]))


def _said(entry: Entry, what: str) -> tuple[Said, ...]:
    return tuple(Said(seq, utc(at), actor, words) for seq, at, actor, words in entry.get(what) or ())
