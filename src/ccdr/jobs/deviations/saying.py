"""What people say of a deviation is recorded: nothing of it is overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ccdr.evidence.deviations.values import LONGEST, NEVER_ACCEPTED, Deviation, State
from ccdr.evidence.records.statements import FindingRef
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans.deviation_rules import OWNER

CAUSE, ACTION, NOTE = "cause", "action", "note"


def assign(one: Deviation, services: Services, owner: str, due: datetime | None, tenant: str) -> int:
    """The record's number. UsageProblem where that is nobody's name, it is closed, or the day is too late for it."""
    if not OWNER.fullmatch(owner):
        raise UsageProblem(
            f"--owner {owner[:40]!a} is no name", hint="write one word: a login, or an address like dba@example.com"
        )
    if one.state(services.clock.now()) is State.CLOSED:
        assert one.retest is not None
        raise UsageProblem(
            f"{one.id} is closed, by record {one.retest[0]}",
            hint=f'`ccdr deviation note {one.id} --note "…"` adds to it',
        )
    if due is not None:
        _refuse_late(one, due, services.clock.now())
    given = stated(services, "assign", ref_of(one, owner=owner), plan=one.plan, until=due)
    return record_statement(given, services, more={"tenant": tenant})


def _refuse_late(one: Deviation, due: datetime, now: datetime) -> None:
    if one.code in NEVER_ACCEPTED and due > one.due_by_rule:
        raise UsageProblem(
            f"{one.code} is to be over by {rfc3339(one.due_by_rule)}, and nobody can put that off: evidence may have "
            "been changed, or tests find nothing",
            hint=f"`ccdr deviation show {one.id}` says what ends it",
        )
    if due - now > LONGEST:
        raise UsageProblem(
            f"--due is more than {LONGEST.days} days ahead",
            hint="write 365d at most: somebody looks at it again within a year",
        )


def note(one: Deviation, services: Services, said: Mapping[str, str], tenant: str) -> list[int]:
    """Words, each by what they are of (`cause`, `action`, `note`); of one that is closed, too. The records' numbers."""
    refs = [(ref_of(one, what=what), words) for what, words in said.items()]
    given = [stated(services, "note", ref, plan=one.plan, words=words) for ref, words in refs]
    return [record_statement(each, services, more={"tenant": tenant}) for each in given]


def ref_of(one: Deviation, **more: Any) -> FindingRef:
    """`more`: what is said of it."""
    return FindingRef(deviation=one.id, asset=one.asset, code=one.code, **more)
