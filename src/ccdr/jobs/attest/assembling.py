"""A ledger, put together from stretches of its lines: what is there already, and what follows on from it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO

from ccdr.evidence.checkpoints.found import Finding
from ccdr.evidence.ledger.ledger import SEGMENT_BYTES
from ccdr.evidence.ledger.places import NOTHING, Numbered, files_in, line_as_record, segments_in
from ccdr.evidence.lineage.beside import reader
from ccdr.storage.evidence_bucket import Key


@dataclass
class Assembly:
    """In `directory`, so far `records` lines, the last of which has the hash `head`."""

    directory: Path
    records: int = 0
    head: str = NOTHING.hash
    _file: IO[bytes] | None = None

    @classmethod
    def on(cls, directory: Path, base: Path | None) -> Assembly:
        """Beginning with the ledger in `base`, if there is one; that stays as it is."""
        if base is None:
            return cls(directory)
        last = segments_in(base)[-1:]
        for path in files_in(base):
            if path.is_file() and path not in last:
                _linked(path, directory / path.name)
        for path in last:  # it will grow
            shutil.copyfile(path, directory / path.name)
        head = reader(directory).head()
        return cls(directory, head.seq, head.hash)

    def take(self, key: Key, lines: Iterable[bytes], what: str) -> Finding | None:
        """These lines, by their key the records `first` to `last`: those that are here already must be the same, the
        others follow on. What contradicts that is told, and ends it: the lines before it were taken."""
        here = Numbered(segments_in(self.directory)) if key.first <= self.records else None
        seq = key.first - 1
        for seq, line in enumerate(lines, start=key.first):
            try:
                record = line_as_record(line)
            except ValueError as why:
                return Finding("SEGMENT_UNREADABLE", f"{what} line {seq - key.first + 1} {why}", seq)
            if record["seq"] != seq or seq > key.last:
                return Finding("SEGMENT_UNREADABLE", f"{what} holds record {record['seq']} as {seq}", seq)
            if seq <= self.records:
                if here is None or here.find(seq) != line:
                    text = f"record {seq} is another one in {what} than what was taken before: two hosts, or a rewrite"
                    return Finding("FORK", text, seq)
            elif record["prev"] != self.head:
                text = f"record {seq} in {what} does not follow on from record {seq - 1}: two hosts, or a rewrite"
                return Finding("FORK", text, seq)
            else:
                self._append(seq, line)
        self.close()
        if seq != key.last:
            return Finding("SEGMENT_UNREADABLE", f"{what} ends with record {seq}", seq)
        return None

    def _append(self, seq: int, line: bytes) -> None:
        if self._file is None or self._file.tell() >= SEGMENT_BYTES:
            self.close()
            last = next(reversed(segments_in(self.directory)), None)
            full = last is None or last.stat().st_size >= SEGMENT_BYTES
            path = self.directory / f"{seq:012}.jsonl" if full or last is None else last
            self._file = path.open("ab")
        self._file.write(line)
        self.records, self.head = seq, sha256(line).hexdigest()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _linked(path: Path, to: Path) -> None:
    """Another file system knows no link to it."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to)
