"""Whose the signed statements of a ledger are, by the file of who may sign that a verifier has from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ccdr.evidence.checkpoints.found import Finding
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import Signed, signatures_of
from ccdr.evidence.verdicts import Record
from ccdr.host.processes import Host
from ccdr.host.signatures import SignatureRefused, Signer, verify
from ccdr.model.values import number_of, so_many, utc

REFUSED = "STATEMENT_REFUSED"


@dataclass(frozen=True)
class Statements:
    """`held`: how many hold, by kind of record and by whom, as the verifier's file names them. None where
    nobody brought such a file: none was verified."""

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
            names = [signer_of(one, record, signers, host).name for one in signatures_of(record)]
        except SignatureRefused as why:
            number = number_of(record)
            refused.append(Finding(REFUSED, f"record {number}, {kind_of(record)}: {why}", number))
        else:
            held.update((kind_of(record), name) for name in names)
    return Statements(len(of), held, tuple(refused))


def signer_of(one: Signed, record: Record, signers: str, host: Host) -> Signer:
    """By the text of a file of who may sign, as of when it was recorded. SignatureRefused also where the record claims
    another signer, key or second factor than there was."""
    signer = verify(one.text, str(one.by["signature"]), signers, one.namespace, host, at=utc(record["time"]))
    if (one.by["name"], one.by["key"], one.by.get("user_verified")) != (signer.name, signer.key, signer.user_verified):
        raise SignatureRefused("claim", f"it claims that {one.by['name']!a} signed, and it was {signer}")
    return signer
