"""The Merkle tree over a ledger's lines (RFC 6962, section 2.1): one hash that stands for all of them.

A leaf is one exact line, its newline included. Record `seq` is leaf `seq - 1`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

EMPTY = sha256(b"").digest()  # the root of no leaves
HASH = 32  # bytes


def leaf_hash(line: bytes) -> bytes:
    return sha256(b"\0" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


@dataclass
class Tree:
    """What is known of a tree that grows: its size in leaves, and of the perfect subtrees that it is made of, from the
    left, the heights and the hashes: as many as its size has ones in binary. Appending needs no more."""

    size: int = 0
    subtrees: list[tuple[int, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """ValueError where these are not the subtrees of a tree of this size."""
        heights = [height for height in reversed(range(self.size.bit_length())) if self.size >> height & 1]
        if (
            self.size < 0
            or any(len(one) != HASH for _, one in self.subtrees)
            or heights != [h for h, _ in self.subtrees]
        ):
            raise ValueError("these are no subtrees of a tree of this size")

    def append(self, digest: bytes, height: int = 0) -> None:
        """One more leaf's hash; or, with a `height`, that of a perfect subtree of 2^height leaves. ValueError where
        one of this height cannot follow here."""
        if self.size & ((1 << height) - 1):
            raise ValueError(f"a subtree of height {height} does not begin at leaf {self.size}")
        self.size += 1 << height
        subtrees = self.subtrees
        while subtrees and subtrees[-1][0] == height:
            digest, height = node_hash(subtrees.pop()[1], digest), height + 1
        subtrees.append((height, digest))

    def root(self) -> bytes:
        """The root's hash, 32 bytes."""
        if not self.subtrees:
            return EMPTY
        digest = self.subtrees[-1][1]
        for _, left in reversed(self.subtrees[:-1]):
            digest = node_hash(left, digest)
        return digest

    def copy(self) -> Tree:
        return Tree(self.size, list(self.subtrees))


@dataclass
class Path:
    """Gathers one leaf's inclusion proof while the leaves, or subtrees without it, are appended from the left: memory
    does not grow with the tree."""

    index: int
    tree: Tree = field(default_factory=Tree)
    siblings: list[bytes] = field(default_factory=list)  # of the perfect subtree that holds the leaf, from the leaf up

    def append(self, digest: bytes, height: int = 0) -> None:
        """As the tree's. ValueError, too, where the leaf itself is in a subtree of which only the hash is known."""
        begins, subtrees = self.tree.size, list(self.tree.subtrees)
        if height and begins <= self.index < begins + (1 << height):
            raise ValueError("the leaf itself is in a subtree of which only the hash is known")
        self.tree.append(digest, height)
        while subtrees and subtrees[-1][0] == height:  # as the tree has joined them
            left = subtrees.pop()[1]
            parent = begins >> (height + 1)
            if self.index < self.tree.size and self.index >> (height + 1) == parent:
                self.siblings.append(left if self.index >> height & 1 else digest)
            digest, height = node_hash(left, digest), height + 1

    def proof(self) -> list[bytes]:
        """The audit path of RFC 6962 from the leaf up, for the tree as large as it is now."""
        if self.index >= self.tree.size:
            raise ValueError("the leaf is not in the tree yet")
        subtrees, begins, at = self.tree.subtrees, 0, 0
        while begins + (1 << subtrees[at][0]) <= self.index:
            begins, at = begins + (1 << subtrees[at][0]), at + 1
        right = [digest for _, digest in subtrees[at + 1 :]]
        while len(right) > 1:
            right[-2:] = [node_hash(*right[-2:])]
        return self.siblings + right + [digest for _, digest in reversed(subtrees[:at])]


def root_by(index: int, size: int, digest: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf's hash and its audit path lead to (RFC 9162, section 2.1.3.2). ValueError where the path is
    of another length than such a leaf's is."""
    if not 0 <= index < size:
        raise ValueError("there is no such leaf in a tree of this size")
    node, last = index, size - 1
    for sibling in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return digest
