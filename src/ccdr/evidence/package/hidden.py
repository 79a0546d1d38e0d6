"""The tree over a ledger of which some lines are left out: in `tree.jsonl`, stretch by stretch, either the numbers of
lines that lie in `lines.jsonl`, or hashes of perfect subtrees that stand for the lines that do not."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ccdr.evidence.checkpoints.merkle import HASH, leaf_hash, node_hash
from ccdr.evidence.checkpoints.notes import decoded_base64
from ccdr.evidence.checkpoints.walk import Leaf

LINES, TREE = "lines.jsonl", "tree.jsonl"
MOST = 1 << 40  # lines of a ledger
_NODES = 256  # of one stretch: two for each bit of its ends would do


@dataclass
class Stretches:
    """Give it every line in order, kept or hidden; `cut` where a checkpoint ends; then `close`. Yields the lines of
    `tree.jsonl`. Memory does not grow with the ledger."""

    size: int = 0
    kept: int = 0
    _first: int = 0  # of the stretch that is open
    _hidden: bool = False
    _nodes: list[tuple[int, bytes]] = field(default_factory=list)

    def keep(self) -> Iterator[bytes]:
        yield from self._begin(hidden=False)
        self.size, self.kept = self.size + 1, self.kept + 1

    def hide(self, digest: bytes) -> Iterator[bytes]:
        yield from self._begin(hidden=True)
        self.size += 1
        height, end = 0, self.size
        while self._nodes and self._nodes[-1][0] == height and end % (2 << height) == 0:
            digest, height = node_hash(self._nodes.pop()[1], digest), height + 1
        self._nodes.append((height, digest))

    def cut(self) -> Iterator[bytes]:
        """A checkpoint is of so many lines: its root can be told only where no subtree goes on beyond."""
        if self._hidden:
            yield from self.close()

    def close(self) -> Iterator[bytes]:
        if self._first:
            stretch = [self._first, self.size]
            if self._hidden:
                nodes = [[height, base64.b64encode(one).decode()] for height, one in self._nodes]
                yield json.dumps({"hashes": stretch, "nodes": nodes}).encode() + b"\n"
            else:
                yield json.dumps({"lines": stretch}).encode() + b"\n"
        self._first, self._nodes = 0, []

    def _begin(self, *, hidden: bool) -> Iterator[bytes]:
        if self._first and self._hidden is not hidden:
            yield from self.close()
        if not self._first:
            self._first, self._hidden = self.size + 1, hidden


def leaves_of(tree: Iterable[bytes], lines: Iterator[bytes]) -> Iterator[Leaf]:
    """What `check` walks, in order. ValueError where the two do not make one tree."""
    at = 0
    for number, text in enumerate(tree, start=1):
        try:
            stretch = json.loads(text)
            shown = "lines" in stretch
            first, last = map(int, stretch["lines" if shown else "hashes"])
            nodes = [] if shown else [(int(height), decoded_base64(one)) for height, one in stretch["nodes"]]
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            raise ValueError(f"line {number} is no stretch of a tree") from None
        if first != at + 1 or not first <= last <= MOST or len(nodes) > _NODES:
            raise ValueError(f"line {number} does not follow on from record {at}")
        if any(len(one) != HASH or not 0 <= height < 40 for height, one in nodes):
            raise ValueError(f"line {number} has a hash that is none")
        if not shown and sum(1 << height for height, _ in nodes) != last - at:
            raise ValueError(f"line {number} has other subtrees than for records {first} to {last}")
        for height, one in nodes:
            if at % (1 << height):
                raise ValueError(f"line {number} has a subtree that does not begin at record {at + 1}")
            at += 1 << height
            yield height, one, None
        for _ in range(last - at) if shown else ():
            line = next(lines, None)
            if line is None:
                raise ValueError(f"it tells of lines up to {last}, and {LINES} ends before")
            at += 1
            yield 0, leaf_hash(line), line
    if next(lines, None) is not None:
        raise ValueError(f"{LINES} has more lines than it tells of")
