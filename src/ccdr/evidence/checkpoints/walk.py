"""One walk over a ledger's lines: the tree's root where a checkpoint or an anchor asks for it, and what clocks say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ccdr.evidence.checkpoints.anchors import GIVEN, Anchor
from ccdr.evidence.checkpoints.checkpoint import Checkpoint
from ccdr.evidence.checkpoints.found import Finding
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.merkle import Tree, leaf_hash
from ccdr.evidence.ledger.places import line_as_record
from ccdr.model.values import rfc3339, utc

CLOCKS_APART = timedelta(minutes=10)  # by which a host's clock may differ from an anchor's, or be set back
_TIME = b'"time":"'
_BEFORE_HOST = 112  # bytes of a line, at most, up to where `time` begins: behind `seq` and `prev`

Leaf = tuple[int, bytes, bytes | None]  # height, hash, and the line itself where that is known


def leaves(lines: Iterable[bytes]) -> Iterator[Leaf]:
    """Of a ledger that is whole."""
    return ((0, leaf_hash(line), line) for line in lines)


@dataclass
class Asked:
    """What one ledger is held to. `made` is when the copy of it that is verified was made; None: it is the live one."""

    ledger: str | None
    origin: str | None
    checkpoints: Sequence[Checkpoint]
    anchors: Sequence[Anchor] = ()
    pins: Sequence[Pin] = ()
    made: datetime | None = None
    unreadable: Sequence[str] = ()
    key_records: Sequence[Mapping[str, Any]] = ()
    findings: Sequence[Finding] = ()  # of the receipts of anchors
    notes: Sequence[str] = ()


@dataclass
class Walk:
    asked: Asked
    tree: Tree = field(default_factory=Tree)
    roots: dict[int, bytes] = field(default_factory=dict)
    times: dict[int, datetime] = field(default_factory=dict)  # of the records that end a checkpoint
    latest: dict[int, datetime] = field(default_factory=dict)  # the latest time up to there
    earliest: dict[int, tuple[datetime, int]] = field(default_factory=dict)  # … the earliest after it, and its number

    def over(self, tree_of: Iterable[Leaf]) -> None:
        """Times are compared as texts: all are written alike."""
        wanted = {one.size for one in self.asked.checkpoints} | {one.checkpoint.size for one in self.asked.anchors}
        tree, size = self.tree, 0
        latest, line = b"", None
        after: list[tuple[int, bytes]] = []  # by size of an anchor: the earliest time behind it
        earliest: dict[int, tuple[bytes, int]] = {}
        anchored = {one.checkpoint.size for one in self.asked.anchors}
        if 0 in wanted:
            self.roots[0] = tree.root()
        for height, digest, line in tree_of:
            tree.append(digest, height)
            size = tree.size
            if line is not None and anchored:
                time = time_in(line)
                latest = max(latest, time)
                if after and time < after[-1][1]:  # rare: a clock was set back
                    for number, at in after:
                        if b"" < time < at and time < earliest.get(number, (at, 0))[0]:
                            earliest[number] = time, size
            if size in wanted:
                self.roots[size] = tree.root()
                if line is not None and (at_ := _parsed(time_in(line))):
                    self.times[size] = at_
                if size in anchored and latest:
                    after.append((size, max(latest, after[-1][1]) if after else latest))
                    if (so_far := _parsed(latest)) is not None:
                        self.latest[size] = so_far
        for number, (text, record) in earliest.items():
            if (when := _parsed(text)) is not None:
                self.earliest[number] = when, record

    def reaches(self, anchor: Anchor) -> bool:
        """Are there as many records as it knows?"""
        return anchor.checkpoint.size <= self.tree.size

    def by_clocks(self, anchors: Sequence[Anchor]) -> Iterator[Finding]:
        """Times that cannot be, by what was anchored: later than the anchor's own clock, or behind what it held."""
        for anchor in anchors:
            size = anchor.checkpoint.size
            latest = self.latest.get(size)
            by_its_clock = anchor.kind != GIVEN  # when a person had it is no clock's word
            if by_its_clock and latest and anchor.at and latest > anchor.at + CLOCKS_APART:
                text = f"a record up to {size} says {rfc3339(latest)}, and {anchor} held it at {rfc3339(anchor.at)}"
                yield Finding("CLOCK_AHEAD", text, size)
            if latest and size in self.earliest and self.earliest[size][0] < latest - CLOCKS_APART:
                when, record = self.earliest[size]
                text = f"record {record} says {rfc3339(when)}, and was written after those that {anchor} held, up to"
                yield Finding("BACKDATED", f"{text} {rfc3339(latest)}", record)


def time_in(line: bytes) -> bytes:
    """Its time as text, in its place or, as no ccdr writes it, in another; empty where it is no record."""
    at = line.find(_TIME, 0, _BEFORE_HOST)
    if at > 0:
        return line[at + len(_TIME) : line.find(b'"', at + len(_TIME), at + 64)]
    try:
        return str(line_as_record(line)["time"]).encode()
    except ValueError:
        return b""


def _parsed(text: bytes) -> datetime | None:
    try:
        return utc(text.decode("ascii"))
    except (ValueError, OverflowError):
        return None
