"""What people write for a record, kept apart from it: the line holds a salted digest alone.

So that it can be taken back without breaking the chain: once its file is gone, nobody can find the words by guessing,
since the salt went with them.
"""

from __future__ import annotations

import re
import secrets
from hashlib import sha256
from pathlib import Path

from ccdr.host.state import State
from ccdr.host.state_files import StateDamaged, StateFile, read_state, write_state

_DIGEST = re.compile(r"[0-9a-f]{64}")


# What is told instead of words that are not there, or not as they were said. Somebody took them back, or the state
# directory that held them was lost: it cannot be told which.
GONE = "(not kept here any more)"
CHANGED = "(changed since they were recorded: they do not fit their digest)"


class Payload(StateFile, frozen=True):
    """What somebody wrote, and the salt of its digest."""

    salt: str
    text: str


def keep_payload(state: State, text: str) -> str:
    """Keep it in STATE/payloads, mode 0600; the digest by which a record knows it. CcdrError where the disk refuses."""
    salt = secrets.token_hex(16)
    digest = _digest(salt, text)
    write_state(_path(state, digest), Payload(salt=salt, text=text))
    return digest


def payload(state: State, digest: str | None) -> str | None:
    """The words; None where they were taken back, CHANGED where they are not those that were recorded: to take them
    back is lawful, to alter them is not."""
    if digest is None or not _DIGEST.fullmatch(digest):
        return None
    try:
        kept = read_state(_path(state, digest), Payload)
    except StateDamaged:
        return CHANGED
    if kept is None:
        return None
    return kept.text if _digest(kept.salt, kept.text) == digest else CHANGED


def _digest(salt: str, text: str) -> str:
    return sha256(f"{salt}\n{text}".encode("utf-8", "surrogateescape")).hexdigest()


def _path(state: State, digest: str) -> Path:
    return state.root / "payloads" / f"{digest}.json"
