"""restic's key files, read and sealed: one password's way to a repository's master key.

The format is restic's (https://restic.readthedocs.io/en/stable/100_references.html, "Keys, Encryption and MAC"): scrypt
makes 64 bytes of the password, a key of AES-256 in counter mode and a key of Poly1305-AES; the file holds the master
key, encrypted by the one and authenticated by the other, and names what scrypt cost. Its name is its SHA-256.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from hashlib import scrypt, sha256
from hmac import compare_digest

import msgspec

from ccdr.model.values import rfc3339

N, R, P = 2**15, 8, 1  # 32 MiB a guess, as `restic init` takes, once instead of five to seven times
MOST_MEMORY = 2**28  # bytes: scrypt takes 128 * N * r of them, and refuses more than it was given


class KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    """One of them; bytes are base64 in the file."""

    created: str
    username: str
    hostname: str
    kdf: str
    N: int
    r: int
    p: int
    salt: bytes
    data: bytes

    @classmethod
    def sealed(cls, master: bytes, password: str, *, sibling: str, n: int = N, r: int = R, p: int = P) -> KeyFile:
        """A file by which the password opens the master key, as restic prints that. `sibling` is the id of restic's own
        key file for the same password, for people who look at `restic key list`: nothing believes it."""
        salt, nonce = os.urandom(64), os.urandom(16)
        key = _derived(password, salt, n, r, p)
        ciphertext = _crypted(key, nonce, master)
        return cls(
            created=rfc3339(datetime.now(UTC)),
            username=f"fast key of {sibling}",
            hostname="ccdr",
            kdf="scrypt",
            N=n,
            r=r,
            p=p,
            salt=salt,
            data=nonce + ciphertext + _tag(key, nonce, ciphertext),
        )

    def opened(self, password: str) -> bytes | None:
        """The master key, as it was sealed; None where the password does not open it. ValueError where scrypt knows no
        such cost."""
        key, nonce = _derived(password, self.salt, self.N, self.r, self.p), self.data[:16]
        ciphertext, tag = self.data[16:-16], self.data[-16:]
        return _crypted(key, nonce, ciphertext) if compare_digest(_tag(key, nonce, ciphertext), tag) else None

    @property
    def fast(self) -> bool:
        """Is it whole, and does a try cost no more than it does by those that ccdr makes?"""
        whole = min(self.N, self.r, self.p) > 0 and len(self.salt) == 64 and len(self.data) > 32
        return whole and self.kdf == "scrypt" and self.N * self.r * self.p <= N * R * P


def contents_of(key: KeyFile) -> tuple[str, bytes]:
    """The file's name, which is the key's id, and what it holds."""
    text = msgspec.json.encode(key)
    return sha256(text).hexdigest(), text


def read(text: bytes) -> KeyFile | None:
    """None where it is no key file."""
    try:
        return msgspec.json.decode(text, type=KeyFile)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _derived(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return scrypt(password.encode("utf-8", "surrogateescape"), salt=salt, n=n, r=r, p=p, maxmem=MOST_MEMORY, dklen=64)


def _crypted(key: bytes, nonce: bytes, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    counter = Cipher(algorithms.AES(key[:32]), modes.CTR(nonce)).encryptor()
    return counter.update(data) + counter.finalize()


def _tag(key: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
    """Poly1305-AES: `r`, and the nonce encrypted by `k`, make the key of one message."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.poly1305 import Poly1305

    k, r = key[32:48], key[48:64]
    block = Cipher(algorithms.AES(k), modes.ECB()).encryptor()  # noqa: S305  one block, of a nonce: what Poly1305-AES is
    return Poly1305.generate_tag(r + block.update(nonce) + block.finalize(), ciphertext)
