"""A checkpoint (C2SP tlog-checkpoint v1.0.0): which ledger, how many records, and the root of the tree over them."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from ccdr.evidence.checkpoints.merkle import HASH, Tree
from ccdr.evidence.checkpoints.notes import Note, SigningKey, decoded_base64, parsed, signed

_ORIGIN = "ccdr.ledger/"
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_LEDGER = re.compile(r"[0-9a-f]{32}")


def origin_of(ledger: str) -> str:
    """What a checkpoint calls the ledger of this id: the name of one log, whatever host or key it has."""
    return _ORIGIN + ledger


def ledger_of_origin(origin: str) -> str | None:
    """The ledger's id; None where it is no ledger of ccdr's."""
    ledger = origin.removeprefix(_ORIGIN)
    return ledger if origin.startswith(_ORIGIN) and _LEDGER.fullmatch(ledger) else None


@dataclass(frozen=True)
class Checkpoint:
    """What is signed: `size` records, and the `root` (32 bytes) over them. `note` is all of it, as it was read."""

    origin: str
    size: int
    root: bytes
    note: Note

    @property
    def contents(self) -> bytes:
        """The exact bytes of the signed note: what lies in files, and what anchors hold."""
        return str(self.note).encode()

    def fits(self, tree: Tree) -> bool:
        """Is it of this tree?"""
        return self.size == tree.size and self.root == tree.root()


def text_of(origin: str, tree: Tree) -> str:
    return f"{origin}\n{tree.size}\n{base64.b64encode(tree.root()).decode()}\n"


def checkpoint_of(origin: str, tree: Tree, key: SigningKey) -> Checkpoint:
    """Sign what this tree is now."""
    return Checkpoint(origin, tree.size, tree.root(), signed(text_of(origin, tree), key))


def read_checkpoint(contents: bytes) -> Checkpoint:
    """ValueError where it is none. Whether somebody signed it is for `note.signed_by`."""
    note = parsed(contents)
    lines = note.text.splitlines()
    if len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]):
        raise ValueError("is no checkpoint: expected an origin, a size and a root hash, a line each")
    root = decoded_base64(lines[2])
    if len(root) != HASH:
        raise ValueError("is no checkpoint: its root is no hash of 32 bytes")
    return Checkpoint(lines[0], int(lines[1]), root, note)
