"""One record's proof (C2SP tlog-proof): its place, its inclusion proof, and the checkpoint that it leads to.

The record's own line travels in the proof's `extra` line, so that it is whole by itself.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.checkpoints.checkpoint import (
    HASH,
    Anchor,
    Checkpoint,
    VerifierKey,
    decoded_base64,
    leaf_hash,
    ledger_of_origin,
    read_checkpoint,
    root_by,
)
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.verification import Boundary, Checked, Finding
from ccdr.evidence.ledger.ledger import line_as_record
from ccdr.model.values import utc

RECORD, PROOF = "record.jsonl", "proof.tlog-proof"  # the files of one
_HEADER = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,17})", re.ASCII)
MOST = 64  # hashes of a proof
LARGEST = 4 * 1024**2  # bytes


@dataclass(frozen=True)
class Proof:
    """That `line` is leaf `index` of the tree that the checkpoint is of."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: Checkpoint
    line: bytes

    def holds(self) -> bool:
        try:
            root = root_by(self.index, self.checkpoint.size, leaf_hash(self.line), self.hashes)
        except ValueError:
            return False
        return root == self.checkpoint.root

    @property
    def contents(self) -> bytes:
        lines = [_HEADER, f"extra {base64.b64encode(self.line).decode()}", f"index {self.index}"]
        lines += [base64.b64encode(one).decode() for one in self.hashes]
        return ("\n".join(lines) + "\n\n").encode() + self.checkpoint.contents


def read_proof(contents: bytes) -> Proof:
    """ValueError where it is none. Whether it `holds` is another question."""
    if len(contents) > LARGEST:
        raise ValueError("is too large for a proof")
    head, gap, rest = contents.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise ValueError("is no proof: it is not ASCII up to its checkpoint") from None
    if not gap or lines[:1] != [_HEADER]:
        raise ValueError(f"is no proof, expected {_HEADER} in its first line")
    extra = lines.pop(1).removeprefix("extra ") if len(lines) > 1 and lines[1].startswith("extra ") else ""
    index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
    if index is None:
        raise ValueError("is no proof: it does not say of which leaf")
    hashes = tuple(map(decoded_base64, lines[2:]))
    if len(hashes) > MOST or any(len(one) != HASH for one in hashes):
        raise ValueError("is no proof: one of its hashes is none")
    return Proof(int(index[1]), hashes, read_checkpoint(rest), decoded_base64(extra))


def is_proof(contents: bytes) -> bool:
    return contents.startswith(_HEADER.encode() + b"\n")


def check_proof(
    proof: Proof, beside: bytes | None, pins: Sequence[Pin], anchors: Sequence[Anchor]
) -> tuple[Checked, Mapping[str, Any]]:
    """What one record's proof shows, and the record. `beside` is the record's line as it lies beside the proof. The key
    must be pinned itself: no other record is here that could tell of a rotation."""
    checkpoint, found = proof.checkpoint, list[Finding]()
    number = proof.index + 1
    record: Mapping[str, Any] = {}
    try:
        record = line_as_record(proof.line)
        if record["seq"] != number:
            raise ValueError(f"it says that it is record {record['seq']}")
    except ValueError as why:
        found.append(Finding("PROOF_WRONG", f"the line of record {number} is none: {why}", number))
    if not proof.holds():
        text = f"record {number} is not in the ledger that the checkpoint of {checkpoint.size} records is of"
        found.append(Finding("PROOF_WRONG", text, number))
    if beside is not None and beside != proof.line:
        found.append(Finding("PROOF_WRONG", "the record that lies beside the proof is another one", number))
    pinned = _signed_by(checkpoint, pins)
    untold = [pin for pin in pins if pin.public is None]  # a note's line does not hold its key
    if pins and not pinned and not untold:
        found.append(Finding("KEY_NOT_PINNED", "none of the pinned keys signed its checkpoint", checkpoint.size))
    unproven, fitting = list[str](), list[Anchor]()
    if untold and not pinned:
        unproven.append("a fingerprint does not tell the key, and a proof does not hold it: pin the key itself")
    for anchor in anchors:
        of = anchor.checkpoint
        if (of.origin, of.size) != (checkpoint.origin, checkpoint.size):
            sizes = f"of {of.size} records, and this checkpoint of {checkpoint.size}"
            unproven.append(f"{anchor} is {sizes}: ask for the proof by that one (`ccdr ledger proof`, --records)")
        elif of.root != checkpoint.root:
            text = f"{anchor} knows other records than this checkpoint of as many: another ledger was shown there"
            found.append(Finding("FORK", text, of.size))
        else:
            fitting.append(anchor)
    best = next((one for one in fitting if one.independent and pinned), None)
    time = utc(str(record["time"])) if record.get("time") else None
    boundary = None if best is None else Boundary(checkpoint.size, time, best)
    held = () if found else (checkpoint.size,)
    unproven = [] if boundary else unproven
    return (
        Checked(
            ledger=ledger_of_origin(checkpoint.origin),
            records=checkpoint.size,
            held=held,
            findings=tuple(dict.fromkeys(found)),
            unproven=tuple(unproven),
            boundary=boundary,
            pinned=pinned,
            brought=bool(pins),
        ),
        record,
    )


def _signed_by(checkpoint: Checkpoint, pins: Sequence[Pin]) -> bool:
    names = {one.name for one in checkpoint.note.signatures}
    keys = [VerifierKey(name, pin.public) for name in names for pin in pins if pin.public is not None]
    return any(checkpoint.note.signed_by(key) for key in keys)
