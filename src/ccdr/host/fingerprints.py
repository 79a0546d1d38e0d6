"""What a secret is known by, on paper: enough to tell the right file from another, and of no use to who finds it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

LENGTH = 8  # hex digits: one in four thousand million
SHORTEST = 16  # characters: of a shorter secret even this much would help to guess it
_LARGEST = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """`digits` are the first of the file's SHA-256, as `sha256sum FILE` prints it; else `why` there are none."""

    digits: str | None
    why: str | None = None

    def __str__(self) -> str:
        return self.digits or f"none: {self.why}"


def fingerprint(path: Path) -> Fingerprint:
    try:
        with path.open("rb") as file:
            contents = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return Fingerprint(None, "not there")
    except OSError:
        return Fingerprint(None, "cannot be read")
    if len(contents) > _LARGEST:
        return Fingerprint(None, "too long for a secret")
    if len(contents.strip()) < SHORTEST:
        return Fingerprint(None, "short, and could be guessed by it")
    return Fingerprint(sha256(contents).hexdigest()[:LENGTH])
