"""How many examples a property is tried on: the same ones each time in `make test`, many times as many in `make soak`."""

from __future__ import annotations

import os

TIMES = int(os.environ.get("CCDR_DRAWS", "1"))


def examples(count: int) -> int:
    return count * TIMES
