"""The evidence: an append-only ledger in which every line holds the hash of the line before.

A directory of segments `<first seq, 12 digits>.jsonl`, one chain across all of them. A line is compact JSON
in UTF-8: `seq` from 1, `prev` (SHA-256 of the exact bytes of the line before, newline included; 64 zeros for
the first), `time` (UTC, microseconds), `host`, `actor`, `kind`, `plan`, `asset`, `run`, `version`, then the
record's own keys, as its kind's definition has them (records/). From version 2 on, all texts are of closed kinds
(older.py keeps those of before from readers). Beside them lie `lock` (the writers'), `id` (which ledger it is, as its
record `ledger.begin` says: lineage.py) and `torn-*.bin` (what a crashed writer left of a line; or a whole last line
that was changed: its record says so, and it is a finding).

What the chain alone cannot show: a cut-off end, and a rewrite of everything from some line on. Whoever has
seen an earlier head hash can: every snapshot carries one (attest/).
"""

from __future__ import annotations

import errno
import fcntl
import json
import mmap
import os
import pwd
import re
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

import orjson

from ccdr.evidence.older import CLOSED, closed, sensible
from ccdr.evidence.records import (
    LedgerAcknowledged,
    LedgerRecovered,
    Record,
    Unread,
    decode,
    envelope,
    newer,
    strictly,
    written,
)
from ccdr.model.errors import CcdrError, LedgerBroken
from ccdr.model.values import RecordRef
from ccdr.ports.place import Clock

# Readers fold mappings, older records as they are. Where nothing of one can be counted on, there is only where it
# stands and what it is about, and under this key why: a later ccdr wrote it, or none did.
PASSED_OVER = "passed_over"
_OF_READERS = b'"passed_over"'
NEWER, WRONG = "newer", "wrong"

SEGMENT_BYTES = 16 * 1024**2  # a new segment begins once the last has grown to this
MOST_REPORTED = 100  # problems, and notes, that one verification spells out

_BLOCK = 64 * 1024  # how much of a segment's end is read at a time
_NOTHING = RecordRef(0, "0" * 64)  # what the first record follows
_SEGMENT = re.compile(r"[0-9]{12}\.jsonl")
_ZEROS = re.compile(rb"\0+")
_PAGE = 512  # bytes, which a disk writes at once; what a file system does is a multiple
_ASIDE = re.compile(r"torn-[0-9A-Za-z.-]{1,100}\.bin")
_SEQ = re.compile(rb'\{"seq":([0-9]{1,18}),')  # how `append` begins a line
_OF_ITSELF = b'"kind":"ledger.'
_ENVELOPE = frozenset(Record.__struct_fields__)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True)
class Unfinished:
    """A start without an end: a crash, unless that run is still at work. `kind` is without `.start`."""

    kind: str
    plan: str | None
    asset: str | None
    run: str | None
    host: str
    time: datetime
    seq: int


T = TypeVar("T")
Extent = dict[str, int]  # how far a ledger is read: segments by name, in order, and their bytes
_Begun = dict[tuple[str | None, ...], Unfinished]  # by kind, plan, asset and run


@dataclass(frozen=True)
class Verification:
    """What a walk over a whole ledger found. Problems are findings; notes and crashes are worth knowing.

    `head` is the hash of the last record's line: what a checkpoint holds, and the next record's `prev`. `newer` is how
    many records a later ccdr wrote: the chain holds them, and this ccdr does not know what they tell.
    """

    records: int
    first_time: datetime | None
    last_time: datetime | None
    head: str
    torn_bytes: int
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    crashes: tuple[Unfinished, ...]
    newer: int = 0

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Mark:
    """A place in the ledger: behind the record `seq`, whose line stands from `start` to `end` in `segment`."""

    segment: str
    start: int
    end: int
    seq: int
    hash: str


BEGINNING = Mark("", 0, 0, 0, _NOTHING.hash)
BEGIN = "ledger.begin"  # the record by which a ledger says which one it is
RECOVERED = "ledger.recovered"  # the last line was no record, and was set aside


