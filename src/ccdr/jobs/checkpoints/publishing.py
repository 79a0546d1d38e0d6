"""Evidence to a bucket, by a credential that may only put: the lines since the last checkpoint that is there, and then
the checkpoint. What was put twice, as a crash came between, does no harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ccdr.evidence.checkpoints.checkpoint import Checkpoint
from ccdr.evidence.ledger.places import forwards, holding, line_as_record, segments_in, telling
from ccdr.storage.evidence_bucket import EvidenceBucket, Stored, Stretch, aside_key, checkpoint_key, segment_key

_RECOVERED = b'"kind":"ledger.recovered"'


@dataclass(frozen=True)
class Lines:
    """Records `first` to `last`, which stand from `start` to `end` in one segment of the ledger."""

    path: Path
    first: int
    last: int
    start: int
    end: int

    def set_aside(self) -> Iterator[Path]:
        """What these records say was set aside of a line that was torn, or changed."""
        for offset, line in holding(self.path, _RECOVERED, self.start):
            if offset < self.end:
                yield self.path.parent / str(line_as_record(line).get("file"))


def stretches(directory: Path, since: int, size: int) -> Iterator[Lines]:
    """The lines of records `since` + 1 to `size`, of each segment of the ledger those that are in it."""
    segments = segments_in(directory)
    for number, path in enumerate(segments):
        follows = int(segments[number + 1].stem) if number + 1 < len(segments) else size + 1
        first, last = max(int(path.stem), since + 1), min(follows - 1, size)
        if first > last:
            continue
        start, end = 0, 0
        for seq, (offset, line) in enumerate(forwards(path), start=int(path.stem)):
            start = offset if seq == first else start
            if seq > last:
                break
            end = offset + len(line)
        yield Lines(path, first, last, start, end)


def publish(
    store: EvidenceBucket, directory: Path, checkpoint: Checkpoint, since: int, now: datetime
) -> tuple[Stored, list[Stored]]:
    """Put the lines from behind record `since` up to the checkpoint, and then it: what came of it, and of them. As the
    bucket's calls; CcdrError where the ledger cannot be read."""
    put: list[Stored] = []
    with telling("read", directory):
        for lines in stretches(directory, since, checkpoint.size):
            for path in lines.set_aside():
                if path.is_file():
                    put.append(store.put(aside_key(checkpoint.origin, path.name), path.read_bytes(), now))
            key = segment_key(checkpoint.origin, lines.first, lines.last)
            put.append(store.put(key, Stretch(lines.path, lines.start, lines.end), now))
    return store.put(checkpoint_key(checkpoint.origin, checkpoint.size), checkpoint.contents, now), put
