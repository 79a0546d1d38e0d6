"""Are the lines of a ledger what its checkpoints, and their anchors, say; and up to where would a change have shown?
One walk over the lines; findings as values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Annotated

from msgspec import Struct, to_builtins

from ccdr.evidence.checkpoints.checkpoint import GIVEN, Anchor, Checkpoint, Tree, leaf_hash
from ccdr.evidence.checkpoints.keys import KeyRecord, Pin, in_force, keys_in, trusted
from ccdr.evidence.ledger.ledger import line_as_record
from ccdr.evidence.records import LedgerKey, Unread
from ccdr.model.kinds import about
from ccdr.model.values import rfc3339, so_many, utc

# What a verification by checkpoints and anchors comes to, as values: findings, the boundary, all of it.


class Finding(Struct, frozen=True):
    """Something that cannot be so unless somebody changed the record, or speaks for it who must not."""

    code: Annotated[str, about("stable")]
    text: str
    record: Annotated[int | None, about("the number of the record, or how many records it is about")] = None

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
            "findings": to_builtins(self.findings),
            "not_judged": list(self.unproven),
            "checkpoints": len(self.held),
            "pinned": self.pinned,
            "boundary": self.boundary and self.boundary.as_json(),
            "keys": [{"key": str(one.key), "from_record": one.seq} for one in self.keys],
        }


# One walk over a ledger's lines: the tree's root where a checkpoint or an anchor asks for it, and what clocks say.

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
    key_records: Sequence[LedgerKey | Unread] = ()
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


# What comes of it depends on what the verifier had from elsewhere: pinned keys, and anchors. Without them all that
# can be said is that it is internally consistent.

END_OF_A_DAY = time(23, 59, 59)
NOT_PINNED = "KEY_NOT_PINNED"  # the right key by the ledger's own records, and no pin vouches for it


def check(asked: Asked, tree_of: Iterable[Leaf]) -> Checked:
    """Walk the lines once, and hold the tree over them to each checkpoint and anchor."""
    keys, wrong = keys_in(asked.key_records, asked.ledger)
    found = [Finding("KEY_RECORD_WRONG", f"record {seq} names no key that this ledger can have", seq) for seq in wrong]
    found += asked.findings
    found += [Finding("CHECKPOINT_UNREADABLE", f"checkpoint {text}") for text in asked.unreadable]
    walk = Walk(asked)
    walk.over(tree_of)
    found += _of_keys(keys, asked.pins)
    vouched = trusted(keys, asked.pins)
    held = []
    for checkpoint in asked.checkpoints:
        wrong_of = list(_wrong(checkpoint, asked, walk, keys, vouched))
        found += wrong_of
        if not wrong_of:
            held.append(checkpoint.size)
    unproven, fitting, notes = list[str](), list[Anchor](), [*asked.notes]
    for anchor in asked.anchors:
        if anchor.checkpoint.origin != asked.origin:
            notes.append(f"{anchor} is of another ledger, {anchor.checkpoint.origin}: it says nothing of this one")
            continue
        if anchor.checkpoint.size < walk.tree.size and anchor.checkpoint.size not in walk.roots:
            notes.append(f"{anchor} is of {anchor.checkpoint.size} records, which lie among those that are hashes here")
            continue
        if asked.made is not None and anchor.at is not None and anchor.at > asked.made and not walk.reaches(anchor):
            here = f"{anchor} knows {anchor.checkpoint.size} records, {walk.tree.size} are here"
            notes.append(f"{here}: it is from after this copy was made")
            continue
        problem, open_ = _of_anchor(anchor, asked, walk, keys, vouched)
        found += [problem] if problem else []
        unproven += [open_] if open_ else []
        if problem is None and open_ is None:
            fitting.append(anchor)
    found += walk.by_clocks(fitting)
    independent = [one for one in fitting if one.independent and _vouched_for(one.checkpoint, vouched)]
    best = max(independent, key=lambda one: one.checkpoint.size, default=None)
    timed = [one for one in independent if one.at is not None]
    first = min(timed, key=lambda one: (one.at, one.checkpoint.size), default=None)
    size = 0 if best is None else best.checkpoint.size
    boundary = None if best is None else Boundary(size, walk.times.get(size), best, first)
    newest = max(held, default=None)
    pinned = any(c.size == newest and _vouched_for(c, vouched) for c in asked.checkpoints)
    return Checked(
        ledger=asked.ledger,
        records=walk.tree.size,
        held=tuple(held),
        findings=tuple(_first_of_each(found)),
        unproven=tuple(unproven),
        boundary=boundary,
        keys=tuple(keys),
        pinned=pinned,
        notes=tuple(notes),
        brought=bool(asked.pins),
    )


def _first_of_each(found: Sequence[Finding]) -> Iterator[Finding]:
    """One change contradicts all checkpoints after it: the first one tells where to look."""
    by_code = dict[str, list[Finding]]()
    for one in dict.fromkeys(found):
        by_code.setdefault(one.code, []).append(one)
    for code, several in by_code.items():
        first, more = several[0], len(several) - 1
        yield Finding(code, f"{first.text}; and {more} more like this", first.record) if more else first


def _vouched_for(checkpoint: Checkpoint, vouched: Sequence[KeyRecord]) -> bool:
    return any(checkpoint.note.signed_by(one.key) for one in vouched)


def _of_keys(keys: Sequence[KeyRecord], pins: Sequence[Pin]) -> Iterator[Finding]:
    """Each key but the first must have been handed over to by the one before it, or be pinned itself."""
    for before, one in zip([None, *keys], keys, strict=False):
        pinned = any(pin.is_of(one.key) for pin in pins)
        if not one.proven:
            yield Finding("KEY_RECORD_WRONG", f"record {one.seq}: the key {one.key.id} did not sign it", one.seq)
        elif before is not None and not pinned and not (one.handed_over and one.replaces == before.key):
            text = f"record {one.seq}: the key {one.key.id} signs from here on, and {before.key.id} did not hand over"
            yield Finding("KEY_NOT_HANDED_OVER", text, one.seq)


def _wrong(
    checkpoint: Checkpoint, asked: Asked, walk: Walk, keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> Iterator[Finding]:
    size = checkpoint.size
    if checkpoint.origin != asked.origin:
        yield Finding("CHECKPOINT_OF_ANOTHER", f"the checkpoint of {size} records is of {checkpoint.origin}", size)
        return
    yield from _by_key(f"the checkpoint of {size} records", checkpoint, asked.pins, keys, vouched)
    if size > walk.tree.size:
        text = f"the checkpoint of {size} records knows more than the {walk.tree.size} that are here: they were cut off"
        yield Finding("RECORDS_CUT_OFF", text, size)
    elif size not in walk.roots:
        yield Finding("CHECKPOINT_UNREACHED", f"the checkpoint of {size} records cannot be held to what is here", size)
    elif walk.roots[size] != checkpoint.root:
        text = f"records 1 to {size} are not those that the checkpoint of {size} records was made of: changed since"
        yield Finding("CHECKPOINT_CONTRADICTED", text, size)


def _by_key(
    what: str, checkpoint: Checkpoint, pins: Sequence[Pin], keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> Iterator[Finding]:
    """The one key that may have signed it: that of the newest record of a key up to there."""
    right = in_force(keys, checkpoint.size)
    if right is None:
        yield Finding("KEY_UNKNOWN", f"{what}: no record up to there names a key", checkpoint.size)
    elif not checkpoint.note.signed_by(right.key):
        names = ", ".join(one.hash.hex() for one in checkpoint.note.signatures)
        text = f"{what} is not signed by {right.key.id}, which signs by record {right.seq}; it says by {names}"
        yield Finding("KEY_UNKNOWN", text, checkpoint.size)
    elif pins and right not in vouched:
        text = f"{what} is signed by {right.key.id}, for which no pinned key vouches"
        yield Finding(NOT_PINNED, text, checkpoint.size)


def _of_anchor(
    anchor: Anchor, asked: Asked, walk: Walk, keys: Sequence[KeyRecord], vouched: Sequence[KeyRecord]
) -> tuple[Finding | None, str | None]:
    """What contradicts it; or why it says nothing here."""
    checkpoint, size = anchor.checkpoint, anchor.checkpoint.size
    if size > walk.tree.size:
        here = f"{anchor} knows {size} records, {walk.tree.size} are here"
        if asked.made is not None and anchor.at is None:
            return None, f"{here}: is it from after this copy was made? say when you had it, as --anchor FILE@TIME"
        text = f"{anchor} knows {size} records, and {walk.tree.size} are here: the others were cut off"
        return Finding("RECORDS_CUT_OFF", text, size), None
    if walk.roots[size] != checkpoint.root:
        text = f"records 1 to {size} are not those that {anchor} knows: another record was shown there"
        return Finding("FORK", text, size), None
    return next(iter(_by_key(str(anchor), checkpoint, asked.pins, keys, vouched)), None), None
