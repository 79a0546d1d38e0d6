"""The summary: what the histories had come to when the ledger was last verified, so that whoever asks reads a day of
records, whatever the ledger's age.

The daily verification makes it anew from all of the ledger, and the ledgers beside ours, and its record holds the
file's digest. It is used where the file is as the newest such record says that found all well, and the line that it
was made up to is still there. In any other case all is read. It proves nothing: the verification
makes it anew up to the same record, and compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from ccdr.evidence.folding import Expected, Place, Summing, head_of
from ccdr.evidence.history.asset_history import NEVER, AssetHistory, Histories
from ccdr.evidence.history.fold import FORMAT, may_have_ended, read_history
from ccdr.evidence.ledger.ledger import BEGINNING, Ledger, Mark
from ccdr.evidence.population import Population, Unsound, merged
from ccdr.evidence.records import LedgerVerified, Record
from ccdr.host.built import built
from ccdr.host.files import write_durably
from ccdr.host.state import State

HOLDS = "HOLDS"  # what a verification found that found all well
MANY = 1000  # records: more than this are not read twice by one process
T = TypeVar("T", "Summary", "_Header")
_NAME = re.compile(r"histories-[0-9]{12}\.state")


@dataclass(frozen=True)
class _Header:
    """Of a summary what tells whether it can be read on from."""

    format: int
    mark: Mark
    beside: list[list[Any]]


@dataclass(frozen=True)
class Summary(_Header):
    """The histories as they were once `mark` was read, with the ledgers `beside` (their key); `latest` is the latest
    time of our records up to there."""

    latest: datetime
    histories: list[tuple[str | None, str | None, AssetHistory]]

    @property
    def known(self) -> Histories:
        return {(plan, asset): history for plan, asset, history in self.histories}


@dataclass(frozen=True)
class _Entries(_Header):
    """The same, of which each history is to be compared and not to be read."""

    latest: datetime
    histories: list[msgspec.Raw]


def sum_up(ledger: Ledger, beside: Population, mark: Mark) -> Summing:
    """What the ledger, up to this mark, and those beside it come to."""
    summing = Summing(beside.key)

    def ours() -> Iterator[tuple[Mark, Record]]:
        for at, record in ledger.after(BEGINNING):
            if record.seq > mark.seq:
                return
            yield at, record

    for at, record in merged(ours, beside) if beside else ours():
        summing.take(record, ours=at is not None)
    return summing


@dataclass(frozen=True)
class File:
    """What the newest verification that found all well has kept; `as_recorded`: as its record says."""

    name: str
    contents: bytes
    as_recorded: bool

    def mark(self, beside: Population) -> Mark | None:
        """Up to where it was made; None where it is nothing to go on from with these beside."""
        header = self._read(_Header, beside)
        return header.mark if header else None

    def summary(self, beside: Population) -> Summary | None:
        """All of it; None where it is nothing to go on from with these beside."""
        return self._read(Summary, beside)

    def expected(self, beside: Population) -> Expected | None:
        """What another summary is to say that is made up to the same record; None where it is nothing to go on from
        with these beside."""
        if (mark := self.mark(beside)) is None:
            return None
        entries, sound, latest = dict[Place, bytes](), False, NEVER
        with suppress(ValueError):
            summary = msgspec.msgpack.decode(self.contents, type=built(_Entries))
            size, latest = 0, summary.latest
            for one in summary.histories:
                plan, asset, _ = msgspec.msgpack.decode(one, type=tuple[str | None, str | None, msgspec.Raw])
                entries[plan, asset], size = sha256(one).digest(), size + len(one)
            head = head_of(mark, beside.key, latest, len(entries))  # each place once, and nothing else
            sound = self.contents.startswith(head) and len(self.contents) == len(head) + size
        return Expected(mark, latest, entries, sound)

    def _read(self, definition: type[T], beside: Population) -> T | None:
        with suppress(ValueError):
            if self.as_recorded:
                summary = msgspec.msgpack.decode(self.contents, type=built(definition))
                return summary if summary.format == FORMAT and summary.beside == beside.key else None
        return None


def kept(state: State, ledger: Ledger) -> File | None:
    """None where none was made, or it is gone: then all is read. What was found wrong since changes nothing of it."""
    newest = (one for one in ledger.newest(LedgerVerified) if isinstance(one, LedgerVerified))
    held = next((one for one in newest if one.result == HOLDS), None)
    for name, digest in held.index.items() if held is not None else ():
        if _NAME.fullmatch(name):
            with suppress(OSError):
                contents = (state.index / name).read_bytes()
                return File(name, contents, sha256(contents).hexdigest() == digest)
    return None


def keep_summary(state: State, mark: Mark, made: Iterable[bytes]) -> dict[str, str]:
    """Keep what was `made` up to this mark, in pieces; its digest by the file's name, for the record of the
    verification."""
    name, digest = f"histories-{mark.seq:012}.state", sha256()

    def digested() -> Iterator[bytes]:
        for piece in made:
            digest.update(piece)
            yield piece

    write_durably(state.index / name, digested())
    return {name: digest.hexdigest()}


def forget_older(state: State, index: Mapping[str, str]) -> None:
    """Remove what an older verification had kept, a report's index too, once the record of the newest is written."""
    for path in state.index.glob("*.state"):
        if path.name not in index:
            path.unlink(missing_ok=True)


