"""The risk of a deviation is accepted, until a day, by somebody who may approve: they sign it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ccdr.evidence.approvals import AHEAD, nonce
from ccdr.evidence.deviations.values import ACCEPTED, LONGEST, NEVER_ACCEPTED, Acceptance, Deviation, State
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.statements import RiskAcceptance
from ccdr.evidence.until import refuse_past
from ccdr.jobs.approvals.plans import signed_by
from ccdr.jobs.deviations.known import verified
from ccdr.jobs.deviations.saying import recorded
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339


def to_accept(one: Deviation, services: Services, until: datetime, why: str) -> RiskAcceptance:
    """What is to be signed: the words are kept from now on. UsageProblem where it cannot be accepted."""
    _refuse(one, services)
    refuse_until(until, services.clock.now())
    reason = keep_payload(services.state, why)
    made = services.clock.now().replace(microsecond=0)
    return RiskAcceptance(
        deviation=one.id,
        plan=one.plan,
        about_asset=one.asset,
        code=one.code,
        until=until,
        reason_sha256=reason,
        made=made,
        nonce=nonce(),
    )


def accept(one: Deviation, services: Services, text: str, signature: str, signers: Path, tenant: str) -> Acceptance:
    """Verify it, and record it. UsageProblem where it is of another deviation, too long, or not signed by who may:
    then nothing is recorded."""
    _refuse(one, services)
    given, now = RiskAcceptance.read(text), services.clock.now()
    if (given.deviation, given.plan, given.about_asset, given.code) != (one.id, one.plan, one.asset, one.code):
        raise UsageProblem(
            f"this accepts the deviation {given.deviation} ({given.code[:40]}), and not {one.id}", hint="name the other"
        )
    if given.made > now + AHEAD:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, which is ahead of this host's clock")
    refuse_until(given.until, now)
    refuse_until(given.until, given.made)
    if any(before.record.get("nonce") == given.nonce for before in one.accepted):
        raise UsageProblem("this was recorded already", hint="write it anew, and have that signed")
    if one.accepted and given.made <= max(before.at for before in one.accepted):
        raise UsageProblem(
            f"this was written before what is recorded of {one.id} (record {one.accepted[-1].number})",
            hint="write it anew, and have that signed",
        )
    signer = verified(text, signature, services, signers)
    body = {**given.body(), "by": signed_by(signer, signature)}
    seq = recorded(one, services, ACCEPTED, body, tenant)
    return Acceptance({**body, "seq": seq, "time": rfc3339(now)})


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
