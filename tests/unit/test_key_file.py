"""restic's key files: what restic sealed opens, and what is sealed here is what restic reads."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from tests.support.repositories import Key, _derived

from ccdr.storage.key_file import KeyFile, contents_of, read

PASSWORD, SIBLING = "a password of these tests", "5" * 64
# As restic 0.18 wrote it for that password, and what `restic cat masterkey` printed.
VECTOR = (
    b'{"created":"2026-12-01T02:26:56.570711648Z","username":"root","hostname":"vm","kdf":"scrypt","N":327'
    b'68,"r":8,"p":3,"salt":"oby7T7WNEHxbPOfMWCk+U5wpNO04uqy2YP3RByY7pL6aajTJLs1yyURPFouYq3vdSP3wuNlLC2Zpm'
    b'PYNRDxlbA==","data":"eRrC1vWwxjI7QT1BSPIDONzdumW7OrOmgadSLeh29i5cHlb7NnoUW2mz3qAddVgvnA6sONU7e9qg03L'
    b"BpFigZzYgbfybxWDpCSmLLS6uoBSz5HGTE55Ns4OYsswOnMb/Flg3MdkzdRo6ULlqDHGMvFQxUIoDKdJQgXoVQB1NcXihXHZ4xa/"
    b'5UFB5SF/dKSVfBPdIQn6ZQnev5uIsjgHhKQ=="}'
)
MASTER = (
    b'{"mac": {"k": "Ga81T8K8NwenvYbOAN8N7A==", "r": "wryc2phZRNk1V/DKHXn0zQ=="}, "encrypt": "9d18uP1CUZfw'
    b'mQqLRCTPR/Lr82ccqzcf6S4SD31ciWo="}'
)
# Poly1305-AES's own vector (D. J. Bernstein, "The Poly1305-AES message-authentication code", appendix B).
POLY = {
    "k": "ec074c835580741701425b623235add6",
    "r": "851fc40c3467ac0be05cc20404f3f700",
    "n": "fb447350c4e868c52ac3275cf9d4327e",
    "m": "f3f6",
    "tag": "f4c633c3044fc145f84f335cb81953de",
}


def test_what_restic_sealed_opens_by_its_password_and_by_no_other() -> None:
    key = read(VECTOR)
    assert key is not None and not key.fast and key.p > 1
    opened = key.opened(PASSWORD)
    assert opened is not None and json.loads(opened) == json.loads(MASTER)
    assert key.opened(PASSWORD + " ") is None


def test_what_is_sealed_here_opens_by_code_that_knows_nothing_of_ours() -> None:
    key = KeyFile.sealed(MASTER, PASSWORD, sibling=SIBLING, n=2, r=1, p=1)
    name, text = contents_of(key)
    kept = json.loads(text)
    derived: Key = _derived(kept, PASSWORD)
    sealed = b64decode(kept["data"])
    counter = Cipher(algorithms.AES(derived.encrypt), modes.CTR(sealed[:16])).decryptor()
    assert counter.update(sealed[16:-16]) + counter.finalize() == MASTER
    assert len(name) == 64 and kept["username"] == f"fast key of {SIBLING}"
    again = read(text)
    assert again == key and again.opened(PASSWORD) == MASTER
    assert b64encode(key.data).decode() in text.decode() and {"N", "r", "p", "salt", "created"} <= kept.keys()


def test_the_authenticator_is_poly1305_aes() -> None:
    from ccdr.storage.key_file import _tag

    k, r, nonce, message = (bytes.fromhex(POLY[part]) for part in "krnm")
    assert _tag(bytes(32) + k + r, nonce, message).hex() == POLY["tag"]


def test_a_byte_that_was_changed_opens_nothing() -> None:
    key = KeyFile.sealed(MASTER, PASSWORD, sibling=SIBLING, n=2, r=1, p=1)
    for at in (0, 20, len(key.data) - 1):
        data = bytearray(key.data)
        data[at] ^= 1
        text = contents_of(KeyFile(**{**{f: getattr(key, f) for f in key.__struct_fields__}, "data": bytes(data)}))[1]
        changed = read(text)
        assert changed is not None and changed.opened(PASSWORD) is None


def test_what_is_no_key_file_is_none() -> None:
    assert read(b"") is None and read(b"{}") is None and read(b"\xff") is None
