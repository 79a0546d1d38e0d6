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

import fcntl
import json
import os
import pwd
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from ccdr.evidence.ledger.appending import append_durably, end_of, lies_aside, torn_by_a_crash
from ccdr.evidence.ledger.lines import T, parsed, typed_lines
from ccdr.evidence.ledger.places import (
    BEGINNING,
    NOTHING,
    SEGMENT,
    Mark,
    Numbered,
    backwards,
    forwards,
    holding,
    line_around,
    line_as_record,
    mapped,
    segments_in,
    telling,
)
from ccdr.evidence.records import (
    Record,
)
from ccdr.evidence.records.lineage import LedgerBegin
from ccdr.evidence.records.upkeep import LedgerRecovered
from ccdr.evidence.records.writing import plain
from ccdr.host.files import sync_directory
from ccdr.model.values import RecordRef
from ccdr.ports.place import Clock

SEGMENT_BYTES = 16 * 1024**2  # a new segment begins once the last has grown to this
_OF_ITSELF = b'"kind":"ledger.'
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

    def as_read(self, *, reverse: bool = False) -> Iterator[Mapping[str, Any]]:
        """The same as readers fold them: what nothing can be taken from says so (PASSED_OVER)."""
        return self._each(typed_lines, reverse=reverse)

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
        if record is None or record["kind"] != RECOVERED or record.get("spoilt") is not True:
            return False
        before = self.hash_of(seq - 1) if seq > 1 else NOTHING.hash
        aside = str(record.get("file")), str(record.get("sha256"))
        return record["prev"] == prev == before and lies_aside(self.directory, *aside)

    def holds(self, mark: Mark) -> bool:
        """Is the line before this mark still where it was, byte for byte?"""
        return mark == BEGINNING or self.at(mark) is not None

    def at(self, mark: Mark) -> Mapping[str, Any] | None:
        """The record before this mark; None where it does not stand there, byte for byte and as a line of its own."""
        try:
            if not SEGMENT.fullmatch(mark.segment):
                return None
            with (self.directory / mark.segment).open("rb") as segment:
                segment.seek(max(0, mark.start - 1))
                before = segment.read(1) if mark.start else b"\n"
                line = segment.readline()
            record = line_as_record(line)
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
        with telling("read", self.directory):
            lines = Numbered(segments_in(self.directory))

        def record(seq: int) -> Mapping[str, Any] | None:
            with telling("read", self.directory), suppress(ValueError):
                line = lines.find(seq)
                return None if line is None else line_as_record(line)
            return None

        return record

    def hash_of(self, seq: int) -> str | None:
        """The hash of the line with this `seq`, found the same way."""
        with telling("read", self.directory), suppress(ValueError):
            line = Numbered(segments_in(self.directory)).find(seq)
            return None if line is None else sha256(line).hexdigest()
        return None

    def of_itself(self, mark: Mark) -> Iterator[Mapping[str, Any]]:
        """Every record behind a mark that is of the ledger itself (its kind begins with `ledger.`): the others are
        passed over unread, so that years of them cost little. Raises as `records` does."""
        with telling("read", self.directory):
            segments = segments_in(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                few = holding(path, _OF_ITSELF, mark.end if path.name == mark.segment else 0)
                for _, _, record in parsed(path, few, last=path == segments[-1], read=line_as_record):
                    if record["kind"].startswith("ledger."):
                        yield record

    def newest(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """Every record of this kind, the newest first: searched for from the end, the others passed over unread. Raises
        CcdrError where the directory cannot be read."""
        words = b'"kind":"%b"' % kind.encode()
        with telling("read", self.directory):
            for path in reversed(segments_in(self.directory)):
                held = mapped(path)
                at = held.rfind(words)
                while at >= 0:
                    start, end = line_around(held, at)
                    with suppress(ValueError):
                        record = line_as_record(held[start:end])
                        if record["kind"] == kind:
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

    def after(self, mark: Mark) -> Iterator[tuple[Mark, Mapping[str, Any]]]:
        """Every record behind a mark that holds, each with its own, as `told`. Raises as `records` does."""
        with telling("read", self.directory):
            segments = segments_in(self.directory)
            for path in segments:
                if path.name < mark.segment:
                    continue
                start = mark.end if path.name == mark.segment else 0
                lines = forwards(path, start)
                for offset, line, record in parsed(path, lines, last=path == segments[-1], read=typed_lines):
                    yield Mark(path.name, offset, offset + len(line), record["seq"], sha256(line).hexdigest()), record

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
        time = self.clock.now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
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
