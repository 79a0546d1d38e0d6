"""Where nobody else can be had, somebody breaks the glass: that is recorded first, told, and stands until reviewed."""

from __future__ import annotations

import contextlib
import pwd
from collections.abc import Iterator
from dataclasses import dataclass

from ccdr.evidence.approvals import nonce
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import keep_payload, payload
from ccdr.evidence.records.approvals import GlassBroken
from ccdr.evidence.records.statements import REVIEW_GLASS, GlassBreak, Statement
from ccdr.evidence.verdicts import Record
from ccdr.host.signatures import Signer
from ccdr.jobs import in_force
from ccdr.jobs.approvals.plans import PAGE, block_of, signed_by, verified
from ccdr.jobs.approvals.signed_again import believed
from ccdr.jobs.approvals.wanted import FREELY, Allowed, Given, Wanted, whose
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
from ccdr.jobs.statement_records import record_statement, refuse_ahead, stated
from ccdr.model.errors import UsageProblem
from ccdr.plans import LoadedPlan


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
    """What was done without an approval, and nobody has reviewed. `why` is None where the words were taken back;
    `accounts` are the names by which this host knew whoever did it, other than root."""

    plan: str
    operation: str
    at: str
    actor: str
    nonce: str
    seq: int
    why: str | None
    accounts: frozenset[str] = frozenset()

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

    def of(plan: str, record: Record) -> BrokenGlass:
        why = payload(services.state, record.get("why_sha256"))
        operation, at = str(record["operation"]), str(record["time"])
        actor, nonce, seq = str(record["actor"]), str(record["nonce"]), int(record["seq"])
        return BrokenGlass(plan, operation, at, actor, nonce, seq, why, frozenset(_accounts(record)))

    name = loaded.plan.plan
    history = believed([loaded], services).get((name, None), AssetHistory())
    return sorted((of(name, one) for one in history.broken_glass.values()), key=lambda one: one.seq)


def _accounts(record: Record) -> Iterator[str]:
    """Who began it, as far as the record tells: the account, who had logged in, who `sudo` says it was."""
    by = record.get("who") or {}
    names = [str(record["actor"]).partition("@")[0], (by.get("claims") or {}).get("sudo_user")]
    if (login := by.get("login_uid")) is not None:
        with contextlib.suppress(KeyError, OverflowError):
            names.append(pwd.getpwuid(login).pw_name)
    return (name for name in names if name and name != "root")


def to_review(plan: str, broken: BrokenGlass, services: Services, found: str) -> Statement[GlassBreak]:
    """What is to be signed: the words are kept from now on."""
    return stated(services, "review", GlassBreak(glass=broken.nonce), plan=plan, words=found)


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
    refuse_ahead(given, services.clock.now())
    signer = verified(text, signature, block, services)
    if {signer.name, signer.name.partition("@")[0]} & broken.accounts:
        raise UsageProblem(
            f"{signer.name} went on without an approval, by the account of that name: somebody else reviews it",
            hint=f"have another person sign it: {PAGE}, Without an approval",
        )
    record_statement(given, services, signed_by(signer, signature), whose(loaded))
    return signer
