"""What a second person signs: each version of a plan that has an `approval:` block, and what removes out of turn."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.history.kinds import ACCESS_REVIEWED
from ccdr.evidence.judgement.upkeep import asks, unapproved, version_approved
from ccdr.evidence.lineage.comparison import read
from ccdr.evidence.payloads import keep_payload, payload
from ccdr.evidence.records import GlassBroken, StatementRecord
from ccdr.evidence.records.approvals import ApprovalRefused as Refused
from ccdr.evidence.records.statements import (
    APPROVE_OPERATION,
    APPROVE_PLAN,
    REVIEW_GLASS,
    GlassBreak,
    RequestedOperation,
    SignedBy,
    Statement,
    VersionOfPlan,
)
from ccdr.evidence.records.values import code, recorded_user
from ccdr.evidence.statements import (
    Operation,
    nonce,
    signatures_of,
)
from ccdr.evidence.whose import HOLDS, REFUSED, UNREADABLE, seen, whose
from ccdr.host.signatures import SignatureRefused, Signer, sign, trusted_signers, verify
from ccdr.jobs import in_force
from ccdr.jobs.in_force import kept_texts
from ccdr.jobs.services import Services, wake
from ccdr.jobs.signatories import refuse
from ccdr.jobs.statement_records import record_statement, refuse_ahead, signed_by, stated
from ccdr.jobs.statements import signer_of, verified_as
from ccdr.model.errors import CcdrError, Exit, UsageProblem
from ccdr.model.values import AHEAD, rfc3339, stamped
from ccdr.plans import LoadedPlan
from ccdr.plans.changed_keys import changed_keys
from ccdr.plans.model import SIGNERS, Approval
from ccdr.plans.versions import digest_of, files_of

# `ccdr plan approve`: one version of a plan is signed, and that is recorded with the signature itself.

PAGE = "docs/how-to/approve.md"


@dataclass(frozen=True)
class ApprovedPlan:
    """A version that somebody has approved, as it was recorded."""

    plan: str
    digest: str
    signer: Signer
    review_by: datetime
    seq: int
    not_here: tuple[str, ...] = ()  # as of `not_here`, where this is the first that this host knows

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "version": self.digest,
            "by": self.signer.name,
            "key": self.signer.key,
            "user_verified": self.signer.user_verified,
            "review_by": rfc3339(self.review_by),
            "record": self.seq,
            "not_here": list(self.not_here),
        }


def to_approve(loaded: LoadedPlan, services: Services) -> Statement[VersionOfPlan]:
    """What is to be signed. UsageProblem where the plan is not to be approved."""
    block, now = _asked(loaded, services), services.clock.now()
    review_by = _reviewed_as(loaded, block).review_by(now.replace(microsecond=0))
    version = VersionOfPlan(digest=digest_of(files_of(loaded)), asks=loaded.plan.approval is not None)
    return stated(services, "approve", version, plan=loaded.plan.plan, until=review_by)


def approve(loaded: LoadedPlan, services: Services, text: str, signature: str) -> ApprovedPlan:
    """Verify it, and record it. UsageProblem where it is of another version, holds for longer than the plan says, or
    is not signed by who may: then nothing is recorded."""
    block, plan, now = _asked(loaded, services), loaded.plan.plan, services.clock.now()
    given = APPROVE_PLAN.read(text)
    digest = digest_of(files_of(loaded))
    if (given.plan, given.about.digest) != (plan, digest):
        raise UsageProblem(
            f"this approves version {given.about.digest[:8]} of {str(given.plan)[:63]}, and {plan} is at version "
            f"{digest[:8]}",
            hint=f"`ccdr plan approve {plan} --write FILE` writes what is to be signed now",
        )
    review = _reviewed_as(loaded, block)
    if given.made > now + AHEAD or not now < given.expiry <= review.review_by(given.made):
        raise UsageProblem(
            f"this approves {plan} until {rfc3339(given.expiry)}, and was made at {rfc3339(given.made)}: the plan's "
            f"`review: {review.review}` does not allow that now",
            hint=f"`ccdr plan approve {plan} --write FILE` writes what is to be signed now",
        )
    _refuse_replayed(given, services)
    signer = verified(text, signature, block, services)
    if loaded.plan.approval is not None:  # it may ask for more than the version before it
        _factors(signer, loaded.plan.approval)
    in_force.record(loaded, services)
    unknown = not_here(plan, services)
    seq = record_statement(given, services, signed_by(signer, signature), {"tenant": loaded.plan.tenant_of(None)})
    return ApprovedPlan(plan, digest, signer, given.expiry, seq, unknown)


def not_here(plan: str, services: Services) -> tuple[str, ...]:
    """Ids of ledgers that tell of the plan's backups and are not on this host, where that knows of no approval: who may
    approve, and what was approved last, may stand there."""
    if services.histories().get((plan, None), AssetHistory()).approval is not None:
        return ()
    lineage, catalogue = read(services.state, services.ledger), services.catalogue
    snapshots = [s for asset in catalogue.assets(plan) for s in catalogue.snapshots(plan, asset)]
    told = {s.attested.ledger for s in snapshots if s.attested is not None}
    return tuple(sorted(told - {str(lineage.ledger), *lineage.beside, *lineage.linked}))


def told_of(plan: str, elsewhere: tuple[str, ...]) -> str:
    """For people, of those `elsewhere`."""
    which = ", ".join(f"{one[:8]}…" for one in elsewhere)
    return (
        f"an approval from before may stand in another ledger, which tells of its backups and is not here: {which}. "
        f"`ccdr ledger recover {plan} --ledger {elsewhere[0][:8]}` brings it, where a repository holds it; where its "
        "host still runs, `ccdr ledger collect DIR`"
    )


def _reviewed_as(loaded: LoadedPlan, block: Approval) -> Approval:
    """By the period of the text that is signed: its signers, who are those of the version before, sign that, too."""
    return loaded.plan.approval or block


def _refuse_replayed(given: Statement[VersionOfPlan], services: Services) -> None:
    """A ledger holds each signature, and the text can be had again from its record: whoever reads that could bring an
    older version back into force by what was signed for it then."""
    newest = services.histories().get((given.plan, None), AssetHistory()).approval
    if newest is None or newest.made > services.clock.now() + AHEAD:  # by a clock that was wrong
        return
    if given.made <= newest.made:
        raise UsageProblem(
            f"this was signed for {given.plan} before what stands now (record {newest.seq}), or is that itself",
            hint=f"`ccdr plan approve {given.plan} --write FILE` writes what is to be signed now",
        )


def holds(record: StatementRecord, block: Approval, services: Services) -> Signer:
    """Ask again whether the signature of a recorded approval is one, by who may approve now. SignatureRefused where it
    is not: whoever can write a ledger could write such a record, and cannot sign it."""
    (signed,) = signatures_of(record)
    signer = signer_of(signed, record, trusted_signers(block.signers), services.host)
    _factors(signer, block)
    return signer


def approval_in_force(
    loaded: LoadedPlan, services: Services, history: AssetHistory
) -> tuple[StatementRecord | None, list[StatementRecord]]:
    """The newest approval of the plan that is not refused, with what became of its signature; and those that are. Each
    is held to the rules that were approved before it, so that none is approved by what it says of itself."""
    newest, before = history.approval, history.approval_before
    refused = list[StatementRecord]()
    for record, by in ((newest, before), (before, None)):
        if record is not None:
            one = _as_verified(record, by, loaded, services)
            unknown = whose(one).state == UNREADABLE and by is not None and loaded.plan.approval is None
            if not unknown and not whose(one).refused:
                return one, refused
            refused.append(one)
    return None, refused


def _as_verified(
    record: StatementRecord, by: StatementRecord | None, loaded: LoadedPlan, services: Services
) -> StatementRecord:
    try:
        if (block := _rules(by, record, loaded, services)) is None:
            return record
        holds(record, block, services)
    except SignatureRefused as why:
        return seen(record, REFUSED, str(why))
    except UsageProblem as why:
        return seen(record, UNREADABLE, str(why))
    return seen(record, HOLDS)


def _rules(
    by: StatementRecord | None, record: StatementRecord, loaded: LoadedPlan, services: Services
) -> Approval | None:
    if by is not None:
        try:
            return _block(by, loaded, services)
        except UsageProblem:
            if loaded.plan.approval is None:  # nobody else says who might take them out
                raise
    return _block(record, loaded, services) if asks(record) else loaded.plan.approval


def block_of(loaded: LoadedPlan, services: Services, history: AssetHistory | None = None) -> Approval | None:
    """By which rules it is approved: those of the version that was approved last, where it had any, so that whoever
    changes the rules is held to them; else its own. `history` is the plan's, where it is read already. UsageProblem
    where those cannot be read any more."""
    history = history or services.histories().get((loaded.plan.plan, None), AssetHistory())
    approved, _ = approval_in_force(loaded, services, history)
    approved = approved or history.approval_before or history.approval
    if approved is None or not asks(approved):
        return loaded.plan.approval
    return _block(approved, loaded, services)


def _block(approved: StatementRecord, loaded: LoadedPlan, services: Services) -> Approval | None:
    """Of the version that was approved by this."""
    digest = version_approved(approved).digest
    if digest == digest_of(files_of(loaded)):
        return loaded.plan.approval
    before = _version(digest, loaded, services)
    if before is None or before.plan.approval is None:
        raise UsageProblem(
            f"who may approve the plan {loaded.plan.plan} stands in version {digest[:8]}, which was "
            "approved last, and its files are gone",
            hint="put them back from the repository, which holds each version: "
            "docs/explanation/evidence.md, A plan's files",
        )
    return before.plan.approval


def _version(digest: str, loaded: LoadedPlan, services: Services) -> LoadedPlan | None:
    """The files of a version that lies some versions back, as they are kept."""
    history = services.histories().get((loaded.plan.plan, None), AssetHistory())
    for version in in_force.versions_before(history.version, services):
        if version.digest == digest:
            return in_force.kept_version(version, services, base=loaded.path.parent.absolute())
    return None


def verified(text: str, signature: str, block: Approval, services: Services, *, at: datetime | None = None) -> Signer:
    """By who may approve under these rules. UsageProblem where it is not."""
    signer = verify(text, signature, trusted_signers(block.signers), APPROVE_PLAN.namespace, services.host, at=at)
    _factors(signer, block)
    return signer


def _factors(signer: Signer, block: Approval) -> None:
    if block.second_factor and signer.user_verified is not True:
        raise SignatureRefused(
            "second_factor",
            f"{signer} has signed, and the plan asks for a second factor: a security key that knew its user",
            hint=f"ssh-keygen -t ed25519-sk -O verify-required   makes such a key; {PAGE}, A second factor",
        )


def _asked(loaded: LoadedPlan, services: Services) -> Approval:
    block = block_of(loaded, services)
    if block is None:
        raise UsageProblem(
            f"the plan {loaded.plan.plan} has no `approval:`: nobody is to approve it",
            hint=f"write `approval: {{}}` into it, and who may approve into allowed_signers: {PAGE}",
        )
    return block


# What people signed is verified when it is told, by who may sign now: a record could have been written by whoever
# writes the ledger, and who signed it may have left.


def believed(plans: Sequence[LoadedPlan], services: Services, histories: Histories | None = None) -> Histories:
    """The histories, in which each signed statement that is in force has what became of its signature (`whose`), but
    for those that are not by who may sign: these are `refused`, and nothing else. By the signers of these plans; what
    is stated of the host, by theirs or this host's. CcdrError where the ledger cannot be read."""
    told = dict(services.histories() if histories is None else histories)
    for loaded in plans:
        place = loaded.plan.plan, None
        if place in told:
            told[place] = _of_plan(told[place], loaded, services)
            for asset in loaded.plan.assets:
                if (of := told.get((loaded.plan.plan, asset))) is not None and of.handover_reviews:
                    reviews = _reviews(of.handover_reviews, loaded, services, told[place])
                    told[loaded.plan.plan, asset] = replace(of, handover_reviews=reviews)
    if (host := told.get((None, None))) is not None:
        places = dict.fromkeys((*(p.plan.approval.signers for p in plans if p.plan.approval is not None), SIGNERS))
        attested, refused = _parted(host.attested, places, plans, services)
        told[None, None] = replace(host, attested=attested, refused=refused)
    return told


