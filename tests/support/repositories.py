"""restic repositories that open at once.

restic derives a repository's key by scrypt, and `restic init` makes that cost half a second of processor time: rightly, but
for every call of restic. Most tests are not about that. `new_repository` writes what `restic init` would, by the
format that restic documents (its "Design", https://restic.readthedocs.io/en/stable/100_references.html), but for
scrypt's cost, which a key file names itself. All else is as ever: the master key is random, everything is encrypted, and
it is restic that reads and writes it.
"""

from __future__ import annotations

import json
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import scrypt, sha256
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.poly1305 import Poly1305

COST = {"N": 2, "r": 1, "p": 1}  # scrypt's least
POLYNOMIAL = "25b468838dcb75"  # where files are cut into chunks; of restic's own documentation


class Key(NamedTuple):
    """AES-256 in counter mode, then Poly1305-AES over the ciphertext."""

    encrypt: bytes
    mac_k: bytes
    mac_r: bytes

    @classmethod
    def of(cls, material: bytes) -> Key:
        return cls(material[:32], material[32:48], material[48:64])

    def as_json(self) -> dict[str, object]:
        return {"mac": {"k": text(self.mac_k), "r": text(self.mac_r)}, "encrypt": text(self.encrypt)}

    def sealed(self, plain: Mapping[str, object]) -> bytes:
        iv = os.urandom(16)
        counter = Cipher(algorithms.AES(self.encrypt), modes.CTR(iv)).encryptor()
        ciphertext = counter.update(json.dumps(plain, separators=(",", ":")).encode()) + counter.finalize()
        block = Cipher(algorithms.AES(self.mac_k), modes.ECB()).encryptor()
        once = self.mac_r + block.update(iv) + block.finalize()
        return iv + ciphertext + Poly1305.generate_tag(once, ciphertext)


def text(data: bytes) -> str:
    return b64encode(data).decode()


def new_repository(at: Path, password: str) -> Path:
    """An empty repository at `at`, with an id and a master key of its own. Takes milliseconds, and so does opening it."""
    master, salt = Key.of(os.urandom(64)), os.urandom(64)
    derived = scrypt(password.encode(), salt=salt, n=COST["N"], r=COST["r"], p=COST["p"], maxmem=2**28, dklen=64)
    key = {"created": datetime.now(UTC).isoformat(), "username": "tests", "hostname": "tests", "kdf": "scrypt", **COST}
    key |= {"salt": text(salt), "data": text(Key.of(derived).sealed(master.as_json()))}
    for name in ("data", "index", "keys", "locks", "snapshots"):
        (at / name).mkdir(parents=True, mode=0o700)
    config = {"version": 2, "id": secrets.token_hex(32), "chunker_polynomial": POLYNOMIAL}
    kept = json.dumps(key).encode()
    for path, contents in (at / "keys" / sha256(kept).hexdigest(), kept), (at / "config", master.sealed(config)):
        path.write_bytes(contents)
        path.chmod(0o400)
    return at


def add_key_cheaply(at: Path, password: str, new: str) -> str:
    """As `restic key add`, but for scrypt's cost: what opens by `password` opens by `new`, too. The new key's id."""
    for path in (at / "keys").iterdir():
        key = json.loads(path.read_bytes())
        derived = _derived(key, password)
        sealed = b64decode(key["data"])
        if Poly1305.generate_tag(_once(derived, sealed[:16]), sealed[16:-16]) == sealed[-16:]:
            break
    else:
        raise AssertionError("no key of it opens by that password")
    counter = Cipher(algorithms.AES(derived.encrypt), modes.CTR(sealed[:16])).decryptor()
    master = json.loads(counter.update(sealed[16:-16]) + counter.finalize())
    made = {**key, **COST, "username": "tests", "created": datetime.now(UTC).isoformat(), "salt": text(os.urandom(64))}
    made["data"] = text(_derived(made, new).sealed(master))
    kept = json.dumps(made).encode()
    name = sha256(kept).hexdigest()
    (at / "keys" / name).write_bytes(kept)
    return name


def _derived(key: Mapping[str, Any], password: str) -> Key:
    cost = {"n": key["N"], "r": key["r"], "p": key["p"]}
    return Key.of(scrypt(password.encode(), salt=b64decode(key["salt"]), maxmem=2**28, dklen=64, **cost))


def _once(key: Key, iv: bytes) -> bytes:
    block = Cipher(algorithms.AES(key.mac_k), modes.ECB()).encryptor()
    return key.mac_r + block.update(iv) + block.finalize()
