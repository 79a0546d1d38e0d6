"""Anchors: what somebody else than the host holds of a checkpoint. One that a verifier had from elsewhere, or that
another's key signed, is independent: root on the host cannot have made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.checkpoints.checkpoint import Checkpoint

OBJECT_LOCK = "object_lock"  # a locked object version in a bucket
RFC3161 = "rfc3161"  # a time-stamping authority's token
TOLD = "told"  # the head, by mail or chat
GIVEN = "given"  # whoever verifies had it from elsewhere


@dataclass(frozen=True)
class Anchor:
    """That this checkpoint was known elsewhere, at the time `at` by that one's clock (None: it does not tell).
    `where` is what it is called for people."""

    kind: str
    where: str
    checkpoint: Checkpoint
    at: datetime | None
    independent: bool

    def __str__(self) -> str:
        return f"{self.where} ({self.kind})"