def _of_plan(history: AssetHistory, loaded: LoadedPlan, services: Services) -> AssetHistory:
    approved, refused = approval_in_force(loaded, services, history)
    of_review = {} if history.review is None else {ACCESS_REVIEWED: history.review}
    held, strange = _parted(of_review, [(loaded.plan.approval or Approval()).signers], [loaded], services)
    reviews = _reviews(history.glass_reviews, loaded, services, history)
    return replace(
        history, approval=approved, approval_before=None, review=held.get(ACCESS_REVIEWED), glass_reviews=reviews,
        refused=[*refused, *strange],
    )  # fmt: skip


def _reviews(
    records: Mapping[str, StatementRecord], loaded: LoadedPlan, services: Services, of_plan: AssetHistory
) -> dict[str, StatementRecord]:
    """Those reviews of what was done without an approval that are by who may: what waits for one tells of all others.
    Where the plan asks for signatures, one that has none is none; nor is one that is dated ahead."""
    if not records:  # as a rule
        return {}
    block, places = loaded.plan.approval, list[Path]()
    with suppress(UsageProblem):
        block = block_of(loaded, services, of_plan)
        places = [(block or Approval()).signers]
    held, _ = _parted(records, places, [loaded], services)
    latest = services.clock.now() + AHEAD
    there = {name: one for name, one in held.items() if one.time <= latest}
    return {name: one for name, one in there.items() if block is None or whose(one).signed}


