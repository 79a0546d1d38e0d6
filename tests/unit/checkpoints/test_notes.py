"""Notes, checkpoints and proofs are C2SP's, and openssl verifies what is signed."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from tests.support.merkle import over

from ccdr.evidence.checkpoints import checkpoint as notes
from ccdr.evidence.checkpoints.checkpoint import Path as AuditPath
from ccdr.evidence.checkpoints.checkpoint import (
    SigningKey,
    VerifierKey,
    checkpoint_of,
    leaf_hash,
    origin_of,
    read_checkpoint,
)
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.proof import Proof, is_proof, read_proof
from ccdr.jobs.checkpoints.held_to import Brought
from ccdr.model.errors import UsageProblem

# The key and the note of Go's own package (golang.org/x/mod/sumdb/note).
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
LINES = [b'{"seq":1}\n', b'{"seq":2}\n', b'{"seq":3}\n']
ORIGIN = origin_of("ab" * 16)


def test_a_note_of_another_implementation_verifies() -> None:
    note = notes.parsed(GO_NOTE.encode())
    assert note.signed_by(VerifierKey.of(GO_KEY)) and str(note) == GO_NOTE


@pytest.mark.parametrize("spoil", [("is the", "is  the"), ("x08go/ZJ", "x08go/ZK"), ("PeterNeumann x", "Peter x")])
def test_the_same_note_with_another_byte_does_not(spoil: tuple[str, str]) -> None:
    assert not notes.parsed(GO_NOTE.replace(*spoil).encode()).signed_by(VerifierKey.of(GO_KEY))


@pytest.mark.parametrize("text", ["", "a+b", GO_KEY[:-4], GO_KEY.replace("c74f", "c74e"), GO_KEY.replace("+AR", "+BR")])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="verifier key"):
        VerifierKey.of(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"a\n",
        b"a\n\n",
        b"a\n\nb\n",
        b"a\n\n\xff\n",
        GO_NOTE.encode()[:-1],
        GO_NOTE[GO_NOTE.index("\n\n") :].encode(),
    ],
)
def test_what_is_no_note_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"note"):
        notes.parsed(text)


def test_openssl_verifies_a_checkpoint(tmp_path: Path) -> None:
    """With nothing of ours but the files."""
    key = SigningKey.new("ccdr.host/db1")
    text = str(checkpoint_of(ORIGIN, over(LINES), key).note)
    body, _, signature = text.partition("\n\n")
    (tmp_path / "body").write_text(body + "\n")
    (tmp_path / "sig").write_bytes(base64.b64decode(signature.split()[-1])[4:])
    (tmp_path / "key.pem").write_text(key.verifier.pem)
    words = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-rawin", "-in", "body", "-sigfile", "sig"]
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "body").write_text(body.replace("\n3\n", "\n2\n") + "\n")
    assert subprocess.run(words, cwd=tmp_path, capture_output=True).returncode != 0


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    key = SigningKey.new("ccdr.host/db1")
    made = checkpoint_of(ORIGIN, over(LINES), key)
    read = read_checkpoint(made.contents)
    assert read == made and read.note.signed_by(key.verifier) and read.fits(over(LINES))
    assert not read.fits(over([*LINES[:2], b'{"seq":4}\n'])) and not read.note.signed_by(SigningKey.new("x").verifier)


@pytest.mark.parametrize("of", [("\n3\n", "\n03\n"), ("\n3\n", "\n-3\n"), ("\n3\n", "\n\u0663\n"), (ORIGIN + "\n", "")])
def test_what_is_no_checkpoint_is_refused(of: tuple[str, str]) -> None:
    text = str(checkpoint_of(ORIGIN, over(LINES), SigningKey.new("k")).note)
    with pytest.raises(ValueError, match=r"is no (checkpoint|signed note)"):
        read_checkpoint(text.replace(*of).encode())


def test_a_proof_is_read_as_it_was_written_and_holds_for_its_line_alone() -> None:
    key = SigningKey.new("ccdr.host/db1")
    path = AuditPath(1)
    for line in LINES:
        path.append(leaf_hash(line))
    proof = Proof(1, tuple(path.proof()), checkpoint_of(ORIGIN, over(LINES), key), LINES[1])
    read = read_proof(proof.contents)
    assert read == proof and read.holds() and is_proof(proof.contents)
    for other in (
        Proof(0, proof.hashes, proof.checkpoint, LINES[1]),
        Proof(1, proof.hashes, proof.checkpoint, LINES[0]),
    ):
        assert not other.holds()
    with pytest.raises(ValueError):
        read_proof(proof.contents.replace(b"index 1", b"index one"))


def test_a_pin_is_a_key_its_pem_or_its_fingerprint(tmp_path: Path) -> None:
    key = SigningKey.new("ccdr.host/db1").verifier
    (tmp_path / "pem").write_text(key.pem)
    words = ["openssl", "pkey", "-pubin", "-in", "pem", "-outform", "DER"]
    der = subprocess.run(words, cwd=tmp_path, capture_output=True, check=True).stdout
    digest = subprocess.run(["sha256sum"], input=der, capture_output=True, check=True).stdout.split()[0].decode()
    other = SigningKey.new("ccdr.host/db1").verifier
    for text in (str(key), key.pem, digest):
        assert Pin.of(text).is_of(key) and not Pin.of(text).is_of(other)
    for text in ("", "x", digest[:-1], key.pem.replace("PUBLIC", "PRIVATE")):
        with pytest.raises(ValueError):
            Pin.of(text)


def test_what_vouches_for_nothing_is_refused_in_words_that_say_what_it_is(tmp_path: Path) -> None:
    """A mistyped path is no wrong key; a whole mail is not what it brought."""

    def refused(pins: list[str], anchors: list[str]) -> str:
        with pytest.raises(UsageProblem) as raised:
            Brought.of(pins, anchors)
        return f"{raised.value}; {raised.value.hint}"

    nosuch, binary, mail = (str(tmp_path / name) for name in ("nosuch.key", "binary", "mail.eml"))
    Path(binary).write_bytes(b"\xff\xfe")
    Path(mail).write_text(f"Subject: ccdr\n\n{GO_NOTE}\n-- \nccdr\n")
    assert f"there is no file {nosuch}" in refused([nosuch], [])
    assert f"{binary}, named by --pin, is no text" in refused([binary], [])
    assert "of a mail save it alone" in refused([], [mail])
