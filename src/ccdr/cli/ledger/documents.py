"""What `ccdr ledger` prints with `--json`, as types."""

from __future__ import annotations

from typing import Annotated

from ccdr.cli.document_base import Doc, Map, Text
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.due_gaps import LedgerGap
from ccdr.evidence.package.verifying import NotCovered
from ccdr.model.kinds import about
from ccdr.telling.anchoring import AnchorMade


class Records(Doc):
    records: list[Map]


class BoundaryDocument(Doc):
    """A change before record `record` would have been found, where it was made after `anchored`."""

    record: int
    time: Annotated[Text, about("of that record, RFC 3339, UTC")]
    anchor: str
    anchored: Annotated[Text, about("when, by the anchor's own clock")]
    first_record: Annotated[int | None, about("of the first independent anchor that tells a time: what it held")]
    first_anchored: Annotated[Text, about("… and when")]


class VerificationDocument(Doc):
    ok: bool
    says: Text
    records: int
    head: str
    problems: list[str]
    summary: Text
    notes: list[str]
    crashes: list[str]
    gaps: Annotated[list[LedgerGap], about("of its own plans' schedules: told, and no verification failures")]
    torn_bytes: int
    unknown: Annotated[int, about("records of a version or kind that this ccdr does not read")]
    since: Annotated[
        Map | None,
        about(
            "null: all was read; else from which `record` on, and since which verification: `verified`, `verified_by`"
        ),
    ]
    ledger: Text
    findings: Annotated[list[Finding], about("the same as `problems`, with their codes")]
    not_judged: Annotated[list[str], about("what could not be held to what is here")]
    checkpoints: Annotated[int, about("that fit")]
    pinned: Annotated[bool, about("does a pinned key vouch for the newest checkpoint that fits?")]
    boundary: BoundaryDocument | None
    keys: Annotated[list[Map], about("that sign it, by its own records: `key`, `from_record`")]
    statements: Annotated[Map | None, about("how many are signed; which hold, by whom; which are refused, by number")]
    shown: Annotated[int | None, about("of a package: records that are lines; the others are hashes")] = None
    package: Annotated[dict[str, str] | None, about("of a package: what its bag-info.txt says")] = None
    not_covered: Annotated[NotCovered | None, about("of a package; null: an anchor reaches its last record")] = None
    others: Map | None = None
    repositories: list[Map] | None = None
    not_asked: dict[str, str] | None = None


class PackedLedger(Doc):
    ledger: str
    records: int
    shown: Annotated[int, about("of these, as lines; the others are hashes")]


class Exported(Doc):
    directory: str
    ledger: str
    records: int
    shown: Annotated[int, about("of these, as lines; the others are hashes")]
    ledgers: Annotated[list[PackedLedger], about("all that are in it, ours first")]
    checkpoints: int
    statements: Annotated[int, about("restore tests as in-toto statements")]
    sign_offs: int
    plan_texts: int
    missing_texts: Annotated[list[str], about("versions of plans whose texts are not kept here any more")]


class InTables(Doc):
    ledger: str
    records: int


class ExportedTables(Doc):
    """With `--sqlite`."""

    file: str
    ledger: str
    ledgers: Annotated[list[InTables], about("all that are in it, ours first")]
    unread: Annotated[int, about("records that this ccdr does not read: they stand in a table of their own")]


class WouldExport(Doc, rename={"from_": "from"}):
    """With `--dry-run`."""

    directory: str
    ledger: str
    from_: Annotated[Text, about("RFC 3339, UTC; null: all that there is")]
    to: Text
    ledgers: list[str]
    plans: Annotated[list[str] | None, about("that it would be of; null: all")]


class Ledgers(Doc):
    ledgers: list[Map]


class CheckpointSigned(Doc):
    """`note`: the signed note itself; `root`: hexadecimal; not `new`: no record came since it was signed."""

    origin: str
    records: int
    root: str
    note: str
    new: bool
    path: str
    anchors: list[AnchorMade]


class LedgerKeyMade(Doc):
    key: str
    fingerprint: Annotated[str, about("SHA-256 of the public key as DER")]
    replaces: Text
    record: Map


class LedgerKeys(Doc):
    """`here`: its private half is in the state directory. `keys`: all there were, the first one first."""

    key: str
    fingerprint: str
    here: bool
    keys: list[Map]


class ProofWritten(Doc):
    """`record`: its number; `checkpoint`: of how many records; `anchors`: receipts that are beside it."""

    directory: str
    run: str
    kind: str
    record: int
    checkpoint: int
    anchors: int


class ProofVerified(Doc):
    """`record`: as it was written. `records`: how many the checkpoint is of."""

    ok: bool
    says: Text
    record: Map
    records: int
    problems: list[str]
    findings: list[Finding]
    not_judged: list[str]
    checkpoints: int
    pinned: bool
    boundary: BoundaryDocument | None
    keys: list[Map]