def _parted(
    records: Mapping[str, StatementRecord], places: Collection[Path], plans: Sequence[LoadedPlan], services: Services
) -> tuple[dict[str, StatementRecord], list[StatementRecord]]:
    """With what became of their signatures; and those that are refused, or not by whom the table says."""

    def may(record: StatementRecord, signers: str) -> None:
        if not record.foreign:  # what it is about stands in another ledger
            refuse(record.row.recorded(record), record.by, record.actor, signers, plans, services)

    seen = {name: verified_as(one, places, services.host, may) for name, one in records.items()}
    refused = [one for one in seen.values() if whose(one).refused]
    return {name: one for name, one in seen.items() if not whose(one).refused}, refused


# What somebody would sign: the version of a plan as it stands, and what of it differs from the one approved last.


@dataclass(frozen=True)
class ToBeApproved:
    """`before` is the version that was approved last, `keys` are those that differ from it; both None where there is
    none, or its files are gone. `why` says why the version in force is not approved; None where it is."""

    plan: str
    version: str
    review_by: datetime
    files: Mapping[str, str]
    before: str | None
    keys: tuple[str, ...] | None
    why: str | None
    not_here: tuple[str, ...] = ()  # ledgers in which an approval from before may stand

    @property
    def next(self) -> list[str]:
        command = f"ccdr plan approve {self.plan}"
        return [f"{command} --key KEY", f"{command} --write FILE"]

    def as_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "version": self.version,
            "review_by": rfc3339(self.review_by),
            "files": dict(self.files),
            "approved_before": self.before,
            "changed_keys": None if self.keys is None else list(self.keys),
            "why": self.why,
            "not_here": list(self.not_here),
            "next": self.next,
        }


