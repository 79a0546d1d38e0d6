"""Where the branches of a log left each other, and how a tag has it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ccdr.model.instant import Instant
from ccdr.model.values import rfc3339, utc


@dataclass(frozen=True)
class Fork:
    """Where a branch of a log (PostgreSQL: a timeline) left its `parent`, and when by the source's clock; None where
    nothing tells."""

    branch: int
    parent: int
    position: str
    at: Instant | None = None


def written(forks: Iterable[Fork]) -> str:
    """In one word without a comma, for a tag."""
    return "+".join(
        f"{f.branch}={f.parent}@{f.position}" + (f"@{rfc3339(f.at)}" if f.at is not None else "") for f in forks
    )


def read(text: str) -> tuple[Fork, ...]:
    """As `written`; ValueError where it is none."""
    forks = []
    for word in filter(None, text.split("+")):
        branch, _, rest = word.partition("=")
        parent, position, *at = rest.split("@")
        forks.append(Fork(int(branch), int(parent), position, utc(at[0]) if at else None))
    return tuple(forks)
