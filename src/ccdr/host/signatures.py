"""Signatures by OpenSSH's `ssh-keygen -Y`: who has signed what, by which key or certificate, and whether a second
factor was there.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from ccdr.host.processes import Host
from ccdr.model.errors import CommandFailed, UsageProblem

_TYPES = ("ssh-", "ecdsa-", "sk-")


def key_in(words: Sequence[str]) -> tuple[int, str] | None:
    """Of a line of authorized_keys, or of allowed_signers: where its key's type stands among these words, and the
    fingerprint as OpenSSH prints it; None where there is no key."""
    at = next((number for number, word in enumerate(words) if word.startswith(_TYPES)), None)
    if at is None:
        return None
    try:
        blob = base64.b64decode(words[at + 1], validate=True)
    except (ValueError, IndexError):
        return None
    return at, f"SHA256:{base64.b64encode(sha256(blob).digest()).decode().rstrip('=')}"


# An OpenSSH certificate (PROTOCOL.certkeys): whose key it is, and for which names. Nothing of it is verified here.

_OF = "-cert-v01@openssh.com"
_FIELDS = {  # of the public key
    "ssh-ed25519": 1,
    "ssh-rsa": 2,
    "ecdsa-sha2-nistp256": 2,
    "ecdsa-sha2-nistp384": 2,
    "ecdsa-sha2-nistp521": 2,
    "sk-ssh-ed25519": 2,
    "sk-ecdsa-sha2-nistp256": 3,
}


def certified(blob: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The public key itself, and the names that its certificate is for; of what is no certificate that blob, and none.
    ValueError where it is cut off."""
    kind, rest = _text(blob)
    name = kind.decode("ascii", "replace")
    fields = _FIELDS.get(name.removesuffix(_OF)) if name.endswith(_OF) else None
    if fields is None:
        return blob, ()
    _nonce, rest = _text(rest)
    plain = name.removesuffix(_OF) + ("@openssh.com" if name.startswith("sk-") else "")
    key = [plain.encode()]
    for _ in range(fields):
        one, rest = _text(rest)
        key.append(one)
    _id, rest = _text(rest[12:])  # behind a serial number and a type
    names, found = _text(rest)[0], list[str]()
    while names:
        one, names = _text(names)
        found.append(one.decode("utf-8", "replace"))
    return b"".join(struct.pack(">I", len(one)) + one for one in key), tuple(found)


def _text(data: bytes) -> tuple[bytes, bytes]:
    """The first one of SSH's wire format (RFC 4251, section 5), and what is behind it."""
    if len(data) < 4 or len(data) < 4 + (length := int.from_bytes(data[:4])):
        raise ValueError("it is cut off")
    return data[4 : 4 + length], data[4 + length :]


# Who may sign stands in a file of OpenSSH's own format (`allowed_signers`, ssh-keygen(1)), in which only root may
# have written: else whoever asks for an approval could add a key to it. Whether the signature is one, for this text,
# for this purpose (the namespace) and by a key that is there for it, ssh-keygen says. What a security key's signature
# says of its user is read here: the flags are a part of what it has signed (PROTOCOL.u2f).

PAGE = "docs/how-to/approve.md"
LARGEST = 1 << 20  # bytes of a file of signers, or of a text
LARGEST_SIGNATURE = 16_384  # an RSA key's, of 16384 bits, is a third of it

_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_VERIFIED = 0x04  # a flag of FIDO2's authenticators: the person was verified
_OF_SECURITY_KEYS = ("sk-", "webauthn-sk-")
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")
_PATTERN = re.compile(r"[*?!]")  # in a file of signers: what stands for several names
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}")  # of a person: neither a pattern nor what a terminal obeys


