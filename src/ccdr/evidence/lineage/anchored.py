"""What a ledger says of itself of its key and of its anchors: which are configured, what became of that, and when each
last held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KEY = "ledger.key"
ANCHORS = "ledger.anchors"  # those that are configured, where that changed
ANCHORED = "ledger.anchored"  # a checkpoint, by one of them
OF_ANCHORING = (KEY, ANCHORS, ANCHORED)
_OF_A_KEY = ("seq", "time", "ledger", "key", "replaces", "signature", "signature_before")


@dataclass(frozen=True)
class ConfiguredAnchor:
    """One of anchors.yaml: how often it is to be made at most, in seconds, and a digest of what it leads to."""

    name: str
    kind: str
    where_sha256: str
    every: float


@dataclass(frozen=True)
class LastAnchored:
    """The newest checkpoint that an anchor holds, of `size` records: `at`, by its own clock where it tells. Record
    `seq` says so."""

    name: str
    kind: str
    size: int
    at: str
    seq: int
    where_sha256: str  # of what it led to then, as far as the record of the configuration tells; else empty


@dataclass(frozen=True)
class AnchorChange:
    """Record `seq`, of the time `at`, says that other anchors are configured. The names of those that are `gone`,
    that are made less often, and that lead elsewhere (or are of another kind): each of them is less evidence."""

    seq: int
    at: str
    gone: tuple[str, ...] = ()
    rarer: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def sentences(self) -> list[str]:
        return [
            *(f"the anchor {name} of the ledger is not configured any more" for name in self.gone),
            *(f"the anchor {name} of the ledger is made less often" for name in self.rarer),
            *(f"the anchor {name} of the ledger leads elsewhere" for name in self.elsewhere),
        ]


@dataclass(frozen=True)
class Anchoring:
    """`key`: the newest record of a key, as it stands. `configured`: since when (null: never was one), by record
    `configured_by`. `loosened`: the changes that left less, oldest first."""

    key: Mapping[str, Any] | None = None
    configured: tuple[ConfiguredAnchor, ...] = ()
    configured_since: str | None = None
    configured_by: int = 0
    last: Mapping[str, LastAnchored] = field(default_factory=dict)  # by name
    loosened: tuple[AnchorChange, ...] = ()

    def take(self, record: Mapping[str, Any]) -> Anchoring:
        """With one record more. KeyError, TypeError or ValueError where it is none of ours."""
        kind = record["kind"]
        if kind == KEY:
            return replace(self, key={name: record.get(name) for name in _OF_A_KEY})
        if kind == ANCHORS:
            return self._configured(record)
        name = str(record["name"])
        where = next((one.where_sha256 for one in self.configured if one.name == name), "")
        seq, size = int(record["seq"]), int(record["size"])
        return replace(
            self,
            last={**self.last, name: LastAnchored(name, str(record["anchor"]), size, str(record["at"]), seq, where)},
        )

    def _configured(self, record: Mapping[str, Any]) -> Anchoring:
        now = tuple(
            ConfiguredAnchor(str(one["name"]), str(one["kind"]), str(one["where_sha256"]), float(one["every"]))
            for one in record["anchors"]
        )
        seq, at = int(record["seq"]), str(record["time"])
        change = compared(self.configured, now, seq, at)
        return replace(
            self,
            configured=now,
            configured_since=at,
            configured_by=seq,
            loosened=(*self.loosened, change) if change.sentences else self.loosened,
        )


def compared(
    before: tuple[ConfiguredAnchor, ...], now: tuple[ConfiguredAnchor, ...], seq: int, at: str
) -> AnchorChange:
    """What is less of it now."""
    there = {one.name: one for one in now}
    stay = [(one, there[one.name]) for one in before if one.name in there]
    return AnchorChange(
        seq,
        at,
        tuple(one.name for one in before if one.name not in there),
        tuple(old.name for old, new in stay if new.every > old.every),
        tuple(old.name for old, new in stay if (new.kind, new.where_sha256) != (old.kind, old.where_sha256)),
    )
