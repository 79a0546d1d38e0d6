"""What a verification by checkpoints and anchors comes to, as values: findings, the boundary, all of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.checkpoints.anchors import Anchor
from ccdr.evidence.checkpoints.keys import KeyRecord
from ccdr.model.values import rfc3339, so_many


@dataclass(frozen=True)
class Finding:
    """Something that cannot be so unless somebody changed the record, or speaks for it who must not. `record`: the
    number of records that it is about; `code` is stable."""

    code: str
    text: str
    record: int | None = None

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "text": self.text, "record": self.record}

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Boundary:
    """Changes before record `record`, of the time `time`, would have been found, by this anchor, where they were made
    after it held that. `first` is the independent one that held the ledger first: what was written anew before it would
    not show, and whoever wrote all of it anew has none from before."""

    record: int
    time: datetime | None
    anchor: Anchor
    first: Anchor | None = None

    def as_json(self) -> dict[str, object]:
        anchored = self.anchor.at
        return {
            "record": self.record,
            "time": self.time and rfc3339(self.time),
            "anchor": str(self.anchor),
            "anchored": anchored and rfc3339(anchored),
            "first_record": self.first and self.first.checkpoint.size,
            "first_anchored": self.first and self.first.at and rfc3339(self.first.at),
        }

    def __str__(self) -> str:
        at = f", {rfc3339(self.time)}" if self.time else ""
        since = f" since {rfc3339(self.anchor.at)}" if self.anchor.at else ""
        text = f"changes before record {self.record}{at}, would have been found{since}, by {self.anchor}"
        if self.first is None or self.first.at is None or self.first.checkpoint.size == self.record:
            return text
        return f"{text}; before record {self.first.checkpoint.size} since {rfc3339(self.first.at)}, by the first one"


@dataclass(frozen=True)
class Checked:
    """What was found of one ledger. `boundary`: None where no independent anchor of a checkpoint that a pinned key
    signed fits. `held` are the sizes of the checkpoints that fit; `unproven`: sentences on what could not be judged."""

    ledger: str | None
    records: int
    held: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = ()
    unproven: tuple[str, ...] = ()
    boundary: Boundary | None = None
    keys: tuple[KeyRecord, ...] = ()
    pinned: bool = False  # the newest checkpoint that fits was signed by a key that a pin vouches for
    notes: tuple[str, ...] = ()  # what proves nothing to this verifier, and why
    brought: bool = False  # were there pins at all?

    @property
    def signed(self) -> bool:
        """Does a key sign this ledger, by its own records, or by what lies with it?"""
        return bool(self.keys or self.held or self.findings)

    @property
    def proven(self) -> bool:
        """By a pinned key and an independent anchor, up to its boundary."""
        return not self.findings and not self.unproven and self.boundary is not None

    def shows(self) -> list[str]:
        """Up to where a change would have shown, in sentences; and why not further."""
        if self.boundary is not None:
            rest = self.records - self.boundary.record
            after = f"; of the {so_many(rest, 'record')} after it this shows nothing" if rest else ""
            return [f"{self.boundary}{after}"]
        if not self.held:
            return ["none: no checkpoint lies with it: whoever could write to it may have written all of it anew"]
        newest = f"the newest checkpoint is of {so_many(max(self.held), 'record')}"
        if not self.brought:
            return [f"none: {newest}, and no key is pinned (--pin) that vouches for it, nor an anchor named (--anchor)"]
        return [
            f"none: {newest}, and no independent anchor (--anchor, --tsa) says so, too: who has the key may sign anew"
        ]

    def as_json(self) -> dict[str, object]:
        return {
            "findings": [one.as_json() for one in self.findings],
            "not_judged": list(self.unproven),
            "checkpoints": len(self.held),
            "pinned": self.pinned,
            "boundary": self.boundary and self.boundary.as_json(),
            "keys": [{"key": str(one.key), "from_record": one.seq} for one in self.keys],
        }
