"""One record's proof (C2SP tlog-proof): its place, its inclusion proof, and the checkpoint that it leads to.

The record's own line travels in the proof's `extra` line, so that it is whole by itself.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ccdr.evidence.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ccdr.evidence.checkpoints.merkle import HASH, leaf_hash, root_by
from ccdr.evidence.checkpoints.notes import decoded_base64

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