def to_be_approved(loaded: LoadedPlan, services: Services) -> ToBeApproved:
    """UsageProblem where the plan is not to be approved."""
    text, plan = to_approve(loaded, services), loaded.plan.plan
    history = believed([loaded], services).get((plan, None), AssetHistory())
    before = None if history.approval is None else version_approved(history.approval).digest
    texts = None if before is None else kept_texts(services, plan, before)
    keys = None if texts is None else changed_keys(texts, loaded.texts)
    why = unapproved(loaded, history, services.clock.now())
    elsewhere = not_here(plan, services)
    return ToBeApproved(plan, text.about.digest, text.expiry, files_of(loaded), before, keys, why, elsewhere)


# What somebody is about to do that needs another person's signature, by what they go on, and what they may do then.


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
    about: str | None = None

    @property
    def plan(self) -> str:
        return self.loaded.plan.plan

    @property
    def asked(self) -> str:
        """As a command asks for it."""
        return self.operation.value + ("" if self.about is None else f" --about {self.about}")

    @property
    def version(self) -> str:
        return digest_of(files_of(self.loaded))

    @property
    def repository(self) -> str:
        return sha256(self.loaded.plan.repository.location.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def recorded(self) -> dict[str, Any]:
        """What records of it have in common."""
        return {
            "plan": self.plan,
            "operation": self.operation.value,
            "about": self.about,
            **tenant_and_user(self.loaded),
        }


@dataclass(frozen=True)
class Allowed:
    """What may be done now. `snapshots` are those that may be removed; None: all that the plan says."""

    snapshots: frozenset[str] | None = None
    by: str | None = None  # for people: who approved it

    def may_go(self, snapshot: str) -> bool:
        return self.snapshots is None or snapshot in self.snapshots


FREELY = Allowed()


def tenant_and_user(loaded: LoadedPlan) -> dict[str, Any]:
    """Of which tenant it is, and who asks, for a record."""
    return {"tenant": loaded.plan.tenant_of(None), "who": recorded_user()}


# Where nobody else can be had, somebody breaks the glass: that is recorded first, told, and stands until reviewed.


def break_glass(wanted: Wanted, services: Services, given: Given) -> Allowed:
    """Recorded and told before anything is done: CcdrError where it cannot be recorded."""
    in_force.record(wanted.loaded, services)
    broken = GlassBroken(
        **wanted.recorded,
        digest=wanted.version,
        repository=wanted.repository,
        why_sha256=keep_payload(services.state, given.reason or ""),
        nonce=nonce(),
    )
    services.ledger.write(broken)
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


def to_be_reviewed(services: Services, loaded: LoadedPlan) -> list[BrokenGlass]:
    """Of this plan, oldest first."""

    def of(plan: str, record: GlassBroken) -> BrokenGlass:
        why, at = payload(services.state, record.why_sha256), stamped(record.time)
        return BrokenGlass(plan, record.operation, at, record.actor, record.nonce, record.seq, why)

    name = loaded.plan.plan
    history = believed([loaded], services).get((name, None), AssetHistory())
    return sorted((of(name, one) for one in history.broken_glass.values()), key=lambda one: one.seq)


def to_review(plan: str, broken: BrokenGlass, services: Services, found: str) -> Statement[GlassBreak]:
    """What is to be signed: the words are kept from now on."""
    return stated(services, "review", GlassBreak(glass=broken.nonce, record=broken.seq), plan=plan, words=found)


def reviewed(loaded: LoadedPlan, services: Services, text: str, signature: str) -> Signer:
    """Record that somebody who may approve has looked at it, and it was not them. UsageProblem where there is none
    such, or they may not."""
    given, plan = REVIEW_GLASS.read(text), loaded.plan.plan
    block = block_of(loaded, services)
    if block is None:
        raise UsageProblem(
            f"{plan} has no `approval:` any more: who may review it, nobody says", hint="put the block back"
        )
    broken = next((one for one in to_be_reviewed(services, loaded) if one.nonce == given.about.glass), None)
    if given.plan != plan or broken is None:
        raise UsageProblem(f"nothing of {plan} waits for that review", hint=f"`ccdr approval review {plan}` lists it")
    signer, by = reviewer(given, signature, block, services)
    record_statement(given, services, by, tenant_and_user(loaded))
    return signer


def reviewer(given: Statement[Any], signature: str, block: Approval, services: Services) -> tuple[Signer, SignedBy]:
    """Who has signed a review. UsageProblem where they may not, or did what it is of."""
    refuse_ahead(given, services.clock.now())
    signer = verified(given.text(), signature, block, services)
    refuse(given, by := signed_by(signer, signature), signer.name, trusted_signers(block.signers), (), services)
    return signer, by


# Four eyes: what needs another person's signature, where the plan has an `approval:` block.
#
# Who wants something writes a request and signs it; somebody else signs the same text; whoever holds the credential
# that it takes verifies both, records that it is used, and only then begins. So it is asked where it is carried out,
# by the file of signers that is there. Where nobody else can be had, the glass is broken: that is recorded first, and
# told.

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
    longest = APPROVE_OPERATION.longest
    if not timedelta(0) < lasts <= longest:
        raise UsageProblem(f"a request lasts for {longest.days} days at most", hint="write --for 4h")
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
    approved = services.histories().get((plan, None), AssetHistory()).approval
    hint = f"ccdr plan approve {plan}; until then nothing is removed: {PAGE}"
    if approved is None or version_approved(approved).digest != digest:
        raise NotApproved(f"nobody has approved version {digest[:8]} of the plan {plan}: nothing is pruned", hint=hint)
    try:
        holds(approved, block, services)
    except UsageProblem as error:
        raise NotApproved(
            f"the approval of the plan {plan} (record {approved.seq}) does not hold: {error}", hint=hint
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
        ("expired", now < asked.expiry <= asked.made + asked.row.longest, f"it held until {rfc3339(asked.expiry)}"),
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
    record_statement(asked, services, by, {"requested": requested, **tenant_and_user(wanted.loaded)})


def _record_refusal(wanted: Wanted, services: Services, given: Given, error: UsageProblem) -> None:
    digest = None if given.text is None else sha256(given.text.encode("utf-8", "surrogateescape")).hexdigest()
    why = code(error.code if isinstance(error, ApprovalRefused) else "unreadable")
    services.ledger.write(Refused(**wanted.recorded, why=why, request_sha256=digest))
