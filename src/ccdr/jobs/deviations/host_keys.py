"""The keys that this host itself signs by: who writes the ledger here could use them, so that they approve nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from ccdr.host.signatures import SignatureRefused, Signer

OF_SSHD = Path("/etc/ssh")


def refuse_own(signer: Signer) -> None:
    """SignatureRefused where it is one of the host's own."""
    if signer.key in set(_fingerprints()):
        raise SignatureRefused(
            "host",
            f"{signer} is a key of this host's own: whoever administers the host could sign by it",
            hint="have a person sign it, by a key of their own",
        )


def _fingerprints() -> Iterator[str]:
    """As `ssh-keygen -l` shows them."""
    try:
        for path in sorted(OF_SSHD.glob("ssh_host_*_key.pub")):
            words = path.read_text("utf-8", "replace").split()
            if len(words) > 1:
                blob = base64.b64decode(words[1], validate=True)
                yield "SHA256:" + base64.b64encode(sha256(blob).digest()).decode().rstrip("=")
    except (OSError, binascii.Error, ValueError):
        return
