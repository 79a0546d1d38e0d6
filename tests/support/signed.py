"""Keys of OpenSSH's, who may sign by them, and what a security key signs, without one: by the same bytes."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256, sha512
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PRESENT, VERIFIED = 0x01, 0x04
NAMESPACE = "ccdr-approval"


def key(directory: Path, name: str) -> Path:
    """A new key without a passphrase; NAME.pub lies beside it."""
    path = directory / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


def signers(path: Path, keys: dict[str, Path | str], *, options: str = "") -> Path:
    """A file of who may sign, by name: root's, and writable by nobody else."""
    lines = []
    for name, of in keys.items():
        public = of if isinstance(of, str) else of.with_name(f"{of.name}.pub").read_text().rsplit(" ", 1)[0]
        lines.append(" ".join(filter(None, (name, options, public.strip()))))
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o644)
    return path


def signed(text: str, by: Path, namespace: str = NAMESPACE) -> str:
    argv = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(by)]
    return subprocess.run(argv, input=text, capture_output=True, text=True, check=True).stdout


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


@dataclass
class SecurityKey:
    """A FIDO2 key (`ed25519-sk`) as OpenSSH knows it: it signs with flags that say whether somebody touched it, and
    whether it knew them."""

    application: str = "ssh:"
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def _blob(self) -> bytes:
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        kind, application = b"sk-ssh-ed25519@openssh.com", self.application.encode()
        return _string(kind) + _string(raw) + _string(application)

    @property
    def public(self) -> str:
        """As allowed_signers has it."""
        return f"sk-ssh-ed25519@openssh.com {base64.b64encode(self._blob).decode()}"

    def signed(self, text: str, *, flags: int = PRESENT | VERIFIED, namespace: str = NAMESPACE) -> str:
        of = b"SSHSIG" + _string(namespace.encode()) + _string(b"") + _string(b"sha512")
        of += _string(sha512(text.encode()).digest())
        said = bytes([flags]) + (7).to_bytes(4)
        made = self.private.sign(sha256(self.application.encode()).digest() + said + sha256(of).digest())
        signature = _string(b"sk-ssh-ed25519@openssh.com") + _string(made) + said
        whole = b"SSHSIG" + (1).to_bytes(4) + _string(self._blob) + _string(namespace.encode()) + _string(b"")
        whole += _string(b"sha512") + _string(signature)
        encoded = base64.b64encode(whole).decode()
        lines = [encoded[n : n + 70] for n in range(0, len(encoded), 70)]
        return "\n".join(("-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----")) + "\n"
