"""`ccdr attest`: what a person states is recorded, with the digests of the words and of the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import file_digest
from pathlib import Path

from ccdr.evidence.approvals import AHEAD, nonce
from ccdr.evidence.attested import (
    ATTESTABLE,
    ATTESTATION,
    ENDED,
    MADE,
    Attestation,
    key_of,
    refuse_until,
    standing,
)
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.payloads import keep_payload, payload
from ccdr.evidence.records.statements import Declaration
from ccdr.host.signatures import Signer, trusted_signers, verify
from ccdr.host.who import who
from ccdr.jobs.approvals.plans import signed_by
from ccdr.jobs.pausing import wake
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import rfc3339, utc


@dataclass(frozen=True)
class Attested:
    """An attestation, the words that were written for it (None where they were taken back), and how it stands."""

    attestation: Attestation
    statement: str | None
    state: str

    def as_json(self) -> dict[str, object]:
        one = self.attestation
        return {
            "item": one.item,
            "scope": one.scope,
            "measure": ATTESTABLE[one.item].measure if one.item in ATTESTABLE else None,
            "state": self.state,
            "statement": self.statement,
            "evidence_sha256": one.evidence,
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
    return [Attested(one, payload(services.state, one.statement), one.state(now)) for one in standing(newest)]


def to_attest(
    item: str, scope: str | None, statement: str, evidence: Path, until: datetime, services: Services
) -> Declaration:
    """What is to be signed or recorded: the words are kept from now on. UsageProblem where the evidence cannot be
    read."""
    digest, now = _digest_of(evidence), services.clock.now()
    return Declaration(
        item=item,  # type: ignore[arg-type]  # the CLI knows those that there are
        scope=scope,
        statement_sha256=keep_payload(services.state, statement),
        evidence_sha256=digest,
        valid_until=until,
        made=now,
        nonce=nonce(),
    )


def attest(
    given: Declaration, services: Services, signature: str | None, signers: Path, signed: str | None = None
) -> Attested:
    """Record it; `signed` is the text of the signature where that was made elsewhere. UsageProblem where it was not
    signed by who may, or holds for too long: then nothing is recorded."""
    now = services.clock.now()
    if given.made > now + AHEAD:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, which is ahead of this host's clock")
    refuse_until(given.valid_until, given.item, min(given.made, now))
    refuse_until(given.valid_until, given.item, now)
    _refuse_replayed(given, services)
    by = None
    if signature is not None:
        text = signed if signed is not None else given.text()
        by = signed_by(
            verify(text, signature, trusted_signers(signers), Declaration.NAMESPACE, services.host), signature
        )
    body = {
        **given.body(),
        "act": MADE,
        "by": by,
        "who": who().body(),
    }
    return _recorded(services, body)


def _refuse_replayed(given: Declaration, services: Services) -> None:
    """What was signed once, and has been ended or attested anew since, does not hold again by the same signature; nor
    does the report of what happened once hold for longer than was said of it."""
    known = services.histories().get((None, None), AssetHistory()).attested
    newest = known.get(key_of({"item": given.item, "scope": given.scope}))
    if newest is None:
        return
    same = newest["act"] == MADE and newest["evidence_sha256"] == given.evidence_sha256
    if ATTESTABLE[given.item].happened and same and given.valid_until > utc(newest["valid_until"]):
        raise UsageProblem(
            f"this evidence was attested already (record {newest['seq']}), until {newest['valid_until']}: it shows no "
            f"newer {given.item}",
            hint="give the report of the newer one; or --until that day at most",
        )
    if utc(newest["made"]) > services.clock.now() + AHEAD:  # by a clock that was wrong
        return
    if given.made <= utc(newest["made"]):
        raise UsageProblem(
            f"this was written before what is recorded of {given.item} (record {newest['seq']}), or is that itself",
            hint="write it anew with --write, and have that signed",
        )


def end(item: str, scope: str | None, why: str, services: Services) -> Attested:
    """It does not hold any more. UsageProblem where there is none."""
    there = [one for one in attested(services) if (one.attestation.item, one.attestation.scope) == (item, scope)]
    if not there:
        named = f"{item} of {scope}" if scope else item
        raise UsageProblem(f"there is no attestation {named}", hint="`ccdr attest --list` shows those that there are")
    now, one = services.clock.now(), there[0].attestation
    body = {
        "act": ENDED,
        "item": item,
        "scope": scope,
        "statement_sha256": keep_payload(services.state, why),
        "valid_until": rfc3339(now),
        "made": rfc3339(now),
        "nonce": nonce(),
        "who": who().body(),
    }
    services.ledger.append(ATTESTATION, plan=None, asset=None, run=None, body=body)
    wake(services)
    return Attested(replace(one, valid_until=now), why, "ended")


def _recorded(services: Services, body: Mapping[str, object]) -> Attested:
    seq = services.ledger.append(ATTESTATION, plan=None, asset=None, run=None, body=body).seq
    wake(services)
    return next(one for one in attested(services) if one.attestation.seq == seq)


def holds(record: dict[str, object], signers: Path, services: Services) -> Signer | None:
    """Ask again whether a record's signature is one; None where nobody signed it. SignatureRefused where it is not."""
    by = record.get("by")
    if not isinstance(by, dict):
        return None
    text = Declaration.recorded(record).text()
    return verify(text, str(by["signature"]), trusted_signers(signers), Declaration.NAMESPACE, services.host)


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if not path.is_file():
                raise UsageProblem(f"{path} is no file: the evidence is one file", hint="make an archive of several")
            if not file.peek(1):
                raise UsageProblem(f"{path}, the evidence, is empty: it shows nothing")
            return file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageProblem(f"{path}, the evidence, cannot be read: {error.strerror}") from None
