"""The evidence: an append-only ledger in which every line holds the hash of the line before.

A directory of segments `<first seq, 12 digits>.jsonl`, one chain across all of them. A line is compact JSON
in UTF-8: `seq` from 1, `prev` (SHA-256 of the exact bytes of the line before, newline included; 64 zeros for
the first), `time` (UTC, microseconds), `host`, `actor`, `kind`, `plan`, `asset`, `run`, `version`, then the
record's own keys, as its kind's definition has them (records/). All texts are of closed kinds.
Beside them lie `lock` (the writers'), `id` (which ledger it is, as its
record `ledger.begin` says: lineage/) and `torn-*.bin` (what a crashed writer left of a line; or a whole last line
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
from dataclasses import dataclass
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ccdr.evidence.records import KIND_OF, Record, Unread, decode, envelope, strictly
from ccdr.evidence.records.lineage import LedgerBegin
from ccdr.evidence.records.statements import ANSWER_LEDGER, kind_of
from ccdr.evidence.records.upkeep import LedgerRecovered
from ccdr.evidence.records.writing import plain
from ccdr.host.files import sync_directory
from ccdr.model.errors import CcdrError, LedgerBroken
from ccdr.model.values import RecordRef, stamped
from ccdr.ports.place import Clock

# What is wrong with a ledger: a sentence, with a stable code for programs.

LEDGER = "LEDGER"  # the code of a sentence that has none of its own


class LedgerProblem(str):
    """A sentence. `record`: the number of the record that it is about, where that is known."""

    __slots__ = ("code", "record")
    code: str
    record: int | None

    def __new__(cls, text: str, code: str = LEDGER, record: int | None = None) -> LedgerProblem:
        made = super().__new__(cls, text)
        made.code, made.record = code, record
        return made

    def __reduce__(self) -> tuple[type[LedgerProblem], tuple[str, str, int | None]]:
        return LedgerProblem, (str(self), self.code, self.record)

    def fit_to_print(self) -> LedgerProblem:
        """Whatever names and values it quotes."""
        text = self.encode("utf-8", "backslashreplace").decode()
        return LedgerProblem(text, self.code, self.record)


def as_findings(problems: object) -> list[dict[str, object]]:
    """For `--json`: of sentences, of those that have a code, and of findings that tell themselves."""
    assert isinstance(problems, (list, tuple))
    return [_as_finding(one) for one in problems]


def _as_finding(one: object) -> dict[str, object]:
    if hasattr(one, "as_json"):
        return dict(one.as_json())
    return {"code": getattr(one, "code", LEDGER), "text": str(one), "record": getattr(one, "record", None)}


# Where lines of a ledger stand in its segments: read forwards, backwards, by number, without what else is there.

_BLOCK = 64 * 1024  # how much of a segment's end is read at a time
READ_AHEAD = 256 * 1024  # bytes: line by line in the usual 8 KiB takes twice as long
NOTHING = RecordRef(0, "0" * 64)  # what the first record follows
SEGMENT = re.compile(r"[0-9]{12}\.jsonl")
_SEQ = re.compile(rb'\{"seq":([0-9]{1,18}),')  # how a line begins
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Extent = dict[str, int]  # how far a ledger is read: segments by name, in order, and their bytes


@dataclass(frozen=True)
class Mark:
    """A place in the ledger: behind the record `seq`, whose line stands from `start` to `end` in `segment`."""

    segment: str
    start: int
    end: int
    seq: int
    hash: str


BEGINNING = Mark("", 0, 0, 0, NOTHING.hash)


def extent_of(directory: Path) -> Extent:
    """The segments as they are now, in order, and their sizes in bytes. CcdrError where they cannot be read."""
    with telling("read", directory):
        return {path.name: path.stat().st_size for path in segments_in(directory)}


def lines(directory: Path, extent: Extent, since: Mark = BEGINNING) -> Iterator[bytes]:
    """Every line behind a mark, as far as the extent goes: unread, for who has another process verify them. What is
    torn is left out, and what was written meanwhile."""
    for name, size in extent.items():
        if name < since.segment:
            continue
        begin = since.end if name == since.segment else 0
        left = size - begin
        with (directory / name).open("rb", READ_AHEAD) as segment:
            segment.seek(begin)
            for line in segment:
                if left <= 0 or not line.endswith(b"\n"):
                    break
                left -= len(line)
                yield line


def line_as_record(line: bytes) -> dict[str, Any]:
    """A whole line as a mapping with its envelope; ValueError says what is wrong, without quoting data."""
    if not line.endswith(b"\n"):
        raise ValueError("cut off: it does not end in a newline")
    record: dict[str, Any] = strictly(line)
    envelope(record)
    return record


class Numbered:
    """Lines by their number, in segments that are mapped once each."""

    def __init__(self, segments: list[Path]) -> None:
        self._segments, self._held = segments, dict[Path, mmap.mmap | bytes]()

    def find(self, seq: int) -> bytes | None:
        """ValueError where a line that is looked at is no record; the last one may be torn."""
        path = next((p for p in reversed(self._segments) if int(p.stem) <= seq), None)
        if path is None:
            return None
        held = self._mapped(path)
        low, high = 0, len(held)
        while low < high:  # its line begins in between
            start = held.rfind(b"\n", 0, (low + high) // 2) + 1
            end = held.find(b"\n", start) + 1 or len(held)
            line = held[start:end]
            try:
                number = _seq_of(line)
            except ValueError:
                if end < len(held):
                    raise
                high = start  # a crash's: what is before it is there as it was
                continue
            if number == seq:
                return line
            low, high = (low, start) if number > seq else (end, high)
        return None

    def _mapped(self, path: Path) -> mmap.mmap | bytes:
        if path not in self._held:
            self._held[path] = mapped(path)
        return self._held[path]


def mapped(path: Path) -> mmap.mmap | bytes:
    with path.open("rb") as segment:
        size = os.fstat(segment.fileno()).st_size
        return mmap.mmap(segment.fileno(), size, access=mmap.ACCESS_READ) if size else b""


def _seq_of(line: bytes) -> int:
    match = _SEQ.match(line)
    return int(match[1]) if match and line.endswith(b"\n") else int(line_as_record(line)["seq"])


def files_in(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except FileNotFoundError:
        return []


def segments_in(directory: Path) -> list[Path]:
    return [path for path in files_in(directory) if SEGMENT.fullmatch(path.name)]


def forwards(path: Path, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Lines and where they begin; ends after one without a newline, whatever is written meanwhile."""
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            yield offset, line
            if not line.endswith(b"\n"):
                return
            offset += len(line)


