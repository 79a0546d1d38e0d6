"""Records of the keys that sign a ledger's checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.lineage import LedgerId
from ccdr.evidence.records.values import Record, about

VerifierKeyText = Annotated[str, about("a public key of Ed25519, as C2SP signed-note's verifier key: NAME+ID+BASE64")]
SignatureText = Annotated[str, about("64 bytes in base64")]


class LedgerKey(Record, frozen=True, kw_only=True, gc=False):
    """From here on this key signs the ledger's checkpoints, and the one that it `replaces` signs none any more. What is
    signed is the text of four lines: `ccdr ledger key`, the ledger's id, the key, and the replaced one or `-`."""

    kind: Literal["ledger.key"]
    version: Literal[3]
    ledger: LedgerId
    key: VerifierKeyText
    replaces: Annotated[VerifierKeyText | None, about("null: it is the first one of this ledger")] = None
    signature: Annotated[SignatureText, about("of that text, by the key")]
    signature_before: Annotated[SignatureText | None, about("… and by the one that it replaces")] = None
