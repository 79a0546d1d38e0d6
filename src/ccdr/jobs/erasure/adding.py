"""Add a person to a plan's register of erasures, and have the repository hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

from ccdr import __version__
from ccdr.evidence.approvals import Operation
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.erasures import ErasureAdd, RecordedHead
from ccdr.evidence.records.values import code, recorded_user
from ccdr.jobs import in_force
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed, block_of
from ccdr.jobs.erasure.anchors import anchored, require_agreement
from ccdr.jobs.erasure.named import require_named
from ccdr.jobs.erasure.register import Entry, Register, RegisterBad, store, stored_register
from ccdr.jobs.erasure.selectors import Asked
from ccdr.jobs.services import Services, limits_of
from ccdr.model.erasure import Unlooked
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import RecordRef
from ccdr.plans import LoadedPlan
from ccdr.storage.listing import OURS
from ccdr.storage.restic import Restic

VERB = "erasure"
FIRST = "first"  # entry of a register, that has no key of its own yet: what a request is about


@dataclass(frozen=True)
class Added:
    """`known`: the same person was there already, and nothing was done. `about`: what a request for its approval names,
    where it would take one. `unlooked`: why nobody could look whether its tables and columns are there."""

    entry: Entry
    entries: int
    known: bool = False
    about: str | None = None
    unlooked: Unlooked | None = None
    snapshot: str | None = None
    record: RecordRef | None = None


def opened(loaded: LoadedPlan, services: Services, repo: Restic) -> Register | None:
    """The plan's register, as all that tells of it says that it should be. RegisterBad where it is not."""
    plan = loaded.plan.plan
    listed = repo.snapshots([OURS, f"plan={plan}"])
    register = stored_register(repo, listed, plan)
    require_agreement(register, anchored(services.ledger, listed, plan), plan)
    return register


def add(
    loaded: LoadedPlan, asked: Asked, services: Services, given: Given = NOTHING, *, dry_run: bool = False
) -> Added:
    """UsageProblem where the newest snapshot holds no such table or column, ApprovalRefused where the plan wants an
    approval of it and `given` is none, Locked where somebody else adds one, RegisterBad where the register cannot be
    trusted: then nothing was added."""
    plan, now = loaded.plan.plan, services.clock.now()
    if asked.erased_at is not None and asked.erased_at > now:
        raise UsageProblem("`erased_at:` is in the future", hint="say when they were erased at the source")
    unlooked = require_named(services, plan, asked)
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.lock(plan, "", VERB), services.state.reading(repo.location):
        before = opened(loaded, services, repo)
        if before is not None and (same := before.same(asked.selector)) is not None:
            return Added(same, len(before.entries), known=True)
        register = (before or Register.begin(plan)).added(
            asked.selector, asked.erased_at or now, now, canary=asked.canary, person=asked.person
        )
        entry = register.entries[-1]
        about = FIRST if before is None else entry.pseudonym
        if dry_run:
            asks = about if needs_approval(loaded, services) else None
            return Added(entry, len(register.entries), about=asks, unlooked=unlooked)
        allowed(Wanted(Operation.REGISTER, loaded, about), services, given)
        return replace(_stored(loaded, services, repo, register, entry), unlooked=unlooked)


def needs_approval(loaded: LoadedPlan, services: Services) -> bool:
    """Does an edit of the register take a request that another person has signed?"""
    return block_of(loaded, services) is not None


def withdraw(loaded: LoadedPlan, entry: str, services: Services, why: str, given: Given = NOTHING) -> Added:
    """Of an entry that was wrong: it is replayed no more. UsageProblem where there is none such, ApprovalRefused as
    for `add`."""
    plan, now = loaded.plan.plan, services.clock.now()
    repo = services.repository(loaded, limits_of(loaded))
    with services.state.lock(plan, "", VERB), services.state.reading(repo.location):
        before = opened(loaded, services, repo)
        found = before.standing_one(entry) if before is not None else None
        if before is None or found is None:
            raise UsageProblem(
                f"the register of {plan} has no entry {entry!a} that stands", hint=f"`ccdr erasure list {plan}`"
            )
        allowed(Wanted(Operation.REGISTER, loaded, entry), services, given)
        register = before.withdrawn(found, now)
        return _stored(loaded, services, repo, register, register.entries[-1], why)


def _stored(
    loaded: LoadedPlan, services: Services, repo: Restic, register: Register, entry: Entry, why: str | None = None
) -> Added:
    in_force.record(loaded, services)
    ledger, plan = services.ledger, loaded.plan.plan
    with services.state.run(services.clock) as run:
        told = {"writer": ledger.actor, "host": ledger.host, "ccdr": __version__}
        snapshot = store(register, repo, run.directory("erasures"), told)
        run.clear()
    repository = loaded.facts.repository
    added = ErasureAdd(
        plan=plan,
        asset=entry.asset,
        entry=entry.id,
        what=code(entry.what),
        canary=entry.canary,
        erased_at=entry.erased_at,
        pseudonym=entry.pseudonym,
        person=entry.person,
        rule_version=entry.rule_version,
        head=RecordedHead(**asdict(register.head)),
        withdraws=entry.withdraws,
        why_sha256=None if why is None else keep_payload(services.state, why),
        snapshot=snapshot,
        repository=repository.location if repository else None,
        tenant=loaded.plan.tenant_of(entry.asset),
        who=recorded_user(),
    )
    record = ledger.write(added)
    _require_ours(loaded, services, repo, register)
    return Added(entry, len(register.entries), snapshot=snapshot, record=record)


def _require_ours(loaded: LoadedPlan, services: Services, repo: Restic, register: Register) -> None:
    """Two hosts may have added to the same register at the same moment: neither knows of the other's."""
    try:
        there = opened(loaded, services, repo)
    except RegisterBad:
        there = None
    if there is None or there.head != register.head:
        raise CcdrError(
            "the register that is stored is not the one that was: another host adds to it at the same time",
            hint="let one host add to it; the entry is in a snapshot of the register, and nothing is lost",
        )
