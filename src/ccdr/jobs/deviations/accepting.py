"""The risk of a deviation is accepted, until a day, by somebody who may approve: they sign it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from msgspec import to_builtins

from ccdr.evidence.deviations.values import LONGEST, NEVER_ACCEPTED, Acceptance, Deviation, State
from ccdr.evidence.records.statements import ACCEPT_FINDING, FindingRef, Statement
from ccdr.evidence.until import refuse_past
from ccdr.jobs.approvals.plans import signed_by
from ccdr.jobs.deviations.known import verified
from ccdr.jobs.deviations.saying import ref_of
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, refuse_ahead, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339


def to_accept(one: Deviation, services: Services, until: datetime, why: str) -> Statement[FindingRef]:
    """What is to be signed: the words are kept from now on. UsageProblem where it cannot be accepted."""
    _refuse(one, services)
    refuse_until(until, services.clock.now())
    return stated(services, "accept", ref_of(one), plan=one.plan, until=until, words=why)


def accept(one: Deviation, services: Services, text: str, signature: str, signers: Path, tenant: str) -> Acceptance:
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
    if any(before.record.get("nonce") == given.nonce for before in one.accepted):
        raise UsageProblem("this was recorded already", hint="write it anew, and have that signed")
    if one.accepted and given.made <= max(before.at for before in one.accepted):
        raise UsageProblem(
            f"this was written before what is recorded of {one.id} (record {one.accepted[-1].number})",
            hint="write it anew, and have that signed",
        )
    signer = verified(text, signature, services, signers)
    by = signed_by(signer, signature)
    seq = record_statement(given, services, by, {"tenant": tenant})
    return Acceptance({**given.body(), "by": to_builtins(by), "seq": seq, "time": rfc3339(now)})


def refuse_until(until: datetime, now: datetime) -> None:
    refuse_past(until, now, "90d")
    if until - now > LONGEST:
        raise UsageProblem(
            f"--until is more than {LONGEST.days} days ahead",
            hint="write 365d at most: a risk is looked at again yearly",
        )


def _refuse(one: Deviation, services: Services) -> None:
    if one.state(services.clock.now()) is State.CLOSED:
        assert one.retest is not None
        raise UsageProblem(f"{one.id} is closed already, by record {one.retest[0]}", hint="there is no risk left in it")
    if one.code in NEVER_ACCEPTED:
        raise UsageProblem(
            f"{one.code} is no risk that anybody may accept: evidence may have been changed, or tests find nothing",
            hint=f"`ccdr deviation show {one.id}` says what ends it",
        )
