"""Four eyes: what needs another person's signature, where the plan has an `approval:` block.

Who wants something writes a request and signs it; somebody else signs the same text; whoever holds the credential that
it takes verifies both, records that it is used, and only then begins. So it is asked where it is carried out, by the
file of signers that is there. Where nobody else can be had, the glass is broken: that is recorded first, and told.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.approvals import (
    AHEAD,
    APPROVAL_REFUSED,
    APPROVAL_USED,
    GLASS_BROKEN,
    GLASS_REVIEWED,
    LONGEST,
    PLAN_APPROVED,
    REQUESTED,
    Operation,
    Request,
    ToReview,
    nonce,
)
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import keep_payload, payload
from ccdr.evidence.verdicts import Record
from ccdr.host.signatures import SignatureRefused, Signer, sign, trusted_signers, verify
from ccdr.host.who import who
from ccdr.jobs import in_force
from ccdr.jobs.approvals.plans import PAGE, block_of, holds, signed_by, verified
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.plans.model import Approval
from ccdr.plans.versions import digest_of, files_of

_TRIES = 500  # of a fiftieth of a second: another request is carried out meanwhile


class NotApproved(CcdrError):
    """The version of the plan is not approved, and what it says of removal is not carried out."""

    exit_code = Exit.FINDING


class ApprovalRefused(UsageProblem):
    """There is no approval for it that holds; nothing was done. `code` says why, for records."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class Given:
    """By what somebody goes on: a request that another has signed, or a reason to break the glass. Neither: nothing."""

    text: str | None = None
    requested: str = ""  # the requester's signature
    approved: str = ""  # the other's
    reason: str | None = None  # to break the glass …
    tell: Callable[[], None] = field(default=lambda: None, compare=False)  # … and who is told of that, at once


NOTHING = Given()


@dataclass(frozen=True)
class Wanted:
    """What somebody is about to do. `about` is one word more, an id, where there is more to say."""

    operation: Operation
    loaded: LoadedPlan
    about: str = "-"

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def version(self) -> str:
        return digest_of(files_of(self.loaded))

    @property
    def repository(self) -> str:
        return sha256(self.loaded.plan.repository.location.encode("utf-8", "surrogateescape")).hexdigest()

    def body(self) -> dict[str, object]:
        """For records."""
        return {"operation": self.operation.value, "about": None if self.about == "-" else self.about}


@dataclass(frozen=True)
class Allowed:
    """What may be done now. `snapshots` are those that may be removed; None: all that the plan says."""

    snapshots: frozenset[str] | None = None
    by: str | None = None  # for people: who approved it

    def may_go(self, snapshot: str) -> bool:
        return self.snapshots is None or snapshot in self.snapshots


FREELY = Allowed()


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
    signers, probe = trusted_signers(block.signers), nonce()
    requester = verify(probe, sign(probe, key, REQUESTED, services.host), signers, REQUESTED, services.host)
    now = services.clock.now().replace(microsecond=0)
    asked = Request(
        wanted.operation.value,
        wanted.plan,
        wanted.version,
        wanted.repository,
        host or socket.gethostname(),
        wanted.about,
        requester.name,
        requester.key,
        now,
        now + lasts,
        nonce(),
        tuple(sorted(set(snapshots))),
    )
    return asked, sign(asked.text(), key, REQUESTED, services.host)


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
    if approved is None or approved["digest"] != digest:
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
        return _break_glass(wanted, services, given)
    try:
        return _by_request(wanted, services, given, block)
    except UsageProblem as error:
        _record_refusal(wanted, services, given, error)
        raise


def _by_request(wanted: Wanted, services: Services, given: Given, block: Approval) -> Allowed:
    if given.text is None:
        about = "" if wanted.about == "-" else f" --about {wanted.about}"
        raise ApprovalRefused(
            "missing",
            f"{wanted.operation.value} of {wanted.plan} needs somebody else's approval (`approval:` of the plan)",
            hint=f"`ccdr approval request {wanted.plan} {wanted.operation.value}{about} --key KEY --out FILE` asks for "
            f"it; in an emergency, --break-glass: {PAGE}, Four eyes",
        )
    try:
        asked = Request.read(given.text)
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
    return Allowed(frozenset(asked.snapshots), str(approver))


_ANEW = "an approval is for once: `ccdr approval request {}` asks anew"


def _fits(asked: Request, wanted: Wanted, services: Services) -> None:
    """Is it for this, here and now?"""
    now, plan = services.clock.now(), wanted.plan
    here = socket.gethostname()
    cases = (
        ("another_operation", asked.operation == wanted.operation.value, f"it is for {asked.operation}"),
        ("another_operation", asked.about == wanted.about, f"it is about {asked.about}, and not {wanted.about}"),
        ("another_version", asked.plan == plan, f"it is of the plan {asked.plan[:63]}"),
        ("another_version", asked.version == wanted.version, f"it is of version {asked.version[:8]} of the plan"),
        ("another_repository", asked.repository == wanted.repository, "it is of another repository"),
        ("another_host", asked.host == here, f"it is for the host {asked.host[:63]}, and this is {here}"),
        ("expired", asked.made <= now + AHEAD, "it is dated in the future"),
        ("expired", now < asked.expires <= asked.made + LONGEST, f"it held until {rfc3339(asked.expires)}"),
    )
    for code, fits, why in cases:
        if not fits:
            raise ApprovalRefused(code, f"this request does not allow it: {why}", hint=_ANEW.format(plan))


