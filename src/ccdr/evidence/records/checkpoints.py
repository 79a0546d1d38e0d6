"""Records of the keys that sign a ledger's checkpoints, and of who holds those elsewhere."""

from __future__ import annotations

from typing import Annotated, Literal

from ccdr.evidence.records.lineage import LedgerId
from ccdr.evidence.records.values import OfPlan, OfRun, Reason, Record, Tenant
from ccdr.model.kinds import Count, Digest, Seconds, Time, Value, about

VerifierKeyText = Annotated[str, about("a public key of Ed25519, as C2SP signed-note's verifier key: NAME+ID+BASE64")]
SignatureText = Annotated[str, about("64 bytes in base64")]


class LedgerKey(Record, frozen=True, kw_only=True, gc=False):
    """From here on this key signs the ledger's checkpoints, and the one that it `replaces` signs none any more. What is
    signed is the text of four lines: `ccdr ledger key`, the ledger's id, the key, and the replaced one or `-`."""

    kind: Literal["ledger.key"] = "ledger.key"
    version: Literal[4] = 4
    ledger: LedgerId
    key: VerifierKeyText
    replaces: Annotated[VerifierKeyText | None, about("null: it is the first one of this ledger")] = None
    signature: Annotated[SignatureText, about("of that text, by the key")]
    signature_before: Annotated[SignatureText | None, about("… and by the one that it replaces")] = None


AnchorName = Annotated[str, about("what the anchor is called in anchors.yaml")]
AnchorKind = Annotated[
    Literal["rfc3161", "told", "object_lock"],
    about("a time-stamping authority's token; sent by mail or chat; a locked object in a bucket"),
]


class LedgerAnchored(Record, frozen=True, kw_only=True, gc=False):
    """A checkpoint was anchored: somebody else holds it. The receipt lies beside the checkpoints."""

    kind: Literal["ledger.anchored"] = "ledger.anchored"
    version: Literal[4] = 4
    name: AnchorName
    anchor: AnchorKind
    size: Annotated[int, about("how many records the checkpoint is of")]
    at: Annotated[Time, about("when, by the anchor's own clock where it tells, else by this host's")]
    checkpoint_sha256: Annotated[Digest, about("of the signed note")]
    receipt_sha256: Annotated[Digest, about("of the file of the receipt")]


class ConfiguredAnchor(Value, frozen=True, kw_only=True, gc=False):
    """One anchor of anchors.yaml."""

    name: AnchorName
    kind: AnchorKind
    where_sha256: Annotated[Digest, about("of what it leads to: an address, a bucket, a file")]
    every: Annotated[Seconds, about("how often at most, in seconds")]


class LedgerAnchors(Record, frozen=True, kw_only=True, gc=False):
    """The anchors that are configured from here on: written when they change. Fewer of them, rarer ones, or ones that
    lead elsewhere, are a loosening of evidence."""

    kind: Literal["ledger.anchors"] = "ledger.anchors"
    version: Literal[4] = 4
    anchors: list[ConfiguredAnchor]


class LedgerExported(Record, frozen=True, kw_only=True, gc=False):
    """A package of the evidence was asked for: it ends with this record, and says of itself what this record does."""

    kind: Literal["ledger.exported"] = "ledger.exported"
    version: Literal[4] = 4
    scope: Annotated[Literal["whole", "part"], about("all that there is; or a period, or some plans")]
    begins: Annotated[Time, about("of the period that it tells of")]
    ends: Annotated[Time | None, about("null: as this was written")] = None
    plans: Annotated[list[str] | None, about("of these plans alone; null: of all")] = None
    tenant: Annotated[str | None, about("for this client alone")] = None
    texts: Annotated[bool, about("with the texts of plans")]
    checkpoints: Annotated[Count, about("of this ledger, that there were before")]
    ccdr: Annotated[str, about("the version that wrote it")]


class PackageEnd(Record, frozen=True, kw_only=True, gc=False):
    """The package that a plan has written each night for a Unix group is whole, and now takes the place of the one
    before; or it could not be written, or not put there."""

    kind: Literal["package.end"] = "package.end"
    plan: OfPlan
    run: OfRun
    version: Literal[4] = 4
    result: Literal["DONE", "FAILED"]
    reason: Reason = None
    exported: Annotated[Count | None, about("the number of the record that it ends with")] = None
    manifest: Annotated[Digest | None, about("SHA-256 of its tagmanifest-sha256.txt: which package it is")] = None
    seconds: Seconds
    tenant: Tenant = "default"