def holding(path: Path, words: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Of these lines the few that hold `words`, ten times as fast: the whole segment is searched at once."""
    with path.open("rb") as file:
        file.seek(offset)
        held = file.read()
    at = held.find(words)
    while at >= 0:
        start, end = line_around(held, at)
        yield offset + start, held[start:end]
        at = held.find(words, end)


def line_around(held: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    return held.rfind(b"\n", 0, at) + 1, held.find(b"\n", at) + 1 or len(held)


def backwards(path: Path) -> Iterator[tuple[int, bytes]]:
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


def broken(path: Path, offset: int, why: ValueError) -> LedgerBroken:
    number = path.read_bytes()[:offset].count(b"\n") + 1
    hint = "`ccdr ledger verify` lists all damage; keep the directory as evidence, move it away to begin anew"
    return LedgerBroken(f"{path}:{number}: {why}", hint=hint)


@contextmanager
def telling(done: str, directory: Path) -> Iterator[None]:
    """An operating system's refusal, as an error that a person can act on."""
    try:
        yield
    except OSError as error:
        hint = "see its owner and mode with `ls -ld`; run as its owner, or name another place with --state"
        if error.errno in _FULL:
            hint = "make room there and run again; nothing of this record was kept"
        why = error.strerror or str(error)
        raise CcdrError(f"the ledger {directory} could not be {done}: {why}", hint=hint) from error


T = TypeVar("T")
R = TypeVar("R", bound=Record)


def parsed(
    path: Path, lines: Iterable[tuple[int, bytes]], *, last: bool, read: Callable[[bytes], T]
) -> Iterator[tuple[int, bytes, T]]:
    for offset, line in lines:
        try:
            record = read(line)
        except ValueError as why:
            if last and (not line.endswith(b"\n") or offset + len(line) >= path.stat().st_size):
                continue  # torn; the next append sets it aside
            raise broken(path, offset, why) from None
        yield offset, line, record


# Bytes onto the end of a segment: all of them, durably, or none; and what a crash has left torn there.

_ZEROS = re.compile(rb"\0+")
_PAGE = 512  # bytes, which a disk writes at once; what a file system does is a multiple
_ASIDE = re.compile(r"torn-[0-9A-Za-z.-]{1,100}\.bin")


def end_of(segments: list[Path]) -> tuple[RecordRef, tuple[Path, int, bytes] | None]:
    """The last record, and what stands torn behind it: file, offset, bytes.

    A line can be torn and yet end in a newline, where a power cut kept its last page and lost an earlier one.
    """
    torn = None
    for path in reversed(segments):
        for offset, line in backwards(path):
            try:
                return RecordRef(line_as_record(line)["seq"], sha256(line).hexdigest()), torn
            except ValueError as why:
                if torn is not None:
                    raise broken(path, offset, why) from None
                torn = (path, offset, line)
    return NOTHING, torn


def lies_aside(directory: Path, name: str, digest: str) -> bool:
    """Are the bytes there that a record says were set aside in this file?"""
    if not _ASIDE.fullmatch(name):
        return False
    with suppress(OSError):
        return sha256((directory / name).read_bytes()).hexdigest() == digest
    return False


def torn_by_a_crash(offset: int, line: bytes) -> bool:
    """Can a crash have left it, where it begins so far into its segment? A line is written at once, its newline last:
    without that it was cut short. Where a power cut kept its last page and lost an earlier one, there are zeros in that
    one's place, from where the line or the page begins to where the page ends, and none elsewhere."""
    if not line.endswith(b"\n"):
        return True
    lost = [(offset + run.start(), offset + run.end()) for run in _ZEROS.finditer(line)]
    return bool(lost) and all((start == offset or start % _PAGE == 0) and end % _PAGE == 0 for start, end in lost)


def append_durably(path: Path, data: bytes) -> None:
    """Append all of `data` durably, or nothing: a full disk or an interrupt leaves no half line."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        before, rest = os.fstat(file).st_size, memoryview(data)
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
            os.fsync(file)
            if not before:
                sync_directory(path.parent)
        except BaseException:
            with suppress(OSError):
                os.ftruncate(file, before)
                if not before:
                    path.unlink()
            raise
    finally:
        os.close(file)


SEGMENT_BYTES = 16 * 1024**2  # a new segment begins once the last has grown to this
_OF_ITSELF = b'":"ledger'  # `"kind":"ledger.begin"`, `"of":"ledger"`
BEGIN = "ledger.begin"  # the record by which a ledger says which one it is
RECOVERED = "ledger.recovered"  # the last line was no record, and was set aside


class Beginning(Protocol):
    """Asked before each record, with the last one that is there: a ledger says first which one it is. What it has to
    say it gives to `write`, and returns what the record then follows. It raises what `write` may."""

    def __call__(self, last: RecordRef, write: Callable[[LedgerBegin], RecordRef]) -> RecordRef: ...


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

    def write(self, record: Record) -> RecordRef:
        """Write one record and return once it is on disk; waits while another writer is at it.

        A last line that is no record is set aside first, and recorded as `ledger.recovered`, which says whether it is
        what a crashed writer left.
        Raises ValueError for what its kind's definition (records/) does not hold: a defect of ours. LedgerBroken where
        the ledger's end cannot be read, CcdrError where the disk refuses; then nothing of the record is kept.
        """
        return self._append(plain(record))

    def _append(self, fields: dict[str, object]) -> RecordRef:
        """As `write`, whatever it is: tests write with it what another ccdr would."""
        line_as_record(self._line(NOTHING, fields))  # never write what verify would refuse
        with telling("written", self.directory), self._locked():
            last, torn = end_of(segments_in(self.directory))
            if torn is not None:
                last = self._completed(last, *torn) or self._write(last, self._set_aside(*torn))
            return self._write(self._begun(last), fields)

    def head(self) -> RecordRef:
        """The last record; number 0 where there is none. Raises as `records` does."""
        with telling("read", self.directory):
            return end_of(segments_in(self.directory))[0]

    def records(self, *, reverse: bool = False) -> Iterator[Mapping[str, Any]]:
        """Every record in order, one line in memory at a time; no lock, and the chain is not checked.

        A last line that is torn, or still being written, is left out. Raises LedgerBroken for any other line
        that is no record, CcdrError where the directory cannot be read.
        """
        return self._each(line_as_record, reverse=reverse)

    def as_read(self, *, reverse: bool = False) -> Iterator[Record]:
        """The same as structs: what nothing can be taken from is `Unread`."""
        return self._each(decode, reverse=reverse)

    def _each(self, read: Callable[[bytes], T], *, reverse: bool) -> Iterator[T]:
        with telling("read", self.directory):
            segments = segments_in(self.directory)
            for path in reversed(segments) if reverse else segments:
                lines = backwards(path) if reverse else forwards(path)
                for _, _, record in parsed(path, lines, last=path == segments[-1], read=read):
                    yield record

    def spoilt(self) -> bool:
        """Is the last line no record, though no crash leaves one so? The next append sets it aside, and says it."""
        with telling("read", self.directory):
            _, last = end_of(segments_in(self.directory))
        return last is not None and not torn_by_a_crash(*last[1:])

    def lacks(self, seq: int, prev: str) -> bool:
        """Is the line of this number lost, and nothing else: does a record tell in its place that it had been changed,
        are the bytes there that were set aside, and does it follow the record of the hash `prev`, as the line did?"""
        record = self.numbered(seq)
        if not isinstance(record, LedgerRecovered) or not record.spoilt:
            return False
        before = self.hash_of(seq - 1) if seq > 1 else NOTHING.hash
        return record.prev == prev == before and lies_aside(self.directory, record.file, record.sha256)

    def holds(self, mark: Mark) -> bool:
        """Is the line before this mark still where it was, byte for byte?"""
        return mark == BEGINNING or self.at(mark) is not None

    def at(self, mark: Mark) -> Record | None:
        """The record before this mark; None where it does not stand there, byte for byte and as a line of its own."""
        try:
            if not SEGMENT.fullmatch(mark.segment):
                return None
            with (self.directory / mark.segment).open("rb") as segment:
                segment.seek(max(0, mark.start - 1))
                before = segment.read(1) if mark.start else b"\n"
                line = segment.readline()
            record = decode(line)
        except (OSError, ValueError, TypeError):
            return None
        right = before == b"\n" and len(line) == mark.end - mark.start
        right = right and record.seq == mark.seq and sha256(line).hexdigest() == mark.hash
        return record if right else None

    def numbered(self, seq: int) -> Record | None:
        """The record with this `seq`, found by halving its segment; None where it is not met. Raises as `records`."""
        return self.numbering()(seq)

    def numbering(self) -> Callable[[int], Record | None]:
        """The same for many, in the segments as they are now. What is returned raises as `records` does."""
        with telling("read", self.directory):
            lines = Numbered(segments_in(self.directory))

        def record(seq: int) -> Record | None:
            with telling("read", self.directory), suppress(ValueError):
                line = lines.find(seq)
                return None if line is None else decode(line)
            return None

        return record

    def hash_of(self, seq: int) -> str | None:
        """The hash of the line with this `seq`, found the same way."""
        with telling("read", self.directory), suppress(ValueError):
            line = Numbered(segments_in(self.directory)).find(seq)
            return None if line is None else sha256(line).hexdigest()
        return None

    def of_itself(self, mark: Mark) -> Iterator[Record]:
        """Every record behind a mark that is of the ledger itself (its kind begins with `ledger.`, or somebody answers
        for what it lost): the others are passed over unread, so that years of them cost little. Raises as `records`
        does."""
        with telling("read", self.directory):
            segments = segments_in(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                few = holding(path, _OF_ITSELF, mark.end if path.name == mark.segment else 0)
                for _, _, record in parsed(path, few, last=path == segments[-1], read=decode):
                    if record.kind.startswith("ledger.") or kind_of(record) == ANSWER_LEDGER.kind:
                        yield record

    def newest(self, of: type[R]) -> Iterator[R | Unread]:
        """Every record of this kind, the newest first: searched for from the end, the others passed over unread. Raises
        CcdrError where the directory cannot be read."""
        kind = KIND_OF[of]
        words = b'"kind":"%b"' % kind.encode()
        with telling("read", self.directory):
            for path in reversed(segments_in(self.directory)):
                held = mapped(path)
                at = held.rfind(words)
                while at >= 0:
                    start, end = line_around(held, at)
                    with suppress(ValueError):
                        record = decode(held[start:end])
                        if isinstance(record, of) or (isinstance(record, Unread) and record.kind == kind):
                            yield record
                    at = held.rfind(words, 0, start)

    def recently(self) -> Mark:
        """Where its two newest segments begin: what can be gone through whatever the ledger's age."""
        with telling("read", self.directory):
            segments = segments_in(self.directory)
        return BEGINNING if len(segments) <= 2 else Mark(segments[-2].name, 0, 0, 0, "")

    def mark_of(self, ref: RecordRef) -> Mark | None:
        """Where a record stands, found from the end. Raises as `records` does."""
        with telling("read", self.directory):
            for path in reversed(segments_in(self.directory)):
                for offset, line in backwards(path):
                    if sha256(line).hexdigest() == ref.hash:
                        return Mark(path.name, offset, offset + len(line), ref.seq, ref.hash)
        return None

    def after(self, mark: Mark) -> Iterator[tuple[Mark, Record]]:
        """Every record behind a mark that holds, each with its own, as a struct. Raises as `records` does."""
        with telling("read", self.directory):
            segments = segments_in(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                start = mark.end if path.name == mark.segment else 0
                lines = forwards(path, start)
                for offset, line, record in parsed(path, lines, last=path == segments[-1], read=decode):
                    yield Mark(path.name, offset, offset + len(line), record.seq, sha256(line).hexdigest()), record

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if not self.directory.is_dir():
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_directory(self.directory.parent)
        lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:  # closing gives the lock back, and so does any death of this process
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _line(self, last: RecordRef, fields: dict[str, object]) -> bytes:
        time = stamped(self.clock.now())
        chain = {"seq": last.seq + 1, "prev": last.hash, "time": time, "host": self.host, "actor": self.actor}
        text = json.dumps(chain | fields, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        # A file name that is not UTF-8 comes as lone surrogates: escaped they are JSON, and nothing is lost.
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _begun(self, last: RecordRef) -> RecordRef:
        def write(begin: LedgerBegin) -> RecordRef:
            return self._write(last, plain(begin))

        return last if self._begin is None else self._begin(last, write)

    def _write(self, last: RecordRef, fields: dict[str, object]) -> RecordRef:
        line, segments = self._line(last, fields), segments_in(self.directory)
        if segments and segments[-1].stat().st_size < self.segment_bytes:
            append_durably(segments[-1], line)
        else:
            append_durably(self.directory / f"{last.seq + 1:012}.jsonl", line)
        return RecordRef(last.seq + 1, sha256(line).hexdigest())

    def _completed(self, last: RecordRef, path: Path, _: int, torn: bytes) -> RecordRef | None:
        """Of a line of which nothing but its newline is missing, and that fits: it is all there, and stays."""
        line = torn + b"\n"
        try:
            record = line_as_record(line)
        except ValueError:
            return None
        if torn.endswith(b"\n") or (record["seq"], record["prev"]) != (last.seq + 1, last.hash):
            return None
        append_durably(path, b"\n")
        return RecordRef(last.seq + 1, sha256(line).hexdigest())

    def _set_aside(self, path: Path, offset: int, torn: bytes) -> dict[str, object]:
        digest = sha256(torn).hexdigest()
        stamp = self.clock.now().astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        aside = self.directory / f"torn-{stamp}-{digest[:8]}.bin"  # the same name only for the same bytes
        aside.unlink(missing_ok=True)
        append_durably(aside, torn)
        with path.open("r+b") as segment:
            segment.truncate(offset)
            os.fsync(segment.fileno())
        spoilt = not torn_by_a_crash(offset, torn)
        return plain(LedgerRecovered(file=aside.name, segment=path.name, bytes=len(torn), sha256=digest, spoilt=spoilt))


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
