"""A listing: one line of JSON for each entry of the captured trees, sorted as a walk goes.

It is in the snapshot, where a restore test reads it, and on this host, where the next backup carries digests over
from it. Listings are as long as their trees: nothing here holds more of one than a line.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

LISTING = "files.jsonl"
WAITING = "w"
RESTIC_TIMES = range(-(2**63), 2**63)  # nanoseconds since the epoch: 1677 to 2262
DEVICES = "cb"
UNREADABLE = "\ufffd"

_decode = json.JSONDecoder().raw_decode  # `loads` does the same after two searches for white space
_quoted = json.encoder.encode_basestring_ascii


class TreeEntry(NamedTuple):
    """One line. Times are nanoseconds; `sha256` only for regular files, `target` for links, `attributes` where there
    are extended ones: each with the SHA-256 of its value. `device` is a device's own number; of a regular file it
    stands only where that has more than one name: those with the same device and inode are one file."""

    path: str
    type: str  # f, d, l, s for a socket, p for a pipe, c and b for devices, w for a file that waits to settle
    size: int
    mode: int
    uid: int
    gid: int
    mtime: int
    ctime: int
    inode: int
    sha256: str | None = None
    target: str | None = None
    attributes: Mapping[str, str] | None = None
    device: int | None = None

    def unchanged(self, now: TreeEntry) -> bool:
        """The inode's times tell that nobody wrote to it: so its digest still holds."""
        return (
            self.ctime == now.ctime
            and self.mtime == now.mtime
            and self.size == now.size
            and self.inode == now.inode
            and self.type == now.type
        )

    def with_digest(self, sha256: str) -> TreeEntry:
        return TreeEntry(*self[:9], sha256, *self[10:])

    def waiting(self, since: float) -> TreeEntry:
        """The same file, left for the next backup; `ctime` tells since when it has been left."""
        return self._replace(
            type=WAITING, size=0, ctime=int(since * 1e9), inode=0, sha256=None, attributes=None, device=None
        )

    def line(self) -> str:
        last = 13
        while self[last - 1] is None:
            last -= 1
        head = f'{_quoted(self.path)},"{self.type}",{self.size},{self.mode},{self.uid},{self.gid}'
        more = "".join(f",{_text(value)}" for value in self[9:last])
        return f"[{head},{self.mtime},{self.ctime},{self.inode}{more}]\n"

    @classmethod
    def parse(cls, line: str) -> TreeEntry:
        return cls(*_decode(line)[0])


def _text(value: object) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def read_listing(lines: IO[str]) -> Iterator[TreeEntry]:
    return map(TreeEntry.parse, lines)


def entries(listing: Path) -> Iterator[TreeEntry]:
    """Of a whole listing, but for the files that wait: these are in no snapshot."""
    with listing.open(encoding="ascii") as lines:
        for entry in read_listing(lines):
            if entry.type != WAITING:
                yield entry


def matching(listing: Path, patterns: tuple[str, ...]) -> Iterator[TreeEntry]:
    """The regular files of a listing whose names match one of the shell patterns, without regard to case."""
    lowered = [p.lower() for p in patterns]
    for entry in entries(listing):
        name = entry.path.rsplit("/", 1)[-1].lower()
        if entry.type == "f" and any(fnmatch.fnmatchcase(name, p) for p in lowered):
            yield entry


def paired(one: Iterator[TreeEntry], other: Iterator[TreeEntry]) -> Iterator[tuple[TreeEntry | None, TreeEntry | None]]:
    """Two sorted runs of entries, side by side by path."""
    a, b = next(one, None), next(other, None)
    while a is not None and b is not None:
        if a.path == b.path:
            yield a, b
            a, b = next(one, None), next(other, None)
        elif position(a.path) < position(b.path):
            yield a, None
            a = next(one, None)
        else:
            yield None, b
            b = next(other, None)
    while a is not None:
        yield a, None
        a = next(one, None)
    while b is not None:
        yield None, b
        b = next(other, None)


def position(path: str) -> str:
    """Sorts like a walk: a directory, then what is in it, then its next sibling, whatever its name begins with."""
    return path.replace("/", "\0")


def as_restic_says(path: str) -> str:
    """Its JSON has U+FFFD for each byte that is no UTF-8."""
    return "".join(UNREADABLE if "\udc80" <= c <= "\udcff" else c for c in path)
