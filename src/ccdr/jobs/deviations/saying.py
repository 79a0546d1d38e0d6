"""What people say of a deviation is recorded: nothing of it is overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ccdr.evidence.deviations.values import ASSIGNED, LONGEST, NEVER_ACCEPTED, NOTED, Deviation, State
from ccdr.evidence.payloads import keep_payload
from ccdr.host.who import who
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
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
    said = {"deviation": one.id, "code": one.code, "owner": owner, "due": due and rfc3339(due)}
    return recorded(one, services, ASSIGNED, said, tenant)


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
    of = {"deviation": one.id, "code": one.code}
    bodies = [{**of, "what": what, "words_sha256": keep_payload(services.state, words)} for what, words in said.items()]
    return [recorded(one, services, NOTED, body, tenant) for body in bodies]


def recorded(one: Deviation, services: Services, kind: str, body: Mapping[str, object], tenant: str) -> int:
    of = {**body, "tenant": tenant, "who": who().body()}
    seq = services.ledger.append(kind, plan=one.plan, asset=None, run=None, body=of).seq
    wake(services)
    return seq
