"""What a restored server would do to others, or to its own data, by itself: who keeps it from that, and how it is
switched on again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Silenced:
    """`what` stands still, by a setting or for want of one; `on` is the line that switches it on."""

    what: str
    on: str


def told(silenced: Iterable[Silenced]) -> list[str]:
    """As notes."""
    return [f"silenced: {one.what}. To switch it on: `{one.on}`" for one in silenced]
