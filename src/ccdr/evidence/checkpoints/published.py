"""What an evidence bucket holds of one ledger, as it was read last: its checkpoints, which are anchors to whoever reads
the bucket without the host, and what there must not be: a version over another, a marker, a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ccdr.evidence.checkpoints.anchors import OBJECT_LOCK, Anchor
from ccdr.evidence.checkpoints.checkpoint import read_checkpoint
from ccdr.evidence.checkpoints.found import Finding
from ccdr.model.values import rfc3339, utc


@dataclass(frozen=True)
class PublishedCheckpoint:
    """The oldest version of its key. `at` is when the store took it, by the store's clock; `locked`: it was locked in
    mode COMPLIANCE, so that nobody could put another in its place."""

    key: str
    version: str
    at: datetime
    locked: bool
    note: str

    def anchor(self, where: str) -> Anchor:
        """ValueError where it is no checkpoint."""
        return Anchor(OBJECT_LOCK, where, read_checkpoint(self.note.encode()), self.at, independent=self.locked)


@dataclass(frozen=True)
class Published:
    """Of one ledger in the bucket `url`. `read` are versions of segments whose lines were taken."""

    url: str
    checkpoints: tuple[PublishedCheckpoint, ...] = ()
    read: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    known: Mapping[tuple[str, str], PublishedCheckpoint] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "known", {(one.key, one.version): one for one in self.checkpoints})

    @property
    def anchors(self) -> list[Anchor]:
        return [one.anchor(self.url) for one in self.checkpoints]

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "checkpoints": [
                {"key": o.key, "version": o.version, "at": rfc3339(o.at), "locked": o.locked, "note": o.note}
                for o in self.checkpoints
            ],
            "read": sorted(self.read),
            "findings": [one.as_json() for one in self.findings],
        }

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Published:
        """ValueError, KeyError or TypeError where it is none."""
        checkpoints = tuple(
            PublishedCheckpoint(str(o["key"]), str(o["version"]), utc(o["at"]), o["locked"] is True, str(o["note"]))
            for o in body["checkpoints"]
        )
        for one in checkpoints:
            read_checkpoint(one.note.encode())
        findings = tuple(Finding(str(o["code"]), str(o["text"]), o["record"]) for o in body["findings"])
        return cls(str(body["url"]), checkpoints, frozenset(map(str, body["read"])), findings)
