"""Evidence to a bucket, by a credential that may only put: the lines since the last ones that are there, and then
the checkpoint; the plans, where that is asked for. What was put twice, as a crash came between, does no harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence.checkpoints.checkpoint import RFC3161, Checkpoint, ledger_of_origin
from ccdr.evidence.checkpoints.names import ANCHORS, checkpoint_name
from ccdr.evidence.checkpoints.receipts import name_of as receipt_of
from ccdr.evidence.ledger.ledger import forwards, holding, line_as_record, segments_in, telling
from ccdr.evidence.lineage.own_records import ANCHORED
from ccdr.evidence.records.plans import version_of
from ccdr.host.state_files import StateFile, state_or_none, write_state
from ccdr.jobs.checkpoints.store import directory_of
from ccdr.jobs.in_force import kept_texts
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.storage.evidence_bucket import (
    EvidenceBucket,
    Stored,
    Stretch,
    aside_key,
    checkpoint_key,
    plan_key,
    receipt_key,
    segment_key,
)
from ccdr.storage.s3 import Refused

AT_ONCE = 4 * 1024**2  # bytes of one object: what a slow line takes in a few seconds
_RECOVERED, _ANCHORED = (f'"kind":"{kind}"'.encode() for kind in ("ledger.recovered", ANCHORED))


@dataclass(frozen=True)
class Lines:
    """Records `first` to `last`, which stand from `start` to `end` in one segment of the ledger."""

    path: Path
    first: int
    last: int
    start: int
    end: int

    def holding(self, words: bytes) -> Iterator[Mapping[str, Any]]:
        """Those of these records whose lines hold `words`."""
        for offset, line in holding(self.path, words, self.start):
            if offset < self.end:
                yield line_as_record(line)


def stretches(directory: Path, since: int, size: int, at_once: int = AT_ONCE) -> Iterator[Lines]:
    """The lines of records `since` + 1 to `size`, each stretch of one segment, and of about `at_once` bytes at most."""
    segments = segments_in(directory)
    for number, path in enumerate(segments):
        follows = int(segments[number + 1].stem) if number + 1 < len(segments) else size + 1
        if follows <= since + 1 or int(path.stem) > size:
            continue
        first, start, seq, end = 0, 0, 0, 0
        for seq, (offset, line) in enumerate(forwards(path), start=int(path.stem)):
            if seq > min(size, follows - 1):
                seq -= 1
                break
            end = offset + len(line)
            if seq <= since:
                continue
            if not first:
                first, start = seq, offset
            if end - start >= at_once:
                yield Lines(path, first, seq, start, end)
                first = 0
        if first:
            yield Lines(path, first, seq, start, end)


class Put(StateFile, frozen=True):
    """What a bucket took so far: the lines of records up to `until`, and versions of plans, by their digests."""

    until: int = 0
    plans: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """What the bucket took: the checkpoint, and so many objects of lines before it."""

    checkpoint: Stored
    objects: int


@dataclass(frozen=True)
class Publishing:
    """To one bucket. How far it has the lines is kept beside the checkpoints: who may only put cannot ask there."""

    store: EvidenceBucket
    services: Services
    at_once: int = field(default=AT_ONCE)
    with_plans: bool = False

    def publish(self, checkpoint: Checkpoint, go_on: Callable[[], bool] = lambda: True) -> Published:
        """Put the lines up to the checkpoint, and then it. As the bucket's calls; CcdrError where the ledger cannot be
        read, or where `go_on` said no: what was put until then is not put again."""
        ledger, origin, objects = ledger_of_origin(checkpoint.origin), checkpoint.origin, 0
        assert ledger is not None, "it is of this host's ledger"
        directory, now = self.services.ledger.directory, self.services.clock.now()
        with telling("read", directory):
            for lines in stretches(directory, self._until(ledger), checkpoint.size, self.at_once):
                if not go_on():
                    problem = f"the evidence bucket has records up to {lines.first - 1} of {checkpoint.size} by now"
                    raise CcdrError(problem, hint="the next run goes on from there")
                for key, path in self._files_of(lines, ledger, origin):
                    if path.is_file():
                        self.store.put(key, path.read_bytes(), now)
                key = segment_key(origin, lines.first, lines.last)
                self.store.put(key, Stretch(lines.path, lines.start, lines.end), now)
                self._note(ledger, until=lines.last)
                objects += 1
        put = self.store.put(checkpoint_key(origin, checkpoint.size), checkpoint.contents, now)
        if self.with_plans:
            try:
                self._put_plans(ledger, origin, now, go_on)
            except Refused as refused:
                problem = f"the evidence bucket has the checkpoint, and takes no plans ({refused.code})"
                hint = "let the host's credential put below plans/, as `ccdr access policies` prints it"
                raise CcdrError(problem, hint=hint) from None
        return Published(put, objects)

    def _files_of(self, lines: Lines, ledger: str, origin: str) -> Iterator[tuple[str, Path]]:
        """What these records tell of and is no line: what was set aside of one that was torn or changed; tokens, and
        the checkpoints that they are over. Other receipts only say that somebody was given one."""
        for record in lines.holding(_RECOVERED):
            name = str(record.get("file"))
            yield aside_key(origin, name), lines.path.parent / name
        for record in lines.holding(_ANCHORED):
            if record.get("anchor") == RFC3161:
                size, there = int(record["size"]), directory_of(self.services.state, ledger)
                name = receipt_of(size, str(record["name"]), RFC3161)
                yield checkpoint_key(origin, size), there / checkpoint_name(size)  # this bucket may have missed it
                yield receipt_key(origin, name), there / ANCHORS / name

    def _put_plans(self, ledger: str, origin: str, now: datetime, go_on: Callable[[], bool]) -> None:
        """The files of each plan's newest version, as they were kept; those that there is no time for the next time."""
        done = self._noted(ledger).plans
        for (plan, asset), history in self.services.histories().items():
            record = history.version if asset is None and plan is not None else None
            version = version_of(record) if record is not None else None
            if version is None or version.digest in done or not go_on():
                continue
            if texts := kept_texts(self.services, version.plan, version.digest):
                for name, text in texts.items():
                    self.store.put(plan_key(origin, version.digest, name), text, now)
                done = (*done, version.digest)
                self._note(ledger, plans=done)

    def _note(self, ledger: str, **what: object) -> None:
        write_state(self._kept(ledger), msgspec.structs.replace(self._noted(ledger), **what))

    def _noted(self, ledger: str) -> Put:
        """From the beginning where nobody knows any more."""
        return state_or_none(self._kept(ledger), Put) or Put()

    def _kept(self, ledger: str) -> Path:
        there = sha256(self.store.url.encode()).hexdigest()[:12]
        return directory_of(self.services.state, ledger) / "put" / f"{there}.json"

    def _until(self, ledger: str) -> int:
        """Up to which record it has them."""
        return self._noted(ledger).until
