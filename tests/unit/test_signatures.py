"""A signature counts by who may sign, for this text and this purpose; a second factor by what the key itself signed."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.signed import NAMESPACE, PRESENT, VERIFIED, SecurityKey, key, signed, signers

from ccdr.host.processes import Host
from ccdr.host.signatures import SignatureRefused, sign, trusted_signers, verify
from ccdr.model.errors import UsageProblem

TEXT = "to: approve\nwhat: „ceva”\n"
HOST = Host()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s")


@pytest.fixture(scope="module")
def ana(room: Path) -> Path:
    return key(room, "ana")


@pytest.fixture(scope="module")
def known(room: Path, ana: Path) -> str:
    return trusted_signers(signers(room / "known", {"ana@x": ana}))


def test_who_signed_is_told_by_name_and_key(ana: Path, known: str) -> None:
    signer = verify(TEXT, sign(TEXT, ana, NAMESPACE, HOST), known, NAMESPACE, HOST)
    assert signer.name == "ana@x" and signer.key.startswith("SHA256:") and signer.user_verified is None


@pytest.mark.parametrize("text", [TEXT + "\n", TEXT.replace("approve", "approves"), "", TEXT.rstrip("\n")])
def test_a_signature_is_of_one_text(ana: Path, known: str, text: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(text, signed(TEXT, ana), known, NAMESPACE, HOST)
    assert refused.value.code == "other"


def test_a_signature_for_another_purpose_is_none_for_this(ana: Path, known: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(TEXT, signed(TEXT, ana, "git"), known, NAMESPACE, HOST)
    assert refused.value.code == "purpose"


def test_nobody_signs_who_is_not_there(room: Path, known: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(TEXT, signed(TEXT, key(room, "mallory")), known, NAMESPACE, HOST)
    assert refused.value.code == "nobody"


def test_a_pattern_is_no_person(room: Path, ana: Path) -> None:
    """And beside a name it does no harm."""
    with pytest.raises(SignatureRefused) as refused:
        verify(TEXT, signed(TEXT, ana), signers(room / "any", {"*@x": ana}).read_text(), NAMESPACE, HOST)
    assert refused.value.code == "nameless"
    both = signers(room / "both", {"*@x,ana@x": ana}).read_text()
    assert verify(TEXT, signed(TEXT, ana), both, NAMESPACE, HOST).name == "ana@x"


def test_a_key_that_is_for_something_else_or_has_ended_approves_nothing(room: Path, ana: Path) -> None:
    """When it was still valid it did: what was signed then stays so."""
    other = signers(room / "other", {"ana@x": ana}, options='namespaces="git"').read_text()
    ended = signers(room / "ended", {"ana@x": ana}, options='valid-before="20260101Z"').read_text()
    for text in (other, ended):
        with pytest.raises(SignatureRefused):
            verify(TEXT, signed(TEXT, ana), text, NAMESPACE, HOST)
    then = datetime(2025, 6, 1, tzinfo=UTC)
    assert verify(TEXT, signed(TEXT, ana), ended, NAMESPACE, HOST, at=then).name == "ana@x"


@pytest.mark.parametrize("of", ["", "hello", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"])
def test_what_is_no_signature_is_said_to_be_none(known: str, of: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        verify(TEXT, of, known, NAMESPACE, HOST)
    assert refused.value.code == "none"


# --- security keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("flags", "counts"), [(PRESENT | VERIFIED, True), (PRESENT, False)])
def test_a_second_factor_is_what_the_key_says_of_its_user(room: Path, flags: int, counts: bool) -> None:
    device = SecurityKey()
    there = signers(room / "sk", {"ana@x": device.public}).read_text()
    assert verify(TEXT, device.signed(TEXT, flags=flags), there, NAMESPACE, HOST).user_verified is counts


def test_flags_that_were_changed_afterwards_are_not_what_was_signed(room: Path) -> None:
    device = SecurityKey()
    there = signers(room / "sk2", {"ana@x": device.public}).read_text()
    armour = device.signed(TEXT, flags=PRESENT)
    raw = bytearray(base64.b64decode("".join(armour.splitlines()[1:-1])))
    raw[-5] = PRESENT | VERIFIED  # the flags: the counter's four bytes are the last
    forged = f"-----BEGIN SSH SIGNATURE-----\n{base64.b64encode(raw).decode()}\n-----END SSH SIGNATURE-----\n"
    with pytest.raises(SignatureRefused) as refused:
        verify(TEXT, forged, there, NAMESPACE, HOST)
    assert refused.value.code == "other"


# --- who may ------------------------------------------------------------------------------------------


def test_a_file_that_others_may_write_says_nothing(room: Path, ana: Path) -> None:
    """Nor one of somebody else's, nor one that lies where others may write."""
    mine = room / "trusted"
    mine.mkdir(mode=0o755)
    path = signers(mine / "signers", {"ana@x": ana})
    assert "ana@x" in trusted_signers(path), "the twin"
    path.chmod(0o664)
    with pytest.raises(UsageProblem, match="can be written by others than root"):
        trusted_signers(path)
    path.chmod(0o644)
    mine.chmod(0o777)
    with pytest.raises(UsageProblem, match="can be written by others than root"):
        trusted_signers(path)
    mine.chmod(0o755)
    os.chown(path, 65534, -1)
    with pytest.raises(UsageProblem, match="is not root's"):
        trusted_signers(path)
    os.chown(path, 0, -1)
    os.chown(mine, 65534, -1)
    with pytest.raises(UsageProblem, match="is not root's"):
        trusted_signers(path)
    os.chown(mine, 0, -1)
    assert "ana@x" in trusted_signers(path)


def test_a_link_leads_no_further_than_root_has_written(room: Path, ana: Path) -> None:
    theirs, ours = room / "theirs", room / "ours"
    theirs.mkdir()
    ours.mkdir()
    (ours / "link").symlink_to(signers(theirs / "signers", {"ana@x": ana}))
    assert "ana@x" in trusted_signers(ours / "link"), "the twin"
    os.chown(theirs, 65534, -1)
    with pytest.raises(UsageProblem, match="is not root's"):
        trusted_signers(ours / "link")


@pytest.mark.parametrize("what", ["nothing", "directory", "too large", "no text", "loop"])
def test_what_is_no_file_of_signers_is_told(room: Path, what: str) -> None:
    path = room / what.replace(" ", "")
    if what == "directory":
        path.mkdir()
    elif what == "too large":
        path.write_bytes(b"#" * (2 << 20))
    elif what == "no text":
        path.write_bytes(b"\xff\xfe")
    elif what == "loop":
        path.symlink_to(path)
    with pytest.raises(UsageProblem) as refused:
        trusted_signers(path)
    assert refused.value.hint


# --- signing ------------------------------------------------------------------------------------------


def test_a_key_that_cannot_sign_here_says_how_it_can(room: Path) -> None:
    with pytest.raises(UsageProblem) as refused:
        sign(TEXT, room / "nobody", NAMESPACE, HOST)
    assert "ssh-agent" in str(refused.value.hint)


def test_where_there_is_no_ssh_keygen_it_is_said(ana: Path, known: str) -> None:
    empty = HOST.with_(env={"PATH": "/nonexistent"})
    with pytest.raises(UsageProblem, match="ssh-keygen is not installed"):
        sign(TEXT, ana, NAMESPACE, empty)
    with pytest.raises(UsageProblem, match="ssh-keygen is not installed"):
        verify(TEXT, signed(TEXT, ana), known, NAMESPACE, empty)
