"""Whose the signed statements of a ledger are, by the file of who may sign that a verifier has from elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.records import StatementRecord
from ccdr.evidence.records.statements import kind_of
from ccdr.evidence.statements import Signed, signatures_of
from ccdr.evidence.whose import HOLDS, REFUSED, UNREADABLE, State, seen, whose
from ccdr.host.processes import Host
from ccdr.host.signatures import SignatureRefused, Signer, trusted_signers, verify_again
from ccdr.model.errors import UsageProblem
from ccdr.model.trouble import Trouble
from ccdr.model.values import AHEAD, rfc3339, so_many


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


def verified_by(records: Iterable[StatementRecord], signers: str | None) -> Statements:
    """Each signature of these records by the text of such a file, as of when it was recorded; None: nobody brought one.
    UsageProblem where ssh-keygen is not there."""
    of = list(records)
    if signers is None:
        return Statements(len(of))
    held, refused = Counter[tuple[str, str]](), list[Finding]()
    for record in seen_by(of, signers):
        by, number = whose(record), record.seq
        if by.refused:
            refused.append(
                Finding(Trouble.STATEMENT_REFUSED.name, f"record {number}, {kind_of(record)}: {by.why}", number)
            )
        elif by.state != HOLDS:
            raise UsageProblem(by.why)
        else:
            held.update((kind_of(record), one.by.name) for one in signatures_of(record))
    return Statements(len(of), held, tuple(refused))


def seen_by(records: Iterable[StatementRecord], signers: str) -> Iterator[StatementRecord]:
    """Each with what became of its signatures by the text of such a file. What was signed once is in one record, which
    it was written before: the ledger holds each signature, and anybody can record it again."""
    first, host = dict[tuple[str, str], float](), Host()
    for record in records:
        before = first.setdefault((kind_of(record), record.nonce), record.seq)
        if before != record.seq:
            yield seen(record, REFUSED, f"its text was recorded before, as record {before}")
        elif record.made > record.time + AHEAD:
            yield seen(record, REFUSED, f"its text is dated {rfc3339(record.made)}, after its record")
        else:
            yield verified_as(record, [signers], host)


def verified_as(
    record: StatementRecord,
    places: Collection[Path | str],
    host: Host,
    may: Callable[[StatementRecord, str], None] = lambda *_: None,
) -> StatementRecord:
    """The record with what became of its signatures by any of these files, which are root's, or texts of such files;
    itself where nobody has signed it. `may` raises SignatureRefused where it may not be their word, by such a text."""
    signed = signatures_of(record)
    if not signed:
        try:
            may(record, "")
        except SignatureRefused as why:
            return seen(record, REFUSED, str(why))
        return record
    state: State = UNREADABLE
    told = "nobody says who may sign"
    for place in places:
        try:
            signers = place if isinstance(place, str) else trusted_signers(place)
            who = [signer_of(one, record, signers, host) for one in signed]
            if len({one.name for one in who}) < len(who) or len({one.key for one in who}) < len(who):
                raise SignatureRefused("same_person", f"{who[0].name} has asked for it and approved it")
            may(record, signers)
        except SignatureRefused as why:
            state, told = REFUSED, str(why)
        except UsageProblem as why:
            told = told if state == REFUSED else str(why)
        else:
            return seen(record, HOLDS)
    return seen(record, state, told)


def signer_of(one: Signed, record: StatementRecord, signers: str, host: Host) -> Signer:
    """By the text of a file of who may sign, as of when it was recorded. SignatureRefused also where the record claims
    another signer, key or second factor than there was."""
    by, at = one.by, record.time
    signer = verify_again(one.text, by.signature, signers, one.namespace, host, at=at, claimed=by.name)
    if (by.name, by.key, by.user_verified) != (signer.name, signer.key, signer.user_verified):
        raise SignatureRefused("claim", f"it claims that {by.name!a} signed, and it was {signer}")
    return signer