class SignatureRefused(UsageProblem):
    """It is none, or not by who may sign. `code` says which, for records."""

    def __init__(self, code: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.code = code


@dataclass(frozen=True)
class Signer:
    """Who has signed: the name by which the file of signers has the key, and its fingerprint as `ssh-keygen -l` shows
    it. `user_verified` is None where the key is no security key, else whether it says that it knew its user (a PIN, a
    finger): with what it is, a second factor."""

    name: str
    key: str
    user_verified: bool | None = None

    def __str__(self) -> str:
        how = {None: "", True: ", who was verified by a security key", False: ", by a security key"}
        return f"{self.name} (key {self.key}{how[self.user_verified]})"


# --- who may sign -------------------------------------------------------------------------------------------------


def trusted_signers(path: Path) -> str:
    """The text of the file of signers. UsageProblem where it is not there, or where anybody but root could have written
    it: the file, and each directory that leads to it, is to be root's and writable by nobody else."""
    try:
        real = path.resolve(strict=True)
        for place in dict.fromkeys((*reversed(path.absolute().parents), *reversed(real.parents))):
            _refuse_writable(place, path)
        with real.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UsageProblem(f"{path} is no file, expected one of OpenSSH's allowed_signers", hint=_HOW)
            _refuse(found, real, path)
            text = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise UsageProblem(f"{path} is not there: nobody may approve anything yet", hint=_HOW) from None
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "it leads to itself"
        raise UsageProblem(f"{path}, who may approve, cannot be read: {why}", hint=_HOW) from None
    if len(text) > LARGEST:
        raise UsageProblem(f"{path} has more than {LARGEST} bytes, expected some lines of keys", hint=_HOW)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageProblem(f"{path} is no text, expected one of OpenSSH's allowed_signers", hint=_HOW) from None


_HOW = f"as root, make it mode 0644, one line a key (ssh-keygen(1), ALLOWED SIGNERS): {PAGE}, Who may approve"


def _refuse_writable(place: Path, asked: Path) -> None:
    found = place.stat()
    if found.st_mode & stat.S_ISVTX and found.st_uid == 0:
        return  # as /tmp: who is not root cannot replace there what is root's
    _refuse(found, place, asked)


def _refuse(found: os.stat_result, place: Path, asked: Path) -> None:
    whose = f"{place}, which leads to who may approve ({asked})," if place != asked else f"{place}, who may approve,"
    if found.st_uid != 0:
        raise UsageProblem(
            f"{whose} is not root's: whoever owns it could add a key of their own",
            hint=f"as root: chown root {place}; chmod go-w {place}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageProblem(
            f"{whose} can be written by others than root: any of them could add a key",
            hint=f"as root: chmod go-w {place}",
        )


# --- signing ------------------------------------------------------------------------------------------------------


def sign(text: str, key: Path, namespace: str, host: Host) -> str:
    """The signature, armoured. `key` is a private key's file, or the public one's of a key that ssh-agent holds.
    UsageProblem where it cannot be made: nobody can type a passphrase or a PIN here."""
    try:
        made = host.run(["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key)], stdin=text, what="ssh-keygen")
    except CommandFailed as error:
        if error.code == _NOT_INSTALLED:
            raise _lacking() from None
        raise UsageProblem(
            f"{key} signs nothing here: ssh-keygen ended with {error.code}",
            hint="a key with a passphrase, or a security key that asks for its PIN, signs by ssh-agent (name its "
            f".pub file), or in a terminal of yours: {PAGE}, Signed elsewhere",
            words=error.words,
        ) from None
    return made.stdout


# --- verifying ----------------------------------------------------------------------------------------------------


_ANSWERS: dict[tuple[object, ...], Signer | SignatureRefused] = {}  # what decides an answer is in its key


def verify_again(
    text: str, signature: str, signers: str, namespace: str, host: Host, *, at: datetime, claimed: str
) -> Signer:
    """As `verify`, of what was signed then, as it is claimed by this name; each is asked once in a process."""
    of = text, signature, signers, namespace, at, claimed
    if of not in _ANSWERS:
        try:
            _ANSWERS[of] = verify(text, signature, signers, namespace, host, at=at, claimed=claimed)
        except SignatureRefused as why:
            _ANSWERS[of] = why
    if isinstance(answer := _ANSWERS[of], SignatureRefused):
        raise answer
    return answer


def verify(
    text: str,
    signature: str,
    signers: str,
    namespace: str,
    host: Host,
    *,
    at: datetime | None = None,
    claimed: str | None = None,
) -> Signer:
    """Who has signed this text for this purpose. `signers` is the text of the file (`trusted_signers`), `at` when the
    key must have been valid; now unless said. Of several names of one key it is `claimed`, where that is one of them,
    else the first. SignatureRefused where nobody did who is there for it."""
    flags = flags_of(signature, namespace)
    with tempfile.TemporaryDirectory(prefix="ccdr-") as place:
        known, armour = Path(place) / "allowed_signers", Path(place) / "signature"
        known.write_text(signers, "utf-8")
        armour.write_text(signature, "utf-8")
        files = ["-f", str(known), "-s", str(armour)]
        when = [] if at is None else ["-O", f"verify-time={at.astimezone(UTC):%Y%m%d%H%M%S}Z"]

        def by(name: str) -> Signer | None:
            said = _asked(["-Y", "verify", "-n", namespace, "-I", name, *when, *files], host, text)
            found = _FINGERPRINT.findall(said or "")
            return Signer(name, found[-1], None if flags is None else bool(flags & _VERIFIED)) if found else None

        # Half as long, where the file has no patterns, which would be anybody's.
        literal = claimed is not None and not _PATTERN.search(signers) and claimed in names_of(signature, signers)
        if literal and (signer := by(str(claimed))) is not None:
            return signer
        listed = _asked(["-Y", "find-principals", *when, *files], host)
        names = [name for line in (listed or "").splitlines() for name in line.split(",")]
        for name in sorted(
            (one for one in dict.fromkeys(names) if _NAME.fullmatch(one)), key=lambda one: one != claimed
        ):
            if (signer := by(name)) is not None:
                return signer
    if listed is None:
        raise SignatureRefused("nobody", "it was signed by a key that is not among those who may approve", hint=_ADD)
    if not any(_NAME.fullmatch(name) for name in names):
        raise SignatureRefused("nameless", "its key stands there for a pattern, and for no one person", hint=_ADD)
    raise SignatureRefused(
        "other",
        "its signature is not of this text, or its key may not approve",
        hint=f"sign exactly the text that was written, for {namespace}: {PAGE}, Signed elsewhere",
    )


_ADD = f"who may approve stands in allowed_signers, one name and key a line: {PAGE}, Who may approve"
_NOT_INSTALLED = 127


def _asked(words: Sequence[str], host: Host, stdin: str | None = None) -> str | None:
    """What ssh-keygen says; None where it says no. UsageProblem where there is none."""
    try:
        return host.run(["ssh-keygen", *words], stdin=stdin, what="ssh-keygen").stdout
    except CommandFailed as error:
        if error.code == _NOT_INSTALLED:
            raise _lacking() from None
        if error.stalled or error.code < 0:
            raise
        return None


def _lacking() -> UsageProblem:
    return UsageProblem(
        "ssh-keygen is not installed, by which approvals are signed and verified", hint="apt-get install openssh-client"
    )


def flags_of(signature: str, namespace: str) -> int | None:
    """What a security key says of its user, as a part of what it signed; None where it is no security key's.
    SignatureRefused where it is no signature, or one that was made for something else."""
    try:
        outer = _Reader(_dearmoured(signature))
        if outer.take(len(_MAGIC)) != _MAGIC or outer.number() != 1:
            raise _Cut
        outer.text()  # the public key
        made_for = outer.text()
        _reserved, _digest, made = outer.text(), outer.text(), outer.text()
        inner = _Reader(made)
        kind = inner.text()
        inner.text()
        flags = inner.take(1)[0] if kind.startswith(tuple(map(str.encode, _OF_SECURITY_KEYS))) else None
    except _Cut:
        raise SignatureRefused(
            "none", "this is no signature of OpenSSH's", hint=f"`ssh-keygen -Y sign -n {namespace}` makes one"
        ) from None
    if made_for != namespace.encode():
        raise SignatureRefused(
            "purpose",
            f"the signature was made for another purpose than {namespace}",
            hint=f"ssh-keygen -Y sign -n {namespace} -f KEY FILE",
        )
    return flags


def _dearmoured(signature: str) -> bytes:
    text = signature.strip()
    if len(text) > LARGEST_SIGNATURE or not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise _Cut
    try:
        return base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
    except (binascii.Error, ValueError):
        raise _Cut from None


def key_of(signature: str) -> str:
    """The public key that a signature says it is by, as a line of OpenSSH's has it: type and base64; of a certificate,
    the key that it is of. SignatureRefused where it is no signature."""
    blob, _ = _signed_by(signature)
    return f"{_Reader(blob).text().decode('ascii')} {base64.b64encode(blob).decode('ascii')}"


def _signed_by(signature: str) -> tuple[bytes, tuple[str, ...]]:
    """The key, and the names that its certificate is for."""
    try:
        outer = _Reader(_dearmoured(signature))
        outer.take(len(_MAGIC) + 4)
        blob, names = certified(outer.text())
        _Reader(blob).text().decode("ascii")
    except (_Cut, ValueError):
        raise SignatureRefused("none", "this is no signature of OpenSSH's") from None
    return blob, names


def names_of(signature: str, signers: str) -> tuple[str, ...]:
    """Every name by which the text of a file of signers has the key of this signature, on any of its lines, and each
    that its certificate is for: one person may be there by a mail address and by the names of accounts.
    SignatureRefused where it is no signature."""
    key, certified_for = key_of(signature), _signed_by(signature)[1]
    there = (line.split() for line in signers.splitlines() if not line.lstrip().startswith("#"))
    named = (words[0].strip('"').split(",") for words in there if key.split()[1] in words[1:])
    every = (name for names in (*named, certified_for) for name in names)
    return tuple(dict.fromkeys(name for name in every if _NAME.fullmatch(name)))


class _Cut(Exception):
    """It ends before it should, or is not what it should be."""


class _Reader:
    """SSH's wire format (RFC 4251, section 5)."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        if count > len(self._data):
            raise _Cut
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def number(self) -> int:
        return int.from_bytes(self.take(4))

    def text(self) -> bytes:
        return self.take(self.number())
