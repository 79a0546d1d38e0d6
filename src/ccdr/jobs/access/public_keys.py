"""A public key within a line of OpenSSH's: of authorized_keys, or of allowed_signers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from hashlib import sha256

_TYPES = ("ssh-", "ecdsa-", "sk-")


def key_in(words: Sequence[str]) -> tuple[int, str] | None:
    """Where its type stands among these words, and its fingerprint as OpenSSH prints it; None where there is none."""
    at = next((number for number, word in enumerate(words) if word.startswith(_TYPES)), None)
    if at is None:
        return None
    try:
        blob = base64.b64decode(words[at + 1], validate=True)
    except (ValueError, IndexError):
        return None
    return at, f"SHA256:{base64.b64encode(sha256(blob).digest()).decode().rstrip('=')}"