def _both(asked: Request, given: Given, block: Approval, services: Services) -> tuple[Signer, Signer]:
    """Who asked and who approved: two people, by two keys, as the file of signers has them."""
    text = asked.text()
    try:
        requester = verify(text, given.requested, trusted_signers(block.signers), REQUESTED, services.host)
        approver = verified(text, given.approved, block, services)
    except SignatureRefused as error:
        code = "second_factor" if error.code == "second_factor" else "signature"
        raise ApprovalRefused(code, str(error), hint=error.hint) from None
    except UsageProblem as error:
        raise ApprovalRefused("signers", str(error), hint=error.hint) from None
    if (requester.name, requester.key) != (asked.requested_by, asked.key):
        raise ApprovalRefused(
            "signature",
            f"the request says that {asked.requested_by} asks, and {requester.name} has signed that",
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
    wanted: Wanted, services: Services, asked: Request, given: Given, requester: Signer, approver: Signer
) -> None:
    body = {
        **wanted.body(),
        "digest": asked.version,
        "repository": asked.repository,
        "on": asked.host,
        "request_sha256": asked.digest,
        "snapshots": list(asked.snapshots),
        "made": rfc3339(asked.made),
        "expires": rfc3339(asked.expires),
        "nonce": asked.nonce,
        "requested": signed_by(requester, given.requested),
        "approved": signed_by(approver, given.approved),
        **_whose(wanted.loaded),
    }
    services.ledger.append(APPROVAL_USED, plan=wanted.plan, asset=None, run=None, body=body)


def _record_refusal(wanted: Wanted, services: Services, given: Given, error: UsageProblem) -> None:
    digest = None if given.text is None else sha256(given.text.encode("utf-8", "surrogateescape")).hexdigest()
    code = error.code if isinstance(error, ApprovalRefused) else "unreadable"
    body = {**wanted.body(), "why": code, "request_sha256": digest, **_whose(wanted.loaded)}
    services.ledger.append(APPROVAL_REFUSED, plan=wanted.plan, asset=None, run=None, body=body)


# --- without ------------------------------------------------------------------------------------------------------


def _break_glass(wanted: Wanted, services: Services, given: Given) -> Allowed:
    """Recorded and told before anything is done: CcdrError where it cannot be recorded."""
    in_force.record(wanted.loaded, services)
    body = {
        **wanted.body(),
        "digest": wanted.version,
        "repository": wanted.repository,
        "why_sha256": keep_payload(services.state, given.reason or ""),
        "nonce": nonce(),
        **_whose(wanted.loaded),
    }
    services.ledger.append(GLASS_BROKEN, plan=wanted.plan, asset=None, run=None, body=body)
    wake(services)
    given.tell()
    return FREELY


@dataclass(frozen=True)
class BrokenGlass:
    """What was done without an approval, and nobody has reviewed. `why` is None where the words were taken back."""

    plan: str
    operation: str
    at: str
    actor: str
    nonce: str
    seq: int
    why: str | None

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "operation": self.operation,
            "at": self.at,
            "by": self.actor,
            "record": self.seq,
            "why": self.why,
        }


def to_be_reviewed(services: Services, plans: Collection[str] = ()) -> list[BrokenGlass]:
    """Of these plans, or of all, oldest first."""

    def of(plan: str, record: Record) -> BrokenGlass:
        why = payload(services.state, record.get("why_sha256"))
        operation, at = str(record["operation"]), str(record["time"])
        return BrokenGlass(plan, operation, at, str(record["actor"]), str(record["nonce"]), int(record["seq"]), why)

    of_plans = {plan: history for (plan, asset), history in services.histories().items() if plan and asset is None}
    found = (of(name, one) for name, h in of_plans.items() if not plans or name in plans for one in h.glass.values())
    return sorted(found, key=lambda one: one.seq)


def to_review(plan: str, broken: BrokenGlass, services: Services) -> ToReview:
    """What is to be signed."""
    return ToReview(plan, broken.nonce, services.clock.now().replace(microsecond=0), nonce())


def reviewed(loaded: LoadedPlan, services: Services, text: str, signature: str, found: str) -> Signer:
    """Record that somebody who may approve has looked at it. UsageProblem where there is none such, or they may not."""
    given, plan = ToReview.read(text), loaded.plan.plan
    block = block_of(loaded, services)
    if block is None:
        raise UsageProblem(
            f"{plan} has no `approval:` any more: who may review it, nobody says", hint="put the block back"
        )
    if given.plan != plan or given.of not in {one.nonce for one in to_be_reviewed(services, [plan])}:
        raise UsageProblem(f"nothing of {plan} waits for that review", hint=f"`ccdr approval review {plan}` lists it")
    if given.made > services.clock.now() + AHEAD:
        raise UsageProblem("it is dated in the future", hint=f"`ccdr approval review {plan}` writes it anew")
    signer = verified(text, signature, block, services)
    body = {
        "of": given.of,
        "why_sha256": keep_payload(services.state, found),
        "made": rfc3339(given.made),
        "nonce": given.nonce,
        "by": signed_by(signer, signature),
        **_whose(loaded),
    }
    services.ledger.append(GLASS_REVIEWED, plan=plan, asset=None, run=None, body=body)
    wake(services)
    return signer


def _whose(loaded: LoadedPlan) -> dict[str, object]:
    return {"tenant": loaded.plan.tenant_of(None), "who": who().body()}
