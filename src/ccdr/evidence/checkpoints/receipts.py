"""Receipts of anchors: `anchors/<size, 12 digits>.<name>.<json|tsr>` beside the checkpoints of a ledger.

A token (`tsr`) proves itself, where whoever verifies has the authority's certificate from elsewhere. A note of ours
(`json`) only says that somebody else was given the checkpoint: that one has to be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ccdr.evidence.checkpoints.checkpoint import OBJECT_LOCK, RFC3161, TOLD, Anchor, Checkpoint, read_checkpoint
from ccdr.evidence.checkpoints.names import ANCHORS
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.records import LedgerAnchored
from ccdr.model.values import rfc3339, utc

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LARGEST = 64 * 1024  # bytes of a receipt
_NAME = re.compile(r"([0-9]{12})\.([a-z0-9][a-z0-9_-]{0,62})\.(json|tsr)")
_SUFFIX = {RFC3161: "tsr", TOLD: "json", OBJECT_LOCK: "json"}


@dataclass(frozen=True)
class Receipt:
    """What is kept of an anchor: when it was made, by its own clock where it tells, and the bytes of its file."""

    at: datetime
    contents: bytes

    @property
    def sha256(self) -> str:
        return sha256(self.contents).hexdigest()


def noted(kind: str, name: str, checkpoint: Checkpoint, at: datetime, where: Mapping[str, str | int]) -> Receipt:
    """One that says so itself. `where` holds codes, counts, digests and names of ours; no address with a secret."""
    body = {
        "kind": kind,
        "name": name,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "at": rfc3339(at),
        "checkpoint_sha256": sha256(checkpoint.contents).hexdigest(),
        "where": dict(where),
    }
    return Receipt(at, (json.dumps(body, indent=1) + "\n").encode())


def name_of(size: int, name: str, kind: str) -> str:
    """Of the file of a receipt."""
    return f"{size:012}.{name}.{_SUFFIX[kind]}"


@dataclass
class Receipts:
    """What was read. `findings`: what cannot be so unless somebody changed it; `notes`: tokens that prove nothing to
    this verifier, and why."""

    anchors: list[Anchor] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_receipt(name: str) -> bool:
    """Is a file of this name one?"""
    return _NAME.fullmatch(name) is not None


def anchors_in(directory: Path, certificates: Sequence[Certificate] = ()) -> Receipts:
    """All that lie with the checkpoints in `directory`. An authority's token is independent where one of these
    certificates, which the verifier had from elsewhere, vouches for it. OSError where they cannot be read."""
    found = Receipts()
    there = directory / ANCHORS
    for path in sorted(there.iterdir()) if there.is_dir() else ():
        if match := _NAME.fullmatch(path.name):
            _read(path, directory / f"{match[1]}.txt", match[2], certificates, found)
    return found


def _read(path: Path, of: Path, name: str, certificates: Sequence[Certificate], found: Receipts) -> None:
    size = int(path.name[:12])
    try:
        checkpoint = read_checkpoint(of.read_bytes())
    except FileNotFoundError:
        text = f"the receipt {path.name} is of a checkpoint that does not lie with it"
        found.findings.append(Finding("ANCHOR_MISSING", text, size))
        return
    except ValueError:
        return  # it is told as the checkpoint's
    contents = path.read_bytes()[: LARGEST + 1]
    try:
        if path.suffix == ".tsr":
            found.anchors.append(_token(name, contents, checkpoint, certificates, found))
        else:
            found.anchors.append(_note(name, contents, checkpoint))
    except ValueError as why:
        found.findings.append(Finding("ANCHOR_WRONG", f"the receipt {path.name} {why}", size))


def _token(
    name: str, contents: bytes, checkpoint: Checkpoint, certificates: Sequence[Certificate], found: Receipts
) -> Anchor:
    from ccdr.evidence.checkpoints.timestamps import NotVerified, over, verified

    at, independent = over(contents, checkpoint.contents), False
    if certificates:
        try:
            at, independent = verified(contents, checkpoint.contents, certificates), True
        except NotVerified as why:
            found.notes.append(f"the token of {name} over {checkpoint.size} records proves nothing here: {why}")
    return Anchor(RFC3161, name, checkpoint, at if independent else None, independent)


def _note(name: str, contents: bytes, checkpoint: Checkpoint) -> Anchor:
    try:
        body = json.loads(contents)
        kind, at = str(body["kind"]), utc(body["at"])
        digest, named = body["checkpoint_sha256"], body["name"]
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        raise ValueError("is no receipt") from None
    if kind not in (TOLD, OBJECT_LOCK) or named != name:
        raise ValueError("is not of the anchor that its name says")
    if digest != sha256(checkpoint.contents).hexdigest():
        raise ValueError("is of another checkpoint than the one that lies with it")
    # By this host's clock, where nobody else says when it came.
    return Anchor(kind, name, checkpoint, at if kind == OBJECT_LOCK else None, independent=False)


def missing(records: Iterable[LedgerAnchored], directory: Path) -> Iterator[Finding]:
    """Anchors that the ledger tells of, and whose receipts do not lie there any more as they were. OSError where they
    cannot be read."""
    for record in records:
        size, file = record.size, name_of(record.size, record.name, record.anchor)
        what = f"record {record.seq}: the receipt of {record.name} over {size} records"
        if not _NAME.fullmatch(file):
            continue
        try:
            contents = (directory / ANCHORS / file).read_bytes()
        except FileNotFoundError:
            yield Finding("ANCHOR_MISSING", f"{what} is gone", size)
            continue
        if sha256(contents).hexdigest() != record.receipt_sha256:
            yield Finding("ANCHOR_MISSING", f"{what} is not the one that was kept: it was changed", size)
