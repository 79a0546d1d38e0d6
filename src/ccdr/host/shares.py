"""Work dealt out so that all who do it finish at about the same time."""

from __future__ import annotations

import os
from collections.abc import Mapping

WORKERS = min(4, os.cpu_count() or 1)  # that read and compute; more wait for each other


def dealt(sizes: Mapping[str, int], count: int) -> list[list[str]]:
    """Names in at most `count` shares, the largest first, each to whoever has least; no share is empty. `sizes` in
    whatever unit the work grows with."""
    shares: list[tuple[int, list[str]]] = [(0, []) for _ in range(count)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        least = min(range(count), key=lambda n: shares[n][0])
        held, names = shares[least]
        names.append(name)
        shares[least] = held + max(sizes[name], 1), names
    return [names for _, names in shares if names]
