"""Walk a whole ledger, and go on after a problem, so that one edit is one problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ccdr.evidence.ledger.ledger import (
    BEGINNING,
    NOTHING,
    READ_AHEAD,
    SEGMENT,
    Extent,
    LedgerProblem,
    Mark,
    extent_of,
    files_in,
    lies_aside,
    telling,
)
from ccdr.evidence.records import (
    FIRST,
    LedgerRecovered,
    Record,
    Unread,
    decode,
)
from ccdr.evidence.records.statements import LostRecords, ScheduleRef, StatementRecord
from ccdr.model.values import AHEAD, rfc3339, so_many

MOST_REPORTED = 100  # problems, and notes, that one verification spells out


class Unfinished(NamedTuple):  # one for each start of millions: a frozen dataclass takes three times as long
    """A start without an end: a crash, unless that run is still at work. `kind` is without `.start`."""

    kind: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    time: datetime
    seq: int


_EDGES = ("start", "end")  # of runs: all others are passed over at once
Begun = dict[tuple[str | None, ...], Unfinished]  # by kind, plan, asset and run


@dataclass(frozen=True)
class Verification:
    """What a walk over a whole ledger found. Problems are findings; notes and crashes are worth knowing.

    `head` is the hash of the last record's line: what a checkpoint holds, and the next record's `prev`. `unknown` is
    how many records are of a version or a kind that this ccdr does not read: the chain holds them. `unlike` is how many
    lines are no records, or not as their kinds are defined; `strays` how many end a run that began as another.
    """

    records: int
    first_time: datetime | None
    last_time: datetime | None
    head: str
    torn_bytes: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    crashes: tuple[Unfinished, ...]
    unknown: int = 0
    unlike: int = field(default=0, compare=False)
    strays: int = field(default=0, compare=False)

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(
    directory: Path,
    each: Callable[[Record], None] | None = None,
    *,
    at: tuple[Mark, Callable[[], None]] | None = None,
    crashes: bool = True,
    extent: Extent | None = None,
    since: VerifiedPart | None = None,
    begun: Begun | None = None,
) -> Verification:
    """Walk the whole chain, and go on after a problem, so that one edit is one problem or two.

    `each` is given every line that is a record, as `Ledger.as_read` has it, whatever is wrong with its place in the
    chain: who reads the ledger and verifies it reads it once. Who follows runs itself need not have it done twice:
    without `crashes` none are told. `at` is a mark and what to call once
    exactly that line was given. `since` is a part that was verified before: the walk begins behind it; `begun` are the
    runs without an end in it.

    Only reads, and takes no lock: a line that is just being written counts as torn, and what is written after it began
    (or after `extent` was taken) is not looked at. An absent or empty ledger holds, and is noted. Raises CcdrError
    where the directory cannot be read.
    """
    walk = _Walk(directory, each, at, crashes)
    if since is not None:
        walk.go_on(since)
        walk.begun.update(begun or {})
    with telling("read", directory):
        extent = extent_of(directory) if extent is None else extent
        names, segments = [path.name for path in files_in(directory)], [directory / name for name in extent]
        for name in names:
            if name.endswith(".jsonl") and not SEGMENT.fullmatch(name):
                walk.found(f"{name}: not a segment of this ledger: it was put here, or renamed", "SEGMENT_STRANGE")
        for path in segments:
            if since is None or path.name >= since.mark.segment:
                walk.segment(path, extent[path.name], last=path == segments[-1])
        walk.spoilt_lines()
    for name in names:
        if name.startswith("torn-") and name not in walk.set_aside:
            walk.notes.append(f"{name}: no record tells of it: it was put here, or a recovery interrupted")
    if walk.older:
        many = so_many(walk.older, "record")
        walk.notes.append(f"{many} of before the first release: ccdr reads version {FIRST} and later")
    if not walk.records:
        walk.notes.append(f"{directory}: no records")
    problems, notes, unfinished = _first_of(walk.problems), _first_of(walk.notes), tuple(walk.begun.values())
    facts = (walk.records, walk.first_time, walk.last_time, walk.head, walk.torn_bytes, problems, notes, unfinished)
    return Verification(*facts, walk.unknown, walk.unlike, walk.strays)


def _first_of(texts: list[str]) -> tuple[str, ...]:
    """So many that they can be read, and fit for printing whatever names and values they quote."""
    more = len(texts) - MOST_REPORTED
    shown = texts[:MOST_REPORTED] + ([f"and {more} more"] if more > 0 else [])
    return tuple(
        one.fit_to_print() if isinstance(one, LedgerProblem) else one.encode("utf-8", "backslashreplace").decode()
        for one in shown
    )


@dataclass(frozen=True)
class VerifiedPart:
    """What a verification had found where it came to `mark`, and that it had found nothing wrong: `times` of the first
    and the last record, the files of torn lines that were `set_aside`, how many records are `unknown`."""

    mark: Mark
    times: tuple[datetime, datetime]
    set_aside: frozenset[str]
    unknown: int


@dataclass
class _Walk:
    """Where a verification stands: what it has seen, and what the next line must follow."""

    directory: Path
    each: Callable[[Record], None] | None = None
    at: tuple[Mark, Callable[[], None]] | None = None
    crashes: bool = True
    records: int = 0
    seq: int = 0
    unread: int = 0  # lines since then that were no records
    before: str | None = NOTHING.hash  # None: what was before is reported already, and prev cannot be judged
    head: str = NOTHING.hash
    first_time: datetime | None = None
    last_time: datetime | None = None
    torn_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    set_aside: set[str] = field(default_factory=set)
    spoilt: dict[int, str] = field(default_factory=dict)  # lines that were changed, until somebody answers for them
    begun: Begun = field(default_factory=dict)
    unknown: int = 0
    older: int = 0  # of these, those of before the first release
    unlike: int = 0
    strays: int = 0
    _begins: Mark = BEGINNING

    def go_on(self, since: VerifiedPart) -> None:
        self._begins, self.unknown = since.mark, since.unknown
        self.records = self.seq = since.mark.seq
        self.before = self.head = since.mark.hash
        self.first_time, self.last_time = since.times
        self.set_aside |= since.set_aside

    def segment(self, path: Path, size: int, *, last: bool) -> None:
        first, offset = int(path.stem), 0
        if path.name == self._begins.segment:
            offset = self._begins.end
        elif not self._may_follow(first):
            what = f"begins with seq {first} by its name, the segments before it end with {self.seq}"
            text = f"{path.name}: {what}: a segment is missing, was cut short or was renamed"
            self.found(text, "SEGMENT_MISPLACED", first)
            self.seq, self.unread, self.before = first - 1, 0, None
        name, end = path.name, offset
        mark, reached = self.at or (None, None)
        with path.open("rb", READ_AHEAD) as file:
            before = file.read(offset).count(b"\n")
            for number, line in enumerate(file, start=before + 1):
                if end >= size:
                    return  # written meanwhile
                start, end = end, end + len(line)
                whole = line.endswith(b"\n")
                if whole or not last:
                    self._line(name, number, line)
                    if mark and reached and end == mark.end and mark == Mark(name, start, end, self.seq, self.head):
                        reached()
                else:
                    self.torn_bytes = len(line)
                    self.notes.append(f"{name}:{number}: torn, {len(line)} bytes: a crash, or a writer at work")
                if not whole:
                    return  # whatever is written meanwhile

    def found(self, text: str, code: str, record: int | None = None) -> None:
        self.problems.append(LedgerProblem(text, code, record))

    def spoilt_lines(self) -> None:
        """All was read: nobody has answered for these."""
        self.problems += self.spoilt.values()

    def _may_follow(self, seq: int) -> bool:
        return self.seq < seq <= self.seq + 1 + self.unread

    def _line(self, name: str, number: int, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError as why:
            self.found(f"{name}:{number}: {why}", "NO_RECORD", self.seq + 1)
            self.unread, self.before, self.unlike = self.unread + 1, None, self.unlike + 1
            return
        seq, time = record.seq, record.time
        if seq != self.seq + 1 or record.prev != self.before:  # as a rule it is neither
            follows, chained = seq == self.seq + 1 or self._may_follow(seq), self.before in (record.prev, None)
            if not follows or not chained:
                self._misplaced(f"{name}:{number}", seq, follows=follows, chained=chained)
        self.records, self.seq, self.unread = self.records + 1, seq, 0
        self.before = self.head = sha256(line).hexdigest()
        if self.last_time is None:
            self.first_time = time
        elif time < self.last_time:  # clocks are set back; that is no tampering
            back = (self.last_time - time).total_seconds()
            self.notes.append(f"{name}:{number}: time goes back by {back} s")
        if isinstance(record, StatementRecord) and (sentence := reaches_back(record, self.last_time)):
            self.found(f"{name}:{number}: {sentence}", "PAUSE_REACHES_BACK", seq)
        self.last_time = time
        if isinstance(record, LedgerRecovered):
            self._recovered(f"{name}:{number}", record)
        elif isinstance(record, StatementRecord) and isinstance(record.about, LostRecords):
            for number_of in record.about.spoilt:
                if sentence := self.spoilt.pop(number_of, None):
                    self.notes.append(f"{sentence}; somebody answers for it, by record {seq}")
        elif isinstance(record, Unread):
            self._unread(f"{name}:{number}", record)
        if self.crashes and record.kind.endswith(_EDGES) and (sentence := follow(self.begun, record)):
            self.strays += 1
            self.found(f"{name}:{number}: {sentence}", "RUN_OF_ANOTHER", seq)
        if self.each is not None:
            self.each(record)

    def _unread(self, where: str, record: Unread) -> None:
        if record.unknown:
            self.unknown += 1
            self.older += record.version < FIRST
        else:
            self.unlike += 1
            self.found(f"{where}: it is not as its kind is defined: no ccdr wrote it so", "RECORD_WRONG", record.seq)

    def _recovered(self, where: str, record: LedgerRecovered) -> None:
        """A line was set aside: torn, or a whole one that had been changed."""
        self.set_aside.add(record.file)
        if not record.spoilt:
            self.notes.append(f"{where}: a torn line was set aside in {record.file}")
            return
        what = "a whole line that had been changed was set aside in"
        told = f"{where}: {what} {record.file}: what it told is lost"
        self.spoilt[record.seq] = LedgerProblem(told, "LINE_SPOILT", record.seq)
        if not lies_aside(self.directory, record.file, record.sha256):
            gone = "is not there as it was set aside: nothing shows that there was such a line"
            self.found(f"{where}: {record.file} {gone}", "LINE_SPOILT", record.seq)

    def _misplaced(self, where: str, seq: int, *, follows: bool, chained: bool) -> None:
        wrong = []
        if not follows:
            wrong.append(f"seq is {seq} after {self.seq}: records are missing, moved or doubled")
        if not chained:
            wrong.append("prev does not match the line before: it or the line before was changed")
        self.found(f"{where}: {'; '.join(wrong)}", "CHAIN_BROKEN" if follows else "SEQUENCE_BROKEN", seq)


def reaches_back(record: StatementRecord, before: datetime | None) -> str | None:
    """A sentence where it is a pause that says that the record before it was older than that is: what was missed by
    then is to stay missed."""
    after = record.about.after if record.says == "pause" and isinstance(record.about, ScheduleRef) else None
    if after is None or before is None or after >= before - AHEAD:
        return None
    return f"it pauses from {rfc3339(after)} on, and the record before it is of {rfc3339(before)}"


def follow(begun: Begun, record: Record) -> str | None:
    """Keep `begun` to the starts whose end has not come yet. A sentence where it is the end of a run that began as
    another: of another plan or asset, or as other work."""
    kind, _, edge = record.kind.rpartition(".")
    if edge not in _EDGES:
        return None
    run = (kind, record.plan, record.asset, record.run)
    before = begun.pop(run, None)  # a run that begins twice is the second one
    if edge == "start":
        begun[run] = Unfinished(*run, record.host, record.time, record.seq)
    elif before is None and record.run is not None:
        other = next((one for one in begun.values() if one.run == record.run), None)
        if other is not None:
            return f"it ends a run that began as another, of another plan, asset or kind, with record {other.seq}"
    return None
