"""`ccdr plan approve`: one version of a plan is signed, and that is recorded with the signature itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.approvals import AHEAD, APPROVED_BEFORE, PLAN_APPROVED
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.lineage.comparing import read
from ccdr.evidence.records.statements import APPROVE_PLAN, SignedBy, Statement, VersionOfPlan
from ccdr.evidence.statements import signatures_of
from ccdr.evidence.verdicts import Record
from ccdr.evidence.whose import HOLDS, REFUSED, UNREADABLE, seen, whose
from ccdr.host.signatures import SignatureRefused, Signer, trusted_signers, verify
from ccdr.jobs import in_force
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, stated
from ccdr.jobs.statements import signer_of
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339, utc
from ccdr.plans import LoadedPlan
from ccdr.plans.model import Approval
from ccdr.plans.versions import digest_of, files_of, version_of

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
    if PLAN_APPROVED in services.histories().get((plan, None), AssetHistory()).newest:
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
    newest = services.histories().get((given.plan, None), AssetHistory()).newest.get(PLAN_APPROVED)
    if newest is None or utc(newest["made"]) > services.clock.now() + AHEAD:  # by a clock that was wrong
        return
    if given.made <= utc(newest["made"]):
        raise UsageProblem(
            f"this was signed for {given.plan} before what stands now (record {newest['seq']}), or is that itself",
            hint=f"`ccdr plan approve {given.plan} --write FILE` writes what is to be signed now",
        )


def holds(record: Record, block: Approval, services: Services) -> Signer:
    """Ask again whether the signature of a recorded approval is one, by who may approve now. SignatureRefused where it
    is not: whoever can write a ledger could write such a record, and cannot sign it."""
    (signed,) = signatures_of(record)
    signer = signer_of(signed, record, trusted_signers(block.signers), services.host)
    _factors(signer, block)
    return signer


def approval_in_force(
    loaded: LoadedPlan, services: Services, history: AssetHistory
) -> tuple[Record | None, list[Record]]:
    """The newest approval of the plan that is not refused, with what became of its signature; and those that are. Each
    is held to the rules that were approved before it, so that none is approved by what it says of itself."""
    newest, before = history.newest.get(PLAN_APPROVED), history.newest.get(APPROVED_BEFORE)
    refused = list[Record]()
    for record, by in ((newest, before), (before, None)):
        if record is not None:
            one = _as_verified(record, by, loaded, services)
            unknown = whose(one).state == UNREADABLE and by is not None and loaded.plan.approval is None
            if not unknown and not whose(one).refused:
                return one, refused
            refused.append(one)
    return None, refused


def _as_verified(record: Record, by: Record | None, loaded: LoadedPlan, services: Services) -> Record:
    try:
        if (block := _rules(by, record, loaded, services)) is None:
            return record
        holds(record, block, services)
    except SignatureRefused as why:
        return seen(record, REFUSED, str(why))
    except UsageProblem as why:
        return seen(record, UNREADABLE, str(why))
    return seen(record, HOLDS)


def _rules(by: Record | None, record: Record, loaded: LoadedPlan, services: Services) -> Approval | None:
    if by is not None:
        try:
            return _block(by, loaded, services)
        except UsageProblem:
            if loaded.plan.approval is None:  # nobody else says who might take them out
                raise
    return _block(record, loaded, services) if record["about"]["asks"] else loaded.plan.approval


def block_of(loaded: LoadedPlan, services: Services) -> Approval | None:
    """By which rules it is approved: those of the version that was approved last, where it had any, so that whoever
    changes the rules is held to them; else its own. UsageProblem where those cannot be read any more."""
    history = services.histories().get((loaded.plan.plan, None), AssetHistory())
    approved, _ = approval_in_force(loaded, services, history)
    approved = approved or history.newest.get(APPROVED_BEFORE) or history.newest.get(PLAN_APPROVED)
    if approved is None or not approved["about"]["asks"]:
        return loaded.plan.approval
    return _block(approved, loaded, services)


def _block(approved: Record, loaded: LoadedPlan, services: Services) -> Approval | None:
    """Of the version that was approved by this."""
    digest = str(approved["about"]["digest"])
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
    record = history.newest.get("plan.version")
    while record is not None and (version := version_of(record)) is not None and version.ledger is None:
        if version.digest == digest:
            return in_force.kept_version(version, services, base=loaded.path.parent.absolute())
        before = record.get("predecessor")
        record = services.ledger.numbered(before["seq"]) if before and before["seq"] < version.number else None
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


def signed_by(signer: Signer, signature: str) -> SignedBy:
    """For a record."""
    armour = "\n".join(line.strip() for line in signature.strip().splitlines()) + "\n"
    return SignedBy(name=signer.name, key=signer.key, user_verified=signer.user_verified, signature=armour)


def _asked(loaded: LoadedPlan, services: Services) -> Approval:
    block = block_of(loaded, services)
    if block is None:
        raise UsageProblem(
            f"the plan {loaded.plan.plan} has no `approval:`: nobody is to approve it",
            hint=f"write `approval: {{}}` into it, and who may approve into allowed_signers: {PAGE}",
        )
    return block