@dataclass
class Memory:
    """What one process has read of the ledger, as a file of it would be: whoever asks again reads on from there.
    `unsound`: ledgers beside ours that it has found so when it last read all, and left out."""

    file: File | None = None
    unsound: tuple[Unsound, ...] = ()


@dataclass
class _Read:
    """What was read, up to `mark`: so many records."""

    summing: Summing
    mark: Mark = BEGINNING
    count: int = 0

    def take(self, mark: Mark | None, record: Record) -> None:
        self.summing.take(record, ours=mark is not None)
        self.mark, self.count = mark or self.mark, self.count + 1


def _on_from(file: File | None, ledger: Ledger, beside: Population) -> _Read | None:
    """None where it is not of this ledger and these beside it; and where our clock was set back since: then earlier
    records of ours may have another place among those of others."""
    summary = file.summary(beside) if file else None
    if summary is None or not ledger.holds(summary.mark):
        return None
    read = _Read(Summing(beside.key, summary.known, summary.latest), summary.mark)
    for mark, record in ledger.after(summary.mark):
        if beside and record.time < read.summing.latest:
            return None
        read.take(mark, record)
    return read


def _from_the_beginning(ledger: Ledger, beside: Population, sound: Population) -> _Read:
    """`sound`: of those beside ours, those that verify."""
    read, ours = _Read(Summing(beside.key)), partial(ledger.after, BEGINNING)
    for mark, record in merged(ours, sound) if beside else ours():
        read.take(mark, record)
    return read


def histories(
    state: State,
    ledger: Ledger,
    beside: Population,
    memory: Memory,
    *,
    at_work: Callable[[str], bool] | None = None,
) -> Histories:
    """What our ledger and those beside it say of each asset: from the summary on, where there is one to begin with, or
    from what this process has read before.

    `at_work` tells of a run (by its id) whether a process holds it; without it, whatever has no end counts as crashed.
    CcdrError where the ledger cannot be read. Changes nothing but the `memory`, which also tells afterwards what was
    left out. Where a summary is read on from, those beside ours were verified when it was made, and are not again.
    """
    memory.unsound = ()
    read = _on_from(memory.file, ledger, beside) or _on_from(kept(state, ledger), ledger, beside)
    if read is None:
        sound, memory.unsound = beside.examined()
        read = _from_the_beginning(ledger, beside, sound)
    known = read.summing.known
    if read.count >= MANY and not memory.unsound:  # whoever asks again is told of these again
        memory.file = File("", b"".join(read.summing.up_to(read.mark)), as_recorded=True)
    if at_work is not None:
        _follow_the_open(ledger, read.mark, known, at_work)
    if ledger.spoilt():
        known.setdefault((None, None), AssetHistory()).spoilt.append((None, read.mark.seq + 1))
    return known


def _follow_the_open(ledger: Ledger, mark: Mark, known: Histories, at_work: Callable[[str], bool]) -> None:
    """Which starts without an end are of runs at work. A run is held from before its start is recorded until its end
    is: so whoever was not held, and has no end in what is read of the ledger *after* that was looked at, has crashed;
    and nobody who ended between the two looks is taken for it. What has begun since is at work."""
    crashed = {
        run
        for history in known.values()
        for run, begun in history.open_runs.items()
        if not (at_work(run) if begun.origin is None else may_have_ended(begun.time, begun.origin))
    }
    if crashed:
        read_history((record for _, record in ledger.after(mark)), known)
    for history in known.values():
        history.at_work = [run for run in history.open_runs if run not in crashed]
