"""The lines of one ledger in a package: all of them, or some with the hashes of the others, from which the tree over
all of them is had.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import HASH, decoded_base64, leaf_hash, node_hash
from ccdr.evidence.checkpoints.verification import Finding, Leaf, leaves
from ccdr.evidence.ledger.ledger import BEGINNING, LedgerProblem, extent_of, lines
from ccdr.evidence.ledger.verification import Begun, Verification, follow, reaches_back, verify
from ccdr.evidence.lineage.comparison import id_in, misnamed, read_id, reader
from ccdr.evidence.lineage.own_records import KEY
from ccdr.evidence.package.statements import Tests, readable_files_of
from ccdr.evidence.records import (
    LedgerAnchored,
    LedgerBegin,
    LedgerKey,
    LedgerRecovered,
    PlanVersion,
    Record,
    Unread,
    decode,
)
from ccdr.evidence.records.statements import LostRecords, StatementRecord
from ccdr.evidence.statements import SIGNATURE, signed_record
from ccdr.model.errors import LedgerBroken
from ccdr.plans.versions import digest_of

# The tree over a ledger of which some lines are left out: in `tree.jsonl`, stretch by stretch, either the numbers of
# lines that lie in `000000000001.jsonl`, or hashes of perfect subtrees that stand for the lines that do not.

LINES, TREE = f"{1:012}.jsonl", "tree.jsonl"
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
            told = {"lines": [first, last]} if shown else {"hashes": [first, last], "nodes": stretch["nodes"]}
            if text != json.dumps(told).encode() + b"\n":
                raise ValueError
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


_LOOKED_AT = (b'"kind":"restore_test.', b'"kind":"plan.version"', SIGNATURE)


@dataclass
class Shown:
    """One ledger as it lies in a package. `each` is given every record that is shown. After
    `verify_chain` and once `leaves` was walked to its end, all else is known."""

    ledger: str
    directory: Path
    each: Callable[[Record], None]
    ours: bool
    statements: dict[str, bytes] = field(default_factory=dict)  # payloads, by their files' names
    sign_offs: dict[str, str] = field(default_factory=dict)  # texts, by their files' names
    signed: list[StatementRecord] = field(default_factory=list)
    versions: dict[tuple[str, str], PlanVersion] = field(default_factory=dict)  # of plans, by plan and digest
    keys: list[LedgerKey | Unread] = field(default_factory=list)
    anchored: list[LedgerAnchored] = field(default_factory=list)  # records of anchors
    findings: list[Finding] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    spoilt: list[int] = field(default_factory=list)  # of a part: whole lines that were changed; no answer is shown
    named: str | None = None  # which ledger it is by its own records
    size: int = 0  # lines, shown or not
    shown: int = 0
    last: tuple[int, datetime] | None = None  # the number and the time of the last record that is shown
    to_the_end: bool = True  # nothing is hidden behind a line that is shown: the last one chains all of them
    _verification: Verification | None = None
    _tests: Tests = field(init=False)
    _begun: Begun = field(default_factory=dict)
    _times: list[datetime] = field(default_factory=list)
    _unknown: int = 0
    _head: str = ""

    def __post_init__(self) -> None:
        self._tests = Tests(self.ledger, self.ours)

    @property
    def whole(self) -> bool:
        return not (self.directory / TREE).exists()

    def verify_chain(self) -> None:
        """Of one that is whole; what is shown of another is verified as its leaves are walked, but for its keys, which
        are asked for before."""
        if not self.whole:
            self._keys_among_lines()
            return
        self._verification = verify(self.directory, self.each)
        if self._verification.last_time is not None:
            self.last = self._verification.records, self._verification.last_time
        self.problems += self._verification.problems
        try:
            self.named = id_in(self.directory)
            self.problems += misnamed(self.directory)
            for one in reader(self.directory).of_itself(BEGINNING):
                self._of_itself(one)
        except LedgerBroken:  # of which the problems tell
            self.named = read_id(self.directory)

    def _keys_among_lines(self) -> None:
        with (self.directory / LINES).open("rb") as shown:
            for line in shown:
                if b'"kind":"ledger.' in line:
                    with suppress(ValueError):  # told of when it is walked
                        self._of_itself(decode(line))

    def _of_itself(self, record: Record) -> None:
        if isinstance(record, LedgerKey) or (isinstance(record, Unread) and record.kind == KEY):
            self.keys.append(record)
        elif isinstance(record, LedgerAnchored):
            self.anchored.append(record)

    @property
    def verification(self) -> Verification:
        if self._verification is not None:
            return self._verification
        first, last = (min(self._times), max(self._times)) if self._times else (None, None)
        hidden = f"{self.size - self.shown} of its records are hashes only"
        notes, begun = (f"{hidden}: that none of them was asked for is not proven",), tuple(self._begun.values())
        return Verification(self.size, first, last, self._head, 0, tuple(self.problems), notes, begun, self._unknown)

    def leaves(self) -> Iterator[Leaf]:
        if self.whole:
            for leaf in leaves(lines(self.directory, extent_of(self.directory))):
                self.size = self.shown = self.size + 1
                if leaf[2] is not None and any(one in leaf[2] for one in _LOOKED_AT):
                    self._looked_at(leaf[2])
                yield leaf
        else:
            yield from self._partly()

    def _looked_at(self, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError:
            return  # the chain's verification tells of it
        self._take(line, record, sha256(line).hexdigest())

    def _take(self, line: bytes, record: Record, digest: str) -> None:
        if (signed := signed_record(line)) is not None:
            self.signed.append(signed)
            self.sign_offs |= readable_files_of(signed)
        if made := self._tests.take(record, digest):
            self.statements[made[0]] = made[1]
        if isinstance(record, PlanVersion) and _are_of_its_digest(record):
            self.versions[str(record.plan), record.digest] = record

    def _partly(self) -> Iterator[Leaf]:
        """Each line that is shown is a record, of its number, and follows the line before where that is shown too."""
        before: str | None = "0" * 64
        with (self.directory / TREE).open("rb") as tree, (self.directory / LINES).open("rb") as shown:
            walk = leaves_of(tree, iter(shown))
            while True:
                try:
                    leaf = next(walk)
                except StopIteration:
                    return
                except ValueError as why:
                    text = f"{self.ledger[:8]}…/{TREE}: {why}: what follows is not known"
                    self.findings.append(Finding("PACKAGE_TREE_WRONG", text, self.size))
                    return
                height, _, line = leaf
                self.size += 1 << height
                if line is None:
                    before, self._head, self.to_the_end = None, "", self.to_the_end and not self.shown
                else:
                    before = self._head = self._line(line, before)
                yield leaf

    def _wrong(self, text: str, code: str) -> None:
        self.problems.append(LedgerProblem(text, code, self.size))

    def _line(self, line: bytes, before: str | None) -> str:
        digest, where = sha256(line).hexdigest(), f"record {self.size}"
        self.shown += 1
        try:
            record = decode(line)
        except ValueError as why:
            self._wrong(f"{where}: {why}", "NO_RECORD")
            return digest
        if record.seq != self.size:
            self._wrong(f"{where}: it says that it is record {record.seq}", "SEQUENCE_BROKEN")
        if before is not None and record.prev != before:
            text = f"{where}: prev does not match the line before: it or the line before was changed"
            self._wrong(text, "CHAIN_BROKEN")
        if isinstance(record, Unread) and not record.unknown:
            self._wrong(f"{where}: no ccdr wrote it so: nothing is taken from it", "RECORD_WRONG")
        if isinstance(record, LedgerRecovered) and record.spoilt:
            self.spoilt.append(self.size)
        elif isinstance(record, StatementRecord) and isinstance(record.about, LostRecords):
            self.spoilt = [one for one in self.spoilt if one not in record.about.spoilt]
        self._unknown += isinstance(record, Unread) and record.unknown
        shown_before = self.last[1] if self.last and self.last[0] == self.size - 1 else None
        if isinstance(record, StatementRecord) and (sentence := reaches_back(record, shown_before)):
            self._wrong(f"{where}: {sentence}", "PAUSE_REACHES_BACK")
        self.last = self.size, record.time
        self._times = [min([*self._times, record.time]), max([*self._times, record.time])]
        if sentence := follow(self._begun, record):
            self._wrong(f"{where}: {sentence}", "RUN_OF_ANOTHER")
        if isinstance(record, LedgerBegin):
            self.named = record.ledger
        self._take(line, record, digest)
        self.each(record)
        return digest


def _are_of_its_digest(version: PlanVersion) -> bool:
    """Its files: else a later record of the same digest would tell of other texts."""
    try:
        return version.digest == digest_of(version.files)
    except ValueError:  # a name that is no text
        return False
