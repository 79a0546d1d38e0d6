"""Four eyes: what needs another person's signature, where the plan has an `approval:` block.

Who wants something writes a request and signs it; somebody else signs the same text; whoever holds the credential that
it takes verifies both, records that it is used, and only then begins. So it is asked where it is carried out, by the
file of signers that is there. Where nobody else can be had, the glass is broken: that is recorded first, and told.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.approvals import (
    AHEAD,
    LONGEST,
    PLAN_APPROVED,
    Operation,
    nonce,
)
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.records.approvals import ApprovalRefused as Refused
from ccdr.evidence.records.statements import APPROVE_OPERATION, RequestedOperation, Statement
from ccdr.evidence.records.values import code
from ccdr.host.signatures import SignatureRefused, Signer, sign, trusted_signers, verify
from ccdr.jobs import in_force
from ccdr.jobs.approvals.glass import break_glass
from ccdr.jobs.approvals.plans import PAGE, block_of, holds, signed_by, verified
from ccdr.jobs.approvals.wanted import (
    FREELY,
    NOTHING,
    Allowed,
    ApprovalRefused,
    Given,
    NotApproved,
    Wanted,
    whose,
)
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.model import Approval
from ccdr.plans.versions import digest_of, files_of

Request = Statement[RequestedOperation]
_TRIES = 500  # of a fiftieth of a second: another request is carried out meanwhile


# --- asking for it ------------------------------------------------------------------------------------------------


def request(
    wanted: Wanted, services: Services, key: Path, lasts: timedelta, snapshots: Sequence[str], host: str | None = None
) -> tuple[Request, str]:
    """A request, and its requester's signature. UsageProblem where none is needed, or its requester is not among the
    signers."""
    block = block_of(wanted.loaded, services)
    if block is None:
        raise UsageProblem(
            f"{wanted.plan} has no `approval:`: nobody need approve it", hint=f"just do it; {PAGE} says when it does"
        )
    if not timedelta(0) < lasts <= LONGEST:
        raise UsageProblem(f"a request lasts for {LONGEST.days} days at most", hint="write --for 4h")
    signers, probe, requested = trusted_signers(block.signers), nonce(), str(APPROVE_OPERATION.asked)
    requester = verify(probe, sign(probe, key, requested, services.host), signers, requested, services.host)
    now = services.clock.now().replace(microsecond=0)
    of = RequestedOperation(
        operation=wanted.operation.value,
        digest=wanted.version,
        repository=wanted.repository,
        on=host or socket.gethostname(),
        about=wanted.about,
        requested_by=requester.name,
        key=requester.key,
        snapshots=tuple(sorted(set(snapshots))),
    )
    asked = stated(services, "approve", of, plan=wanted.plan, until=now + lasts)
    return asked, sign(asked.text(), key, requested, services.host)


# --- going on ------------------------------------------------------------------------------------------------------


def scheduled(loaded: LoadedPlan, services: Services) -> Allowed:
    """What comes due is covered by the approved version of the plan. NotApproved where that is another, or its
    signature does not hold any more."""
    block = block_of(loaded, services)
    if block is None:
        return FREELY
    plan, digest = loaded.plan.plan, digest_of(files_of(loaded))
    approved = services.histories().get((plan, None), AssetHistory()).newest.get(PLAN_APPROVED)
    hint = f"ccdr plan approve {plan}; until then nothing is removed: {PAGE}"
    if approved is None or approved["about"]["digest"] != digest:
        raise NotApproved(f"nobody has approved version {digest[:8]} of the plan {plan}: nothing is pruned", hint=hint)
    try:
        holds(approved, block, services)
    except UsageProblem as error:
        raise NotApproved(
            f"the approval of the plan {plan} (record {approved['seq']}) does not hold: {error}", hint=hint
        ) from None
    return FREELY


def allowed(wanted: Wanted, services: Services, given: Given) -> Allowed:
    """What somebody may do now, and that they begin is recorded: an approval is used up by this. ApprovalRefused, also
    recorded, where the plan wants one and there is none that holds."""
    block = block_of(wanted.loaded, services)
    if block is None or (wanted.operation is Operation.RECOVER and not block.recover):
        if given != NOTHING:
            raise UsageProblem(
                f"{wanted.operation.value} needs no approval of {wanted.plan}",
                hint="leave --approval and --break-glass out",
            )
        return FREELY
    if given.reason is not None:
        return break_glass(wanted, services, given)
    try:
        return _by_request(wanted, services, given, block)
    except UsageProblem as error:
        _record_refusal(wanted, services, given, error)
        raise


def _by_request(wanted: Wanted, services: Services, given: Given, block: Approval) -> Allowed:
    if given.text is None:
        raise ApprovalRefused(
            "missing",
            f"{wanted.operation.value} of {wanted.plan} needs somebody else's approval (`approval:` of the plan)",
            hint=f"`ccdr approval request {wanted.plan} {wanted.asked} --key KEY --out FILE` asks for it; in "
            f"an emergency, --break-glass: {PAGE}, Four eyes",
        )
    try:
        asked = APPROVE_OPERATION.read(given.text)
    except UsageProblem as error:
        raise ApprovalRefused("not_as_written", str(error), hint=error.hint) from None
    _fits(asked, wanted, services)
    requester, approver = _both(asked, given, block, services)
    in_force.record(wanted.loaded, services)
    with services.state.turn(f"approval.{wanted.plan}", tries=_TRIES) as mine:
        if not mine:
            raise CcdrError(f"another request of {wanted.plan} is carried out now", hint="try again")
        if asked.nonce in services.histories().get((wanted.plan, None), AssetHistory()).nonces:
            raise ApprovalRefused("used", "this request was carried out already", hint=_ANEW.format(wanted.plan))
        _record_use(wanted, services, asked, given, requester, approver)
    return Allowed(frozenset(asked.about.snapshots), str(approver))


_ANEW = "an approval is for once: `ccdr approval request {}` asks anew"


def _fits(asked: Request, wanted: Wanted, services: Services) -> None:
    """Is it for this, here and now?"""
    now, plan, of = services.clock.now(), wanted.plan, asked.about
    here = socket.gethostname()
    cases = (
        ("another_operation", of.operation == wanted.operation.value, f"it is for {of.operation}"),
        (
            "another_operation",
            of.about == wanted.about,
            f"it is about {of.about or '-'}, and not {wanted.about or '-'}",
        ),
        ("another_version", asked.plan == plan, f"it is of the plan {str(asked.plan)[:63]}"),
        ("another_version", of.digest == wanted.version, f"it is of version {of.digest[:8]} of the plan"),
        ("another_repository", of.repository == wanted.repository, "it is of another repository"),
        ("another_host", of.on == here, f"it is for the host {of.on[:63]}, and this is {here}"),
        ("expired", asked.made <= now + AHEAD, "it is dated in the future"),
        ("expired", now < asked.expiry <= asked.made + LONGEST, f"it held until {rfc3339(asked.expiry)}"),
    )
    for word, fits, why in cases:
        if not fits:
            raise ApprovalRefused(word, f"this request does not allow it: {why}", hint=_ANEW.format(plan))


def _both(asked: Request, given: Given, block: Approval, services: Services) -> tuple[Signer, Signer]:
    """Who asked and who approved: two people, by two keys, as the file of signers has them."""
    text = asked.text()
    try:
        signers = trusted_signers(block.signers)
        requester = verify(text, given.requested, signers, str(APPROVE_OPERATION.asked), services.host)
        approver = verified(text, given.approved, block, services)
    except SignatureRefused as error:
        code = "second_factor" if error.code == "second_factor" else "signature"
        raise ApprovalRefused(code, str(error), hint=error.hint) from None
    except UsageProblem as error:
        raise ApprovalRefused("signers", str(error), hint=error.hint) from None
    if (requester.name, requester.key) != (asked.about.requested_by, asked.about.key):
        raise ApprovalRefused(
            "signature",
            f"the request says that {asked.about.requested_by} asks, and {requester.name} has signed that",
            hint=_ANEW.format(asked.plan),
        )
    if requester.name == approver.name or requester.key == approver.key:
        raise ApprovalRefused(
            "same_person",
            f"{approver.name} has asked for it and approved it: it takes somebody else, with another key",
            hint=f"have another person sign the request: {PAGE}, Four eyes",
        )
    return requester, approver


def _record_use(
    wanted: Wanted,
    services: Services,
    asked: Request,
    given: Given,
    requester: Signer,
    approver: Signer,
) -> None:
    requested, by = signed_by(requester, given.requested), signed_by(approver, given.approved)
    record_statement(asked, services, by, {"requested": requested, **whose(wanted.loaded)})


def _record_refusal(wanted: Wanted, services: Services, given: Given, error: UsageProblem) -> None:
    digest = None if given.text is None else sha256(given.text.encode("utf-8", "surrogateescape")).hexdigest()
    why = code(error.code if isinstance(error, ApprovalRefused) else "unreadable")
    services.ledger.write(Refused(**wanted.recorded, why=why, request_sha256=digest))
