"""Whose the signed statements of a ledger are, by the file of who may sign that a verifier has from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ccdr.evidence.checkpoints.found import Finding
from ccdr.evidence.statements import Signed, signatures_of
from ccdr.evidence.verdicts import Record
from ccdr.host.processes import Host
from ccdr.host.signatures import SignatureRefused, names_of, verify
from ccdr.model.errors import UsageProblem
from ccdr.model.values import number_of, so_many, utc

REFUSED = "STATEMENT_REFUSED"


@dataclass(frozen=True)
class Statements:
    """`held`: how many hold, by kind of record and by whom, as the verifier's file names them. Where nobody brought
    such a file (`asked`), none was verified."""

    signed: int = 0
    held: Mapping[tuple[str, str], int] | None = None
    refused: tuple[Finding, ...] = ()

    @property
    def unproven(self) -> list[str]:
        if not self.signed or self.held is not None:
            return []
        return [
            f"nobody's statements were verified: {so_many(self.signed, 'record is', 'records are')} signed; "
            "--signers FILE, a file of who may sign that you have"
        ]

    def as_json(self) -> dict[str, object]:
        held = self.held or {}
        return {
            "signed": self.signed,
            "held": [{"kind": kind, "by": name, "count": many} for (kind, name), many in sorted(held.items())],
            "refused": [one.record for one in self.refused],
        }

    def sentences(self) -> list[str]:
        return [
            f"{so_many(many, 'record')} {kind}, signed by {name}"
            for (kind, name), many in sorted((self.held or {}).items())
        ]


def verified_by(records: Iterable[Record], signers: str | None) -> Statements:
    """Each signature of these records by the text of such a file, as of when it was recorded; None: nobody brought one.
    UsageProblem where ssh-keygen is not there."""
    of = list(records)
    if signers is None:
        return Statements(len(of))
    host, held, refused = Host(), Counter[tuple[str, str]](), list[Finding]()
    for record in of:
        try:
            names = [_signer(one, record, signers, host) for one in _signatures(record)]
        except SignatureRefused as why:
            number = number_of(record)
            refused.append(Finding(REFUSED, f"record {number}, {record['kind']}: {why}", number))
        else:
            held.update((record["kind"], name) for name in names)
    return Statements(len(of), held, tuple(refused))


def _signatures(record: Record) -> list[Signed]:
    try:
        return signatures_of(record)
    except UsageProblem as why:
        raise SignatureRefused("text", str(why)) from None


def _signer(one: Signed, record: Record, signers: str, host: Host) -> str:
    """SignatureRefused also where the record claims another signer, key or second factor than there was."""
    signature, claimed = str(one.by["signature"]), (one.by["name"], one.by["key"], one.by.get("user_verified"))
    signer = verify(one.text, signature, signers, one.namespace, host, at=utc(record["time"]))
    if claimed[0] not in names_of(signature, signers) or claimed[1:] != (signer.key, signer.user_verified):
        raise SignatureRefused("claim", f"it claims that {claimed[0]!a} signed, and it was {signer}")
    return signer.name
