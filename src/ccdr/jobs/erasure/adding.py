"""Add a person to a plan's register of erasures, and have the repository hold it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ccdr import __version__
from ccdr.engines.servers.erasing import meant
from ccdr.evidence.approvals import Operation
from ccdr.evidence.history.kinds import ERASURE_ADD
from ccdr.evidence.payloads import keep_payload
from ccdr.host.who import who
from ccdr.jobs import in_force
from ccdr.jobs.approvals import NOTHING, Given, Wanted, allowed, block_of
from ccdr.jobs.erasure.anchors import anchored, require_agreement
from ccdr.jobs.erasure.register import Entry, Register, RegisterBad, store, stored_register
from ccdr.jobs.erasure.selectors import Asked
from ccdr.jobs.services import Services, limits_of
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import Manifest, RecordRef, rfc3339, so_many
from ccdr.plans import LoadedPlan
from ccdr.storage.catalogue import OURS
from ccdr.storage.restic import Restic

VERB = "erasure"
FIRST = "first"  # entry of a register, that has no key of its own yet: what a request is about


@dataclass(frozen=True)
class Added:
    """`known`: the same person was there already, and nothing was done. `about`: what a request for its approval names,
    where it would take one."""

    entry: Entry
    entries: int
    known: bool = False
    about: str | None = None
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
    """UsageProblem where the snapshots hold no such table, ApprovalRefused where the plan wants an approval of it and
    `given` is none, Locked where somebody else adds one, RegisterBad where the register cannot be trusted: then nothing
    was added."""
    plan, now = loaded.plan.plan, services.clock.now()
    if asked.erased_at is not None and asked.erased_at > now:
        raise UsageProblem("`erased_at:` is in the future", hint="say when they were erased at the source")
    _require_tables(services, plan, asked)
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
            return Added(entry, len(register.entries), about=about if needs_approval(loaded, services) else None)
        allowed(Wanted(Operation.REGISTER, loaded, about), services, given)
        return _stored(loaded, services, repo, register, entry)


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
    body = {
        "entry": entry.id,
        "what": entry.what,
        "canary": entry.canary,
        "erased_at": rfc3339(entry.erased_at),
        "pseudonym": entry.pseudonym,
        "person": entry.person,
        "rule_version": entry.rule_version,
        "head": register.head.as_json(),
        "withdraws": entry.withdraws,
        "why_sha256": None if why is None else keep_payload(services.state, why),
        "snapshot": snapshot,
        "repository": repository.location if repository else None,
        "tenant": loaded.plan.tenant_of(entry.asset),
        "who": who().body(),
    }
    record = ledger.append(ERASURE_ADD, plan=plan, asset=entry.asset, run=None, body=body)
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


def _require_tables(services: Services, plan: str, asked: Asked) -> None:
    """Of the newest snapshot that is known here: a name that is a slip, or that several tables have, would stop every
    restore."""
    asset = asked.selector.asset
    known = services.catalogue.snapshots(plan, asset)
    if not known or not asked.selector.rows:
        return
    manifest = services.catalogue.manifest(known[-1])
    names = _tables(manifest)
    for number, rows in enumerate(asked.selector.rows, 1):
        there = meant(names, rows.table, called=_called(manifest))
        if len(there) > 1:
            raise UsageProblem(
                f"rows[{number}] names a table without its schema, and the newest snapshot of {plan}/{asset} holds "
                f"{so_many(len(there), 'table')} of that name: {', '.join(sorted(there))}",
                hint="write `table: SCHEMA.NAME`, and a line for each of them that the person is in",
            )
        if names and not there and not rows.may_lack:
            raise UsageProblem(
                f"the newest snapshot of {plan}/{asset} holds no table with rows of the name that rows[{number}] has",
                hint="mend `table:`; of a partitioned table, and of one that only some snapshots hold, say "
                "`may_lack: true`",
            )


def _called(manifest: Manifest) -> str:
    """What may stand before the name of a table that has no schema."""
    if manifest.engine == "mariadb":
        return str(manifest.contents.get("database") or "")
    return "main" if manifest.engine == "sqlite" else ""


def _tables(manifest: Manifest) -> Collection[str]:
    """Nothing where the manifest does not tell."""
    tables = manifest.contents.get("tables")
    if not isinstance(tables, dict):
        return ()
    if manifest.engine == "postgres":
        if "roles" not in manifest.contents:
            return ()
        from ccdr.engines.postgres.dump import parts

        return parts.names_of(manifest)
    return tables
