"""Deviations: which there are, and what people say of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from msgspec import structs

from ccdr.evidence.deviations.values import NEVER_ACCEPTED, Acceptance, Deviation, State
from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import ACCEPT_FINDING, ASSIGN_FINDING, FindingRef, SignedBy, Statement
from ccdr.evidence.statements import refuse_longer, refuse_past
from ccdr.evidence.whose import HOLDS, seen
from ccdr.host.signatures import SignatureRefused, trusted_signers, verify
from ccdr.jobs.services import Services
from ccdr.jobs.signatories import refuse
from ccdr.jobs.statement_records import record_statement, refuse_ahead, signed_by, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.deviation_rules import OWNER
from ccdr.plans.model import Approval

# Deviations with their acceptances verified: by who may accept a risk now.


def checked(
    deviations: Iterable[Deviation], services: Services, plans: Sequence[LoadedPlan] | None, now: datetime
) -> list[Deviation]:
    """Each whose acceptance would count, with what became of its signature: a record could have been written by whoever
    writes the ledger, and who signed it may have left. `plans` None: as it is, nobody's is verified."""
    return list(deviations) if plans is None else [_checked(one, services, plans, now) for one in deviations]


def _checked(one: Deviation, services: Services, plans: Sequence[LoadedPlan], now: datetime) -> Deviation:
    while one.state(now) is State.ACCEPTED:
        accepted = one.acceptance(now)
        assert accepted is not None
        try:
            holds(one, accepted, services, plans)
        except UsageProblem:  # where the file of signers cannot be read nobody may approve: it does not count
            one = replace(one, refused=(*one.refused, accepted.number))
        else:
            held = Acceptance(seen(accepted.record, HOLDS))
            return replace(one, accepted=tuple(held if each is accepted else each for each in one.accepted))
    return one


def holds(one: Deviation, accepted: Acceptance, services: Services, plans: Sequence[LoadedPlan]) -> SignedBy:
    """SignatureRefused where it is not signed by who may accept it, of this deviation."""
    by, given = accepted.record.by, ACCEPT_FINDING.recorded(accepted.record)
    of = given.about
    assert by is not None
    if (of.deviation, given.plan, of.asset, of.code) != (one.id, one.plan, one.asset, one.code):
        raise SignatureRefused("other", "it is of another deviation")
    signed = verified(given, by.signature, services, plans, at=accepted.at)
    if (signed.name, signed.key) != (by.name, by.key):
        raise SignatureRefused("other", "somebody else has signed it")
    return signed


def verified(
    given: Statement[FindingRef],
    signature: str,
    services: Services,
    plans: Sequence[LoadedPlan],
    *,
    at: datetime | None = None,
) -> SignedBy:
    """By who may accept it: the plan's risk owner, or who may approve. SignatureRefused or UsageProblem where not."""
    block = next((one.plan.approval for one in plans if one.plan.plan == given.plan), None) or Approval()
    signers = trusted_signers(block.signers)
    by = signed_by(verify(given.text(), signature, signers, ACCEPT_FINDING.namespace, services.host, at=at), signature)
    refuse(given, by, by.name, signers, plans, services)
    return by


def find(name: str, deviations: Sequence[Deviation]) -> Deviation:
    """By its id, or the beginning of one. UsageProblem where there is none such, or several."""
    wanted = name.strip().lower()
    found = [one for one in deviations if wanted and one.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageProblem(
            f"{name[:40]!a} is the beginning of several: {', '.join(one.id for one in found)}", hint="write all of it"
        )
    raise UsageProblem(
        f"there is no deviation {name[:40]!a}", hint="`ccdr deviation list --all` shows those that there were"
    )


# What people say of a deviation is recorded: nothing of it is overwritten.

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
            f"{one.id} is closed, by record {one.retest.record}",
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
    refuse_longer(due, now, ASSIGN_FINDING.longest, option="--due")


def note(one: Deviation, services: Services, said: Mapping[str, str], tenant: str) -> list[int]:
    """Words, each by what they are of (`cause`, `action`, `note`); of one that is closed, too. The records' numbers."""
    refs = [(ref_of(one, what=what), words) for what, words in said.items()]
    given = [stated(services, "note", ref, plan=one.plan, words=words) for ref, words in refs]
    return [record_statement(each, services, more={"tenant": tenant}) for each in given]


def ref_of(one: Deviation, **more: Any) -> FindingRef:
    """`more`: what is said of it."""
    return FindingRef(deviation=one.id, asset=one.asset, code=one.code, **more)


# The risk of a deviation is accepted, until a day, by somebody who may approve: they sign it.


def to_accept(one: Deviation, services: Services, until: datetime, why: str) -> Statement[FindingRef]:
    """What is to be signed: the words are kept from now on. UsageProblem where it cannot be accepted."""
    _refuse(one, services)
    refuse_until(until, services.clock.now())
    return stated(services, "accept", ref_of(one), plan=one.plan, until=until, words=why)


def accept(
    one: Deviation, services: Services, text: str, signature: str, plans: Sequence[LoadedPlan], tenant: str
) -> Acceptance:
    """Verify it, and record it. UsageProblem where it is of another deviation, too long, or not signed by who may:
    then nothing is recorded."""
    _refuse(one, services)
    given, now = ACCEPT_FINDING.read(text), services.clock.now()
    of = given.about
    if (of.deviation, given.plan, of.asset, of.code) != (one.id, one.plan, one.asset, one.code):
        raise UsageProblem(
            f"this accepts the deviation {of.deviation} ({of.code[:40]}), and not {one.id}", hint="name the other"
        )
    refuse_ahead(given, now)
    refuse_until(given.expiry, now)
    refuse_until(given.expiry, given.made)
    if any(before.record.nonce == given.nonce for before in one.accepted):
        raise UsageProblem("this was recorded already", hint="write it anew, and have that signed")
    if one.accepted and given.made <= max(before.at for before in one.accepted):
        raise UsageProblem(
            f"this was written before what is recorded of {one.id} (record {one.accepted[-1].number})",
            hint="write it anew, and have that signed",
        )
    by = verified(given, signature, services, plans)
    seq = record_statement(given, services, by, {"tenant": tenant})
    return Acceptance(StatementRecord(**structs.asdict(given), by=by, seq=seq, time=now))


def refuse_until(until: datetime, now: datetime) -> None:
    refuse_past(until, now, "90d")
    refuse_longer(until, now, ACCEPT_FINDING.longest)


def _refuse(one: Deviation, services: Services) -> None:
    if one.state(services.clock.now()) is State.CLOSED:
        assert one.retest is not None
        raise UsageProblem(
            f"{one.id} is closed already, by record {one.retest.record}", hint="there is no risk left in it"
        )
    if one.code in NEVER_ACCEPTED:
        raise UsageProblem(
            f"{one.code} is no risk that anybody may accept: evidence may have been changed, or tests find nothing",
            hint=f"`ccdr deviation show {one.id}` says what ends it",
        )
