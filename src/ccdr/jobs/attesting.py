"""`ccdr attest`: what a person states is recorded, with the digests of the words and of the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import payload
from ccdr.evidence.records.statements import DECLARE_PART, MeasurePart, SignedBy, Statement
from ccdr.evidence.statements import (
    ATTESTABLE,
    Attestation,
    key_of,
    refuse_until,
    same_files,
    standing,
)
from ccdr.jobs.approvals import block_of
from ccdr.jobs.services import Services
from ccdr.jobs.signatories import refuse
from ccdr.jobs.statement_records import digest_of_shown, record_statement, refuse_ahead, signed_by_any, stated
from ccdr.model.errors import UsageProblem
from ccdr.model.values import AHEAD, rfc3339
from ccdr.plans import LoadedPlan


@dataclass(frozen=True)
class Attested:
    """A declaration, the words that were written for it (None where they were taken back), how it stands, and which
    other items one of its files stands for."""

    attestation: Attestation
    statement: str | None
    state: str
    same_files: Sequence[str] = ()

    def as_json(self) -> dict[str, object]:
        one = self.attestation
        return {
            "item": one.item,
            "scope": one.scope,
            "measure": ATTESTABLE[one.item].measure,
            "state": self.state,
            "statement": self.statement,
            "files": list(one.evidence),
            "same_files": list(self.same_files),
            "by": one.by,
            "key": one.key,
            "user_verified": one.user_verified,
            "made": rfc3339(one.made),
            "valid_until": rfc3339(one.valid_until),
            "record": one.seq,
        }


def attested(services: Services) -> list[Attested]:
    """All that nobody has ended, stale ones among them."""
    now = services.clock.now()
    newest = services.histories().get((None, None), AssetHistory()).attested
    there = standing(newest)
    same = same_files(there)
    return [
        Attested(one, payload(services.state, one.statement), one.state(now), same.get(one.seq, ())) for one in there
    ]


def to_attest(
    item: str, scope: str | None, statement: str, evidence: Sequence[Path], until: datetime, services: Services
) -> Statement[MeasurePart]:
    """What is to be signed or recorded: the words are kept from now on. UsageProblem where the evidence cannot be
    read."""
    digests = tuple(dict.fromkeys(map(_digest_of, evidence)))
    return stated(services, "declare", _part(item, scope), until=until, words=statement, files=digests)


def _part(item: str, scope: str | None) -> MeasurePart:
    return msgspec.convert({"item": item, "scope": scope}, MeasurePart)


def attest(
    given: Statement[MeasurePart],
    services: Services,
    signature: str | None,
    signers: Path,
    plans: Sequence[LoadedPlan] = (),
) -> Attested:
    """Record it. `plans` are all of this host's, `signers` who may sign where none of these has `approval:`.
    UsageProblem where it is not of whom they name, or holds for too long: then nothing is recorded."""
    now = services.clock.now()
    refuse_ahead(given, now)
    for when in (min(given.made, now), now):
        refuse_until(given.expiry, given.about.item, when)
    _refuse_replayed(given, services)
    by, known = _signed(given, signature, signers, plans, services)
    refuse(given, by, services.ledger.actor, known, plans, services)
    seq = record_statement(given, services, by)
    return next(one for one in attested(services) if one.attestation.seq == seq)


def _signed(
    given: Statement[MeasurePart],
    signature: str | None,
    signers: Path,
    plans: Sequence[LoadedPlan],
    services: Services,
) -> tuple[SignedBy | None, str]:
    """Who has signed it, and by the text of which file: of the plans' own, where any has `approval:`; then it is to be
    signed."""
    places = [block.signers for plan in plans if (block := block_of(plan, services)) is not None]
    if signature is None:
        if places:
            raise UsageProblem(
                "where a plan is to be approved, whoever states something signs it",
                hint=f"ccdr attest {given.about.item} … --key KEY; docs/how-to/attest.md",
            )
        return None, ""
    return signed_by_any(given, signature, places or [signers], services)


def _refuse_replayed(given: Statement[MeasurePart], services: Services) -> None:
    """What was signed once, and has been ended or attested anew since, does not hold again by the same signature; nor
    does the report of what happened once hold for longer than was said of it."""
    known = services.histories().get((None, None), AssetHistory()).attested
    item, newest = given.about.item, known.get(key_of(given.about))
    if newest is None:
        return
    same = newest.row is DECLARE_PART and {*given.files} <= {*newest.files}
    if ATTESTABLE[item].happened and same and newest.until is not None and given.expiry > newest.until:
        raise UsageProblem(
            f"this evidence was attested already (record {newest.seq}), until {rfc3339(newest.until)}: it shows no "
            f"newer {item}",
            hint="give the report of the newer one; or --until that day at most",
        )
    if newest.made > services.clock.now() + AHEAD:  # by a clock that was wrong
        return
    if given.made <= newest.made:
        raise UsageProblem(
            f"this was written before what is recorded of {item} (record {newest.seq}), or is that itself",
            hint="write it anew with --write, and have that signed",
        )


def end(item: str, scope: str | None, why: str, services: Services) -> Attested:
    """It does not hold any more. UsageProblem where there is none."""
    there = [one for one in attested(services) if (one.attestation.item, one.attestation.scope) == (item, scope)]
    if not there:
        named = f"{item} of {scope}" if scope else item
        raise UsageProblem(f"there is no declaration {named}", hint="`ccdr attest --list` shows those that there are")
    ended = stated(services, "end", _part(item, scope), words=why)
    record_statement(ended, services)
    return Attested(replace(there[0].attestation, valid_until=ended.made), why, "ended")


def _digest_of(path: Path) -> str:
    hint = "name each file: --evidence A --evidence B"
    return digest_of_shown(path, "the evidence", no_file="is no file", hint=hint)
