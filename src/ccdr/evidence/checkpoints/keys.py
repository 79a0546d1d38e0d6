"""Which key signs a ledger's checkpoints, by the ledger's own records; and what a person has pinned.

A rotation is signed by both keys, so that whoever pinned the old one follows to the new one. A record alone proves
nothing: whoever can write the ledger can write it. A pin comes from elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ccdr.evidence.checkpoints.checkpoint import VerifierKey, decoded_base64, public_of_pem
from ccdr.evidence.records import LedgerKey, Unread

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def statement(ledger: str, key: VerifierKey, replaces: VerifierKey | None) -> str:
    """What both keys sign when one replaces the other; the first one alone."""
    return f"ccdr ledger key\n{ledger}\n{key}\n{replaces or '-'}\n"


@dataclass(frozen=True)
class KeyRecord:
    """Record `seq` says that `key` signs from there on. `proven`: it has signed that itself; `handed_over`: so has the
    one that it replaces."""

    seq: int
    key: VerifierKey
    replaces: VerifierKey | None
    proven: bool
    handed_over: bool


def keys_in(records: Iterable[LedgerKey | Unread], ledger: str | None) -> tuple[list[KeyRecord], list[int]]:
    """The keys that these records of one ledger name, in order; and the numbers of those that name none."""
    found, wrong = list[KeyRecord](), list[int]()
    for record in records:
        try:
            found.append(_key_of(record, ledger))
        except ValueError:
            wrong.append(record.seq)
    return found, wrong


def _key_of(record: LedgerKey | Unread, ledger: str | None) -> KeyRecord:
    if isinstance(record, Unread):
        raise ValueError("not as its kind is defined")
    key = VerifierKey.of(record.key)
    replaces = VerifierKey.of(record.replaces) if record.replaces else None
    text = statement(record.ledger, key, replaces)
    ours = record.ledger == ledger
    proven = ours and key.signed(text, decoded_base64(record.signature))
    before = decoded_base64(record.signature_before or "")
    handed_over = ours and replaces is not None and replaces.signed(text, before)
    return KeyRecord(record.seq, key, replaces, proven, handed_over)


def in_force(keys: Sequence[KeyRecord], size: int) -> KeyRecord | None:
    """The one that may sign a checkpoint of so many records."""
    return next((one for one in reversed(keys) if one.seq <= size), None)


@dataclass(frozen=True)
class Pin:
    """A public key that somebody had from elsewhere: by its bytes, or by its fingerprint alone."""

    text: str
    public: bytes | None
    fingerprint: str | None = None

    def is_of(self, key: VerifierKey) -> bool:
        return key.public == self.public if self.public is not None else key.fingerprint == self.fingerprint

    @classmethod
    def of(cls, text: str) -> Pin:
        """From a verifier key, a public key in PEM, or a fingerprint (64 hexadecimal digits, SHA-256 of the public key
        as DER). ValueError where it is none of these."""
        text = text.strip()
        if _FINGERPRINT.fullmatch(text.lower()):
            return cls(text, None, text.lower())
        if text.startswith("-----BEGIN"):
            return cls("PEM", public_of_pem(text))
        return cls(text, VerifierKey.of(text).public)


def trusted(keys: Sequence[KeyRecord], pins: Sequence[Pin]) -> list[KeyRecord]:
    """Those that a pin vouches for: pinned themselves, or handed over to by one that is vouched for."""
    vouched: list[KeyRecord] = []
    for one in keys:
        by_before = one.handed_over and any(one.replaces == before.key for before in vouched)
        if one.proven and (by_before or any(pin.is_of(one.key) for pin in pins)):
            vouched.append(one)
    return vouched
