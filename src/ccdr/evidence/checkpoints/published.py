"""What an evidence bucket holds of one ledger, as it was read last: its checkpoints, which are anchors to whoever reads
the bucket without the host, and what there must not be: a version over another, a marker, a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ccdr.evidence.checkpoints.checkpoint import OBJECT_LOCK, Anchor, read_checkpoint
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.model.instant import Instant


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The oldest version of its key. `at` is when the store took it, by the store's clock; `locked`: it was locked in
    mode COMPLIANCE, so that nobody could put another in its place."""

    key: str
    version: str
    at: Instant
    locked: bool
    note: str

    def __post_init__(self) -> None:
        """ValueError where it is no checkpoint."""
        read_checkpoint(self.note.encode())

    def anchor(self, where: str) -> Anchor:
        return Anchor(OBJECT_LOCK, where, read_checkpoint(self.note.encode()), self.at, independent=self.locked)


@dataclass(frozen=True)
class Published:
    """Of one ledger in the bucket `url`. `read` are versions of segments whose lines were taken."""

    url: str
    checkpoints: tuple[PublishedCheckpoint, ...] = ()
    read: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()

    @cached_property
    def known(self) -> Mapping[tuple[str, str], PublishedCheckpoint]:
        return {(one.key, one.version): one for one in self.checkpoints}

    @property
    def anchors(self) -> list[Anchor]:
        return [one.anchor(self.url) for one in self.checkpoints]
