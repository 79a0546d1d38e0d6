"""Signed notes (C2SP signed-note, Ed25519): a text, an empty line, and a line for each signature.

A key is known by its verifier key, `<name>+<id>+<base64>`: the id is the first four bytes of
SHA-256(name, newline, 0x01, public key) in hexadecimal, the base64 of 0x01 and the public key.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

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
        key = Ed25519PublicKey.from_public_bytes(self.public)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()

    @property
    def pem(self) -> str:
        """For openssl."""
        key = Ed25519PublicKey.from_public_bytes(self.public)
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return key.public_bytes(serialization.Encoding.PEM, form).decode()

    def __str__(self) -> str:
        return f"{self.name}+{self.id}+{base64.b64encode(_ED25519 + self.public).decode()}"

    def signed(self, text: str, signature: bytes) -> bool:
        return self.signed_bytes(text.encode(), signature)

    def signed_bytes(self, text: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
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
    try:
        key = serialization.load_pem_public_key(text.encode() if isinstance(text, str) else text)
    except (ValueError, TypeError) as error:
        raise ValueError("is no public key in PEM") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("is a public key, but not of Ed25519")
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


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
        raw, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return VerifierKey(self.name, self.private.public_key().public_bytes(raw, form))

    @property
    def pem(self) -> bytes:
        """PKCS#8 without a passphrase: nobody is there to type one when a run signs."""
        form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return self.private.private_bytes(serialization.Encoding.PEM, form, bare)

    def sign(self, text: str) -> bytes:
        """64 bytes."""
        return self.private.sign(text.encode())

    @classmethod
    def new(cls, name: str) -> SigningKey:
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, name: str, pem: bytes) -> SigningKey:
        """ValueError where it is no private key of Ed25519."""
        try:
            key = serialization.load_pem_private_key(pem, None)
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
