"""What a person states is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypeVar

from msgspec import structs

from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.records.statements import About, Says, SignedBy, Statement, StatementRecord
from ccdr.evidence.records.values import recorded_user
from ccdr.evidence.statements import nonce
from ccdr.host.signatures import Signer, sign, trusted_signers, verify
from ccdr.jobs.services import Services, wake
from ccdr.model.errors import UsageProblem
from ccdr.model.values import AHEAD, rfc3339

A = TypeVar("A", bound=About)


def stated(
    services: Services,
    says: Says,
    about: A,
    *,
    plan: str | None = None,
    until: datetime | None = None,
    words: str | None = None,
    files: tuple[str, ...] = (),
) -> Statement[A]:
    """What is to be signed, or recorded: the words are kept from now on."""
    kept, now = None if words is None else keep_payload(services.state, words), services.clock.now()
    return Statement(
        plan=plan, says=says, about=about, until=until, words_sha256=kept, files=files, made=now, nonce=nonce()
    )


def record_statement(
    given: Statement[Any],
    services: Services,
    by: SignedBy | None = None,
    more: Mapping[str, Any] = {},
    *,
    asset: str | None = None,
) -> int:
    """The record's number; the next `ccdr run` tells people. `by`: who has signed it (None: whoever's hand it is, where
    it may be signed); `more` of the record. UsageProblem where that hand may not sign: then nothing is recorded."""
    by = by or by_hand(given, services)
    whole = {**structs.asdict(given), "asset": asset, "by": by, "who": recorded_user(), **more}
    seq = services.ledger.write(StatementRecord(**whole)).seq
    wake(services)
    return seq


def by_hand(given: Statement[Any], services: Services) -> SignedBy | None:
    """Signed by the key that is at hand. SignatureRefused where no file says whose that is."""
    if (hand := services.hand) is None or given.row.signed is not None:
        return None
    signature = sign(given.text(), hand.key, given.row.namespace, services.host)
    return signed_by_any(given, signature, hand.signers, services)[0]


def signed_by_any(
    given: Statement[Any], signature: str, places: Iterable[Path], services: Services
) -> tuple[SignedBy, str]:
    """Who has signed it by the first of these files that has their key, and that file's text. SignatureRefused, or
    UsageProblem, where none has."""
    refused = list[UsageProblem]()
    for place in dict.fromkeys(places):
        try:
            signers = trusted_signers(place)
            signer = verify(given.text(), signature, signers, given.row.namespace, services.host)
        except UsageProblem as error:
            refused.append(error)
        else:
            return signed_by(signer, signature), signers
    raise refused[0]


def digest_of_shown(path: Path, what: str, *, no_file: str, hint: str) -> str:
    """SHA-256 of the file by which somebody shows something; it stays where it is. UsageProblem where it cannot be
    read, or holds nothing: `what` it is called then, and what is said where it is `no_file`."""
    try:
        with path.open("rb") as opened:
            if not path.is_file():
                raise UsageProblem(f"{path} {no_file}", hint=hint)
            if not opened.peek():
                raise UsageProblem(f"{path}, {what}, is empty: it shows nothing")
            return file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise UsageProblem(f"{path}, {what}, cannot be read: {error.strerror}") from None


def refuse_ahead(given: Statement[Any], now: datetime) -> None:
    if given.made > now + AHEAD:
        raise UsageProblem(f"it was written at {rfc3339(given.made)}, which is ahead of this host's clock")


def signed_by(signer: Signer, signature: str) -> SignedBy:
    """For a record."""
    armour = "\n".join(line.strip() for line in signature.strip().splitlines()) + "\n"
    return SignedBy(name=signer.name, key=signer.key, user_verified=signer.user_verified, signature=armour)
