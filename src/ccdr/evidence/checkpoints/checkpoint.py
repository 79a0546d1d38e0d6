"""A checkpoint (C2SP tlog-checkpoint v1.0.0): which ledger, how many records, and the root of the tree over them (RFC
6962), in a signed note (C2SP signed-note). An anchor is one that somebody else holds.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # most commands grow the tree, and neither sign nor verify
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding

# The Merkle tree over a ledger's lines (RFC 6962, section 2.1): one hash that stands for all of them.
#
# A leaf is one exact line, its newline included. Record `seq` is leaf `seq - 1`.

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


# Signed notes (C2SP signed-note, Ed25519): a text, an empty line, and a line for each signature.
#
# A key is known by its verifier key, `<name>+<id>+<base64>`: the id is the first four bytes of SHA-256(name, newline,
# 0x01, public key) in hexadecimal, the base64 of 0x01 and the public key.

_ED25519 = b"\x01"
_SIGNED_BY = "— "
_NAME = re.compile(r"[^\s+]{1,200}")
LARGEST = 64 * 1024  # bytes of a note


@dataclass(frozen=True)
class VerifierKey:
    """A public key and its name; two are the same only where both are."""

    name: str
    public: bytes  # 32 bytes

    @property
    def hash(self) -> bytes:
        """The four bytes by which a signature's line names its key."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    @property
    def id(self) -> str:
        return self.hash.hex()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key as SubjectPublicKeyInfo (DER): what `openssl pkey -pubin -outform DER | sha256sum`
        tells of its file."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return sha256(self._encoded(Encoding.DER)).hexdigest()

    @property
    def pem(self) -> str:
        """For openssl."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self._encoded(Encoding.PEM).decode()

    def _encoded(self, encoding: Encoding) -> bytes:
        from cryptography.hazmat.primitives.serialization import PublicFormat

        return self._key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo)

    def _key(self) -> Ed25519PublicKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        return Ed25519PublicKey.from_public_bytes(self.public)

    def __str__(self) -> str:
        return f"{self.name}+{self.id}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def signed(self, text: str, signature: bytes) -> bool:
        return self.signed_bytes(text.encode(), signature)

    def signed_bytes(self, text: bytes, signature: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._key().verify(signature, text)
        except InvalidSignature:
            return False
        return True

    @classmethod
    def of(cls, text: str) -> VerifierKey:
        """ValueError where it is none, or not of Ed25519."""
        name, _, rest = text.strip().partition("+")
        number, _, key = rest.partition("+")
        decoded = decoded_base64(key)
        if not is_name(name) or len(decoded) != 33 or decoded[:1] != _ED25519:
            raise ValueError("is no verifier key, expected NAME+ID+BASE64, of Ed25519")
        found = cls(name, decoded[1:])
        if found.id != number:
            raise ValueError(f"is no verifier key: its id is {found.id}, and it says {number[:16]}")
        return found


def public_of_pem(text: str | bytes) -> bytes:
    """The 32 bytes of a public key in PEM. ValueError where it is none of Ed25519."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(text.encode() if isinstance(text, str) else text)
    except (ValueError, TypeError) as error:
        raise ValueError("is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is a public key, but not of Ed25519")
    return key.public_bytes_raw()


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class SigningKey:
    """A private key with its name. Never printed."""

    name: str
    private: Ed25519PrivateKey

    def __repr__(self) -> str:
        return f"SigningKey({self.name!r})"

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(self.name, self.private.public_key().public_bytes_raw())

    @property
    def pem(self) -> bytes:
        """PKCS#8 without a passphrase: nobody is there to type one when a run signs."""
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, text: str) -> bytes:
        """64 bytes."""
        return self.private.sign(text.encode())

    @classmethod
    def new(cls, name: str) -> SigningKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, name: str, pem: bytes) -> SigningKey:
        """ValueError where it is no private key of Ed25519."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            key = load_pem_private_key(pem, None)
        except (ValueError, TypeError) as error:
            raise ValueError("is no private key in PEM without a passphrase") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("is a private key, but not of Ed25519")
        return cls(name, key)


@dataclass(frozen=True)
class Signature:
    """One signature's line: by whose key it says it is, and its 64 bytes."""

    name: str
    hash: bytes
    signature: bytes

    def by(self, key: VerifierKey) -> bool:
        """Does the line name this key?"""
        return (self.name, self.hash) == (key.name, key.hash)


@dataclass(frozen=True)
class Note:
    """A text, ending in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(_line(one) for one in self.signatures)

    def signed_by(self, key: VerifierKey) -> bool:
        """True only where each line that names this key holds, and there is one."""
        named = [one for one in self.signatures if one.by(key)]
        return bool(named) and all(key.signed(self.text, one.signature) for one in named)


def _line(one: Signature) -> str:
    return f"{_SIGNED_BY}{one.name} {base64.b64encode(one.hash + one.signature).decode()}\n"


def signed(text: str, *keys: SigningKey) -> Note:
    """ValueError for a text that cannot be a note's."""
    if not text.endswith("\n") or "\n\n" in text or text.startswith("\n"):
        raise ValueError("a note's text ends in a newline, and has no empty line")
    lines = (Signature(key.name, key.verifier.hash, key.sign(text)) for key in keys)
    return Note(text, tuple(lines))


def parsed(contents: bytes) -> Note:
    """ValueError where it is no signed note."""
    if len(contents) > LARGEST:
        raise ValueError("is too large for a signed note")
    try:
        whole = contents.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is no signed note: it is not UTF-8") from None
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not text or not lines.endswith("\n") or any(ord(c) < 0x20 and c != "\n" for c in whole):
        raise ValueError("is no signed note: expected a text, an empty line, and signatures")
    return Note(text + "\n", tuple(map(_signature, lines.splitlines())))


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_SIGNED_BY).partition(" ")
    decoded = decoded_base64(encoded)
    if not line.startswith(_SIGNED_BY) or not is_name(name) or len(decoded) < 5:
        raise ValueError("is no signed note: one of its last lines is no signature")
    return Signature(name, decoded[:4], decoded[4:])


def decoded_base64(text: str) -> bytes:
    """Empty where it is none: what is asked for is never empty."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


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


# Anchors: what somebody else than the host holds of a checkpoint. One that a verifier had from elsewhere, or that
# another's key signed, is independent: root on the host cannot have made it.

OBJECT_LOCK = "object_lock"  # a locked object version in a bucket
RFC3161 = "rfc3161"  # a time-stamping authority's token
TOLD = "told"  # the head, by mail or chat
GIVEN = "given"  # whoever verifies had it from elsewhere


@dataclass(frozen=True)
class Anchor:
    """That this checkpoint was known elsewhere, at the time `at` by that one's clock (None: it does not tell).
    `where` is what it is called for people."""

    kind: str
    where: str
    checkpoint: Checkpoint
    at: datetime | None
    independent: bool

    def __str__(self) -> str:
        return f"{self.where} ({self.kind})"