class Beginning(Protocol):
    """Asked before each record, with the last one that is there: a ledger says first which one it is. What it has to
    say it gives to `write`, and returns what the record then follows. It raises what `append` may."""

    def __call__(self, last: RecordRef, write: Callable[[Mapping[str, object]], RecordRef]) -> RecordRef: ...


class Ledger:
    """Appends to, and reads, the ledger in `directory` (made at the first append, 0700, its files 0600).

    Keeps nothing in memory between calls: any number of threads and processes may share a directory.
    `host` and `actor` are this machine's name and `whoami()` unless given; `begin` says which ledger it is.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        host: str | None = None,
        actor: str | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        begin: Beginning | None = None,
    ) -> None:
        self.directory, self.clock, self.segment_bytes = directory, clock, segment_bytes
        self._begin = begin
        self.host, self.actor = host or socket.gethostname(), actor or whoami()

    def append(
        self, kind: str, *, plan: str | None, asset: str | None, run: str | None, body: Mapping[str, object]
    ) -> RecordRef:
        """Write one record and return once it is on disk; waits while another writer is at it.

        A last line that is no record is set aside first, and recorded as `ledger.recovered`, which says whether it is
        what a crashed writer left.
        Raises ValueError for a body that its kind's definition (records/) does not hold, or that names a key of the
        envelope: both are defects of ours. LedgerBroken where the ledger's end cannot be read, CcdrError where the disk
        refuses; then nothing of the record is kept.
        """
        if taken := _ENVELOPE & body.keys():
            raise ValueError(f"a record's body may not set {', '.join(sorted(taken))}")
        return self._append(written(kind, plan, asset, run, body))

    def _append(self, fields: dict[str, object]) -> RecordRef:
        """As `append`, whatever it is: tests write with it what an older ccdr, or a newer one, would."""
        _record(self._line(_NOTHING, fields))  # never write what verify would refuse
        with _telling("written", self.directory), self._locked():
            last, torn = _end_of(_segments(self.directory))
            if torn is not None:
                last = self._completed(last, *torn) or self._write(last, self._set_aside(*torn))
            return self._write(self._begun(last), fields)

    def head(self) -> RecordRef:
        """The last record; number 0 where there is none. Raises as `records` does."""
        with _telling("read", self.directory):
            return _end_of(_segments(self.directory))[0]

    def records(self, *, reverse: bool = False) -> Iterator[Mapping[str, Any]]:
        """Every record in order, one line in memory at a time; no lock, and the chain is not checked.

        A last line that is torn, or still being written, is left out. Raises LedgerBroken for any other line
        that is no record, CcdrError where the directory cannot be read.
        """
        return self._each(_record, reverse=reverse)

    def told(self, *, reverse: bool = False) -> Iterator[Mapping[str, Any]]:
        """The same as readers fold them: what nothing can be taken from says so (PASSED_OVER)."""
        return self._each(_told, reverse=reverse)

    def typed(self, *, reverse: bool = False) -> Iterator[Record]:
        """The same as typed records; those that cannot be known whole are `Unread`, and not to be passed over."""
        return self._each(decode, reverse=reverse)

    def _each(self, read: Callable[[bytes], T], *, reverse: bool) -> Iterator[T]:
        with _telling("read", self.directory):
            segments = _segments(self.directory)
            for path in reversed(segments) if reverse else segments:
                lines = _backwards(path) if reverse else _forwards(path)
                for _, _, record in _parsed(path, lines, last=path == segments[-1], read=read):
                    yield record

    def spoilt(self) -> bool:
        """Is the last line no record, though no crash leaves one so? The next append sets it aside, and says it."""
        with _telling("read", self.directory):
            _, last = _end_of(_segments(self.directory))
        return last is not None and not _torn(*last[1:])

    def lacks(self, seq: int, prev: str) -> bool:
        """Is the line of this number lost, and nothing else: does a record tell in its place that it had been changed,
        are the bytes there that were set aside, and does it follow the record of the hash `prev`, as the line did?"""
        record = self.numbered(seq)
        if record is None or record["kind"] != RECOVERED or record.get("spoilt") is not True:
            return False
        before = self.hash_of(seq - 1) if seq > 1 else _NOTHING.hash
        aside = str(record.get("file")), str(record.get("sha256"))
        return record["prev"] == prev == before and _lies_aside(self.directory, *aside)

    def holds(self, mark: Mark) -> bool:
        """Is the line before this mark still where it was, byte for byte?"""
        return mark == BEGINNING or self.at(mark) is not None

    def at(self, mark: Mark) -> Mapping[str, Any] | None:
        """The record before this mark; None where it does not stand there, byte for byte and as a line of its own."""
        try:
            if not _SEGMENT.fullmatch(mark.segment):
                return None
            with (self.directory / mark.segment).open("rb") as segment:
                segment.seek(max(0, mark.start - 1))
                before = segment.read(1) if mark.start else b"\n"
                line = segment.readline()
            record = _record(line)
        except (OSError, ValueError, TypeError):
            return None
        right = before == b"\n" and len(line) == mark.end - mark.start
        right = right and record["seq"] == mark.seq and sha256(line).hexdigest() == mark.hash
        return record if right else None

    def numbered(self, seq: int) -> Mapping[str, Any] | None:
        """The record with this `seq`, found by halving its segment; None where it is not met. Raises as `records`."""
        return self.numbering()(seq)

    def numbering(self) -> Callable[[int], Mapping[str, Any] | None]:
        """The same for many, in the segments as they are now. What is returned raises as `records` does."""
        with _telling("read", self.directory):
            lines = _Numbered(_segments(self.directory))

        def record(seq: int) -> Mapping[str, Any] | None:
            with _telling("read", self.directory), suppress(ValueError):
                line = lines.find(seq)
                return None if line is None else _record(line)
            return None

        return record

    def hash_of(self, seq: int) -> str | None:
        """The hash of the line with this `seq`, found the same way."""
        with _telling("read", self.directory), suppress(ValueError):
            line = _Numbered(_segments(self.directory)).find(seq)
            return None if line is None else sha256(line).hexdigest()
        return None

    def of_itself(self, mark: Mark) -> Iterator[Mapping[str, Any]]:
        """Every record behind a mark that is of the ledger itself (its kind begins with `ledger.`): the others are
        passed over unread, so that years of them cost little. Raises as `records` does."""
        with _telling("read", self.directory):
            segments = _segments(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                few = _holding(path, _OF_ITSELF, mark.end if path.name == mark.segment else 0)
                for _, _, record in _parsed(path, few, last=path == segments[-1], read=_record):
                    if record["kind"].startswith("ledger."):
                        yield record

    def newest(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Every record of this kind, the newest first: searched for from the end, the others passed over unread. Raises
        CcdrError where the directory cannot be read."""
        words = b'"kind":"%b"' % kind.encode()
        with _telling("read", self.directory):
            for path in reversed(_segments(self.directory)):
                held = _mapped(path)
                at = held.rfind(words)
                while at >= 0:
                    start, end = _line_around(held, at)
                    with suppress(ValueError):
                        record = _record(held[start:end])
                        if record["kind"] == kind:
                            yield record
                    at = held.rfind(words, 0, start)

    def recently(self) -> Mark:
        """Where its two newest segments begin: what can be gone through whatever the ledger's age."""
        with _telling("read", self.directory):
            segments = _segments(self.directory)
        return BEGINNING if len(segments) <= 2 else Mark(segments[-2].name, 0, 0, 0, "")

    def mark_of(self, ref: RecordRef) -> Mark | None:
        """Where a record stands, found from the end. Raises as `records` does."""
        with _telling("read", self.directory):
            for path in reversed(_segments(self.directory)):
                for offset, line in _backwards(path):
                    if sha256(line).hexdigest() == ref.hash:
                        return Mark(path.name, offset, offset + len(line), ref.seq, ref.hash)
        return None

    def after(self, mark: Mark) -> Iterator[tuple[Mark, Mapping[str, Any]]]:
        """Every record behind a mark that holds, each with its own, as `told`. Raises as `records` does."""
        with _telling("read", self.directory):
            segments = _segments(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                start = mark.end if path.name == mark.segment else 0
                lines = _forwards(path, start)
                for offset, line, record in _parsed(path, lines, last=path == segments[-1], read=_told):
                    yield Mark(path.name, offset, offset + len(line), record["seq"], sha256(line).hexdigest()), record

    def unfinished(self) -> tuple[Unfinished, ...]:
        """Starts without an end, oldest first. Raises as `records` does."""
        begun: _Begun = {}
        for record in self.typed():
            _follow(begun, record)
        return tuple(begun.values())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _sync_directory(self.directory.parent)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:  # closing gives the lock back, and so does any death of this process
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _line(self, last: RecordRef, fields: dict[str, object]) -> bytes:
        time = self.clock.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        chain = {"seq": last.seq + 1, "prev": last.hash, "time": time, "host": self.host, "actor": self.actor}
        text = json.dumps(chain | fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # A file name that is not UTF-8 comes as lone surrogates: escaped they are JSON, and nothing is lost.
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _begun(self, last: RecordRef) -> RecordRef:
        def write(body: Mapping[str, object]) -> RecordRef:
            return self._write(last, written(BEGIN, None, None, None, body))

        return last if self._begin is None else self._begin(last, write)

    def _write(self, last: RecordRef, fields: dict[str, object]) -> RecordRef:
        line, segments = self._line(last, fields), _segments(self.directory)
        if segments and segments[-1].stat().st_size < self.segment_bytes:
            _append(segments[-1], line)
        else:
            _append(self.directory / f"{last.seq + 1:012}.jsonl", line)
        return RecordRef(last.seq + 1, sha256(line).hexdigest())

    def _completed(self, last: RecordRef, path: Path, _: int, torn: bytes) -> RecordRef | None:
        """Of a line of which nothing but its newline is missing, and that fits: it is all there, and stays."""
        line = torn + b"\n"
        try:
            record = _record(line)
        except ValueError:
            return None
        if torn.endswith(b"\n") or (record["seq"], record["prev"]) != (last.seq + 1, last.hash):
            return None
        _append(path, b"\n")
        return RecordRef(last.seq + 1, sha256(line).hexdigest())

    def _set_aside(self, path: Path, offset: int, torn: bytes) -> dict[str, object]:
        digest = sha256(torn).hexdigest()
        stamp = self.clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.directory / f"torn-{stamp}-{digest[:8]}.bin"  # the same name only for the same bytes
        aside.unlink(missing_ok=True)
        _append(aside, torn)
        with path.open("r+b") as segment:
            segment.truncate(offset)
            os.fsync(segment.fileno())
        about = {"file": aside.name, "segment": path.name, "bytes": len(torn), "sha256": digest}
        about |= {"spoilt": not _torn(offset, torn)}
        return written(RECOVERED, None, None, None, about)


def whoami() -> str:
    """The effective user's login name; `alice as root` under sudo.

    Who called sudo is what the environment says: only as good as the user who could have changed it.
    """
    try:
        login = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # a container's user without an entry
        login = f"uid {os.geteuid()}"
    caller = os.environ.get("SUDO_USER")
    return f"{caller} as {login}" if caller and caller != login else login


def verify(
    directory: Path,
    each: Callable[[Mapping[str, Any], datetime], None] | None = None,
    *,
    at: tuple[Mark, Callable[[], None]] | None = None,
    crashes: bool = True,
    extent: Extent | None = None,
    typed: Callable[[Record], None] | None = None,
    since: Verified | None = None,
) -> Verification:
    """Walk the whole chain, and go on after a problem, so that one edit is one problem or two.

    `each` is given every line that is a record, as `Ledger.told` has it, with its time, whatever is wrong with its
    place in the chain: who reads the ledger and verifies it reads it once. `typed` is given the same as a typed record.
    Who follows runs itself need not have it done twice: without `crashes` none are told. `at` is a mark and what to
    call once exactly that line was given to both. `since` is a part that was verified before: the walk begins behind
    it.

    Only reads, and takes no lock: a line that is just being written counts as torn, and what is written after it began
    (or after `extent` was taken) is not looked at. An absent or empty ledger holds, and is noted. Raises CcdrError
    where the directory cannot be read.
    """
    walk = _Walk(directory, each, at, crashes, typed)
    if since is not None:
        walk.go_on(since)
    with _telling("read", directory):
        extent = extent_of(directory) if extent is None else extent
        names, segments = [path.name for path in _files(directory)], [directory / name for name in extent]
        for name in names:
            if name.endswith(".jsonl") and not _SEGMENT.fullmatch(name):
                walk.problems.append(f"{name}: not a segment of this ledger: it was put here, or renamed")
        for path in segments:
            if since is None or path.name >= since.mark.segment:
                walk.segment(path, extent[path.name], last=path == segments[-1])
        walk.spoilt_lines()
    for name in names:
        if name.startswith("torn-") and name not in walk.set_aside:
            walk.notes.append(f"{name}: no record tells of it: it was put here, or a recovery interrupted")
    if not walk.records:
        walk.notes.append(f"{directory}: no records")
    problems, notes, unfinished = _first_of(walk.problems), _first_of(walk.notes), tuple(walk.begun.values())
    found = (walk.records, walk.first_time, walk.last_time, walk.head, walk.torn_bytes, problems, notes, unfinished)
    return Verification(*found, walk.newer)


def extent_of(directory: Path) -> Extent:
    """The segments as they are now, in order, and their sizes in bytes. CcdrError where they cannot be read."""
    with _telling("read", directory):
        return {path.name: path.stat().st_size for path in _segments(directory)}


def lines(directory: Path, extent: Extent, since: Mark = BEGINNING) -> Iterator[bytes]:
    """Every line behind a mark, as far as the extent goes: unread, for who has another process verify them. What is
    torn is left out, and what was written meanwhile."""
    for name, size in extent.items():
        if name < since.segment:
            continue
        begin = since.end if name == since.segment else 0
        left = size - begin
        with (directory / name).open("rb") as segment:
            segment.seek(begin)
            for line in segment:
                if left <= 0 or not line.endswith(b"\n"):
                    break
                left -= len(line)
                yield line


def _first_of(texts: list[str]) -> tuple[str, ...]:
    """So many that they can be read, and fit for printing whatever names and values they quote."""
    more = len(texts) - MOST_REPORTED
    shown = texts[:MOST_REPORTED] + ([f"and {more} more"] if more > 0 else [])
    return tuple(text.encode("utf-8", "backslashreplace").decode() for text in shown)


@dataclass(frozen=True)
class Verified:
    """What a verification had found where it came to `mark`, and that it had found nothing wrong: `times` of the first
    and the last record, the files of torn lines that were `set_aside`, how many records were `newer`."""

    mark: Mark
    times: tuple[datetime, datetime]
    set_aside: frozenset[str]
    newer: int


@dataclass
class _Walk:
    """Where a verification stands: what it has seen, and what the next line must follow."""

    directory: Path
    each: Callable[[Mapping[str, Any], datetime], None] | None = None
    at: tuple[Mark, Callable[[], None]] | None = None
    crashes: bool = True
    typed: Callable[[Record], None] | None = None
    records: int = 0
    seq: int = 0
    unread: int = 0  # lines since then that were no records
    before: str | None = _NOTHING.hash  # None: what was before is reported already, and prev cannot be judged
    head: str = _NOTHING.hash
    first_time: datetime | None = None
    last_time: datetime | None = None
    torn_bytes: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    set_aside: set[str] = field(default_factory=set)
    spoilt: dict[int, str] = field(default_factory=dict)  # lines that were changed, until somebody answers for them
    begun: _Begun = field(default_factory=dict)
    newer: int = 0
    _begins: Mark = BEGINNING

    def go_on(self, since: Verified) -> None:
        self._begins, self.newer = since.mark, since.newer
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
            self.problems.append(f"{path.name}: {what}: a segment is missing, was cut short or was renamed")
            self.seq, self.unread, self.before = first - 1, 0, None
        name, end = path.name, offset
        mark, reached = self.at or (None, None)
        with path.open("rb") as file:
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

    def spoilt_lines(self) -> None:
        """All was read: nobody has answered for these."""
        self.problems += self.spoilt.values()

    def _may_follow(self, seq: int) -> bool:
        return self.seq < seq <= self.seq + 1 + self.unread

    def _line(self, name: str, number: int, line: bytes) -> None:
        try:
            record = decode(line)
        except ValueError as why:
            self.problems.append(f"{name}:{number}: {why}")
            self.unread, self.before = self.unread + 1, None
            return
        seq, time = record.seq, record.time
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
        self.last_time = time
        if isinstance(record, LedgerRecovered):
            self.set_aside.add(record.file)
            if record.spoilt:
                what = "a whole line that had been changed was set aside in"
                self.spoilt[seq] = f"{name}:{number}: {what} {record.file}: what it told is lost"
                if not _lies_aside(self.directory, record.file, record.sha256):
                    gone = "is not there as it was set aside: nothing shows that there was such a line"
                    self.problems.append(f"{name}:{number}: {record.file} {gone}")
            else:
                self.notes.append(f"{name}:{number}: a torn line was set aside in {record.file}")
        elif isinstance(record, LedgerAcknowledged):
            for number_of in record.spoilt:
                if said := self.spoilt.pop(number_of, None):
                    self.notes.append(f"{said}; somebody answers for it, by record {seq}")
        elif isinstance(record, Unread):
            self._unread(f"{name}:{number}", record)
        if self.crashes:
            if said := _strays(self.begun, record):
                self.problems.append(f"{name}:{number}: {said}")
            _follow(self.begun, record)
        if self.typed is not None:
            self.typed(record)
        doubtful = isinstance(record, Unread) or _OF_READERS in line
        seen = _seen(line, record) if self.each is not None or doubtful else {}
        if doubtful and seen.get(PASSED_OVER) == WRONG and not _misfits(record):
            self.problems.append(f"{name}:{number}: no ccdr wrote it so: nothing is taken from it")
        if self.each is not None:
            self.each(seen, time)

    def _unread(self, where: str, record: Unread) -> None:
        if record.newer:
            self.newer += 1
        elif _misfits(record):
            self.problems.append(f"{where}: it is not as its kind is defined: no ccdr wrote it so")

    def _misplaced(self, where: str, seq: int, *, follows: bool, chained: bool) -> None:
        wrong = []
        if not follows:
            wrong.append(f"seq is {seq} after {self.seq}: records are missing, moved or doubled")
        if not chained:
            wrong.append("prev does not match the line before: it or the line before was changed")
        self.problems.append(f"{where}: {'; '.join(wrong)}")


def _strays(begun: _Begun, record: Record) -> str | None:
    """Is it the end of a run that began as another: of another plan or asset, or as other work?"""
    kind, _, edge = record.kind.rpartition(".")
    if edge != "end" or record.run is None or (kind, record.plan, record.asset, record.run) in begun:
        return None
    other = next((one for one in begun.values() if one.run == record.run), None)
    said = "it ends a run that began as another, of another plan, asset or kind, with record"
    return None if other is None else f"{said} {other.seq}"


def _follow(begun: _Begun, record: Record) -> None:
    """Keep `begun` to the starts whose end has not come yet."""
    kind, _, edge = record.kind.rpartition(".")
    if edge not in ("start", "end"):
        return
    run = (kind, record.plan, record.asset, record.run)
    begun.pop(run, None)  # a run that begins twice is the second one
    if edge == "start":
        begun[run] = Unfinished(kind, record.plan, record.asset, record.run, record.host, record.time, record.seq)


def _record(line: bytes) -> dict[str, Any]:
    """A whole line as a mapping with its envelope; ValueError says what is wrong, without quoting data."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off: it does not end in a newline")
    record = strictly(line)
    envelope(record)
    return closed(record)


def passed_over(record: Mapping[str, Any], why: str) -> dict[str, Any]:
    """What readers fold of a record that nothing can be taken from: where it stands, and what it is about."""
    return {key: record[key] for key in _ENVELOPE if key in record} | {PASSED_OVER: why}


def folded(line: bytes) -> dict[str, Any]:
    """A line that another process verifies, as readers fold it."""
    record = closed(orjson.loads(line))
    if newer(record):
        return passed_over(record, NEWER)
    return passed_over(record, WRONG) if _senseless(record) else record


def _told(line: bytes) -> dict[str, Any]:
    """What was written before there were definitions is taken as far as it goes."""
    return _seen(line, decode(line))


def _seen(line: bytes, record: Record) -> dict[str, Any]:
    view = _view(line)
    if isinstance(record, Unread) and record.newer:
        return passed_over(view, NEWER)
    return passed_over(view, WRONG) if _misfits(record) or _senseless(view) else view


def _misfits(record: Record) -> bool:
    """Is it not as its kind is defined? What was written before had no definition to hold to."""
    return isinstance(record, Unread) and not record.newer and record.version > CLOSED


def _senseless(record: Mapping[str, Any]) -> bool:
    """Of a record from before there were definitions: has no ccdr written it so? What is said of it here (PASSED_OVER)
    no line says of itself."""
    return bool(record.get("version", 1) <= CLOSED and (PASSED_OVER in record or not sensible(record)))


class _Numbered:
    """Lines by their number, in segments that are mapped once each."""

    def __init__(self, segments: list[Path]) -> None:
        self._segments, self._held = segments, dict[Path, mmap.mmap | bytes]()

    def find(self, seq: int) -> bytes | None:
        """ValueError where a line that is looked at is no record."""
        path = next((p for p in reversed(self._segments) if int(p.stem) <= seq), None)
        if path is None:
            return None
        held = self._mapped(path)
        low, high = 0, len(held)
        while low < high:  # its line begins in between
            start = held.rfind(b"\n", 0, (low + high) // 2) + 1
            end = held.find(b"\n", start) + 1 or len(held)
            line = held[start:end]
            found = _seq_of(line)
            if found == seq:
                return line
            low, high = (low, start) if found > seq else (end, high)
        return None

    def _mapped(self, path: Path) -> mmap.mmap | bytes:
        if path not in self._held:
            self._held[path] = _mapped(path)
        return self._held[path]


def _mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as segment:
        size = os.fstat(segment.fileno()).st_size
        return mmap.mmap(segment.fileno(), size, access=mmap.ACCESS_READ) if size else b""


def _seq_of(line: bytes) -> int:
    found = _SEQ.match(line)
    return int(found[1]) if found and line.endswith(b"\n") else int(_record(line)["seq"])


def _view(line: bytes) -> dict[str, Any]:
    """The same of a line that was found good."""
    try:
        return closed(orjson.loads(line))
    except ValueError:  # lone surrogates
        return _record(line)


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def _segments(directory: Path) -> list[Path]:
    return [path for path in _files(directory) if _SEGMENT.fullmatch(path.name)]


def _forwards(path: Path, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines and where they begin; ends after one without a newline, whatever is written meanwhile."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            yield offset, line
            if not line.endswith(b"\n"):
                return
            offset += len(line)


def _holding(path: Path, words: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Of these lines the few that hold `words`, ten times as fast: the whole segment is searched at once."""
    with path.open("rb") as file:
        file.seek(offset)
        held = file.read()
    at = held.find(words)
    while at >= 0:
        start, end = _line_around(held, at)
        yield offset + start, held[start:end]
        at = held.find(words, end)


def _line_around(held: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    return held.rfind(b"\n", 0, at) + 1, held.find(b"\n", at) + 1 or len(held)


def _backwards(path: Path) -> Iterator[tuple[int, bytes]]:
    """The same from the end, reading no more than is asked for."""
    held = b""
    with path.open("rb") as file:
        start = file.seek(0, os.SEEK_END)
        while start:
            end, start = start, max(0, start - _BLOCK)
            file.seek(start)
            held = file.read(end - start) + held
            stop = len(held)
            while (newline := held.rfind(b"\n", 0, stop - 1)) >= 0:
                yield start + newline + 1, held[newline + 1 : stop]
                stop = newline + 1
            held = held[:stop]
        if held:
            yield 0, held


def _parsed(
    path: Path, lines: Iterable[tuple[int, bytes]], *, last: bool, read: Callable[[bytes], T]
) -> Iterator[tuple[int, bytes, T]]:
    for offset, line in lines:
        try:
            record = read(line)
        except ValueError as why:
            if last and (not line.endswith(b"\n") or offset + len(line) >= path.stat().st_size):
                continue  # torn; the next append sets it aside
            raise _broken(path, offset, why) from None
        yield offset, line, record


def _end_of(segments: list[Path]) -> tuple[RecordRef, tuple[Path, int, bytes] | None]:
    """The last record, and what stands torn behind it: file, offset, bytes.

    A line can be torn and yet end in a newline, where a power cut kept its last page and lost an earlier one.
    """
    torn = None
    for path in reversed(segments):
        for offset, line in _backwards(path):
            try:
                return RecordRef(_record(line)["seq"], sha256(line).hexdigest()), torn
            except ValueError as why:
                if torn is not None:
                    raise _broken(path, offset, why) from None
                torn = (path, offset, line)
    return _NOTHING, torn


def _lies_aside(directory: Path, name: str, digest: str) -> bool:
    """Are the bytes there that a record says were set aside in this file?"""
    if not _ASIDE.fullmatch(name):
        return False
    with suppress(OSError):
        return sha256((directory / name).read_bytes()).hexdigest() == digest
    return False


def _torn(offset: int, line: bytes) -> bool:
    """Can a crash have left it, where it begins so far into its segment? A line is written at once, its newline last:
    without that it was cut short. Where a power cut kept its last page and lost an earlier one, there are zeros in that
    one's place, from where the line or the page begins to where the page ends, and none elsewhere."""
    if not line.endswith(b"\n"):
        return True
    lost = [(offset + run.start(), offset + run.end()) for run in _ZEROS.finditer(line)]
    return bool(lost) and all((start == offset or start % _PAGE == 0) and end % _PAGE == 0 for start, end in lost)


def _broken(path: Path, offset: int, why: ValueError) -> LedgerBroken:
    number = path.read_bytes()[:offset].count(b"\n") + 1
    hint = "`ccdr ledger verify` lists all damage; keep the directory as evidence, move it away to begin anew"
    return LedgerBroken(f"{path}:{number}: {why}", hint=hint)


def _append(path: Path, data: bytes) -> None:
    """Append all of `data` durably, or nothing: a full disk or an interrupt leaves no half line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before, rest = os.fstat(file).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
            if not before:
                _sync_directory(path.parent)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(file, before)
                if not before:
                    path.unlink()
            raise
    finally:
        os.close(file)


def _sync_directory(directory: Path) -> None:
    """Make new names in a directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _telling(done: str, directory: Path) -> Iterator[None]:
    """An operating system's refusal, as an error that a person can act on."""
    try:
        yield
    except OSError as error:
        hint = "see its owner and mode with `ls -ld`; run as its owner, or name another place with --state"
        if error.errno in _FULL:
            hint = "make room there and run again; nothing of this record was kept"
        why = error.strerror or str(error)
        raise CcdrError(f"the ledger {directory} could not be {done}: {why}", hint=hint) from error
