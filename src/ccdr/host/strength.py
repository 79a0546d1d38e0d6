"""How hard a password is to guess. Pure; nothing here reads or keeps one."""

from __future__ import annotations

import math
from collections import Counter

GOOD_LENGTH = 20  # characters of a repository's; `head -c 32 /dev/urandom | base64` has 44
GOOD_BITS = 60.0  # of a repository's, which somebody who holds a copy may try for ever
SOME_BITS = 40.0  # of a source's, which a server counts the tries of


def bits(secret: str) -> float:
    """By how often each of its characters comes: never more than what it would be if all were drawn at random, and
    little for what repeats. It knows no dictionary."""
    counts, length = Counter(secret), len(secret)
    return -sum(n * math.log2(n / length) for n in counts.values()) if length else 0.0


def weak(secret: str, *, of_repository: bool) -> bool:
    """May it be guessed?"""
    if of_repository:
        return len(secret) < GOOD_LENGTH or bits(secret) < GOOD_BITS
    return bits(secret) < SOME_BITS
