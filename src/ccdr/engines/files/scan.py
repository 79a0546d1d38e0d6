"""Looking at a tree: every entry once, in the order of a walk, with its attributes and, hashed ahead, its digest; and
the listing that comes of it, a line of JSON for each.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import itertools
import json
import os
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from enum import Enum
from pathlib import Path
from typing import IO, NamedTuple, TypeVar

from ccdr.host.interrupts import threads
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed
from ccdr.model.values import FileDigest

# A listing: one line of JSON for each entry of the captured trees, sorted as a walk goes.
#
# It is in the snapshot, where a restore test reads it, and on this host, where the next backup carries digests over
# from it. Listings are as long as their trees: nothing here holds more of one than a line.

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
        """The same file, left for the next backup; `ctime` tells since when no snapshot holds what was written."""
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


# Extended attributes: which there are, which of them a restore must bring back, and where they could not be kept.

ACCESS, DEFAULT, CAPABILITY = "system.posix_acl_access", "system.posix_acl_default", "security.capability"
# All others (security.selinux, security.ima …) are set by the system that the files come to, by its own rules.
KEPT = (ACCESS, DEFAULT, CAPABILITY)
KEPT_SPACES = ("user.", "trusted.")
NONE_HERE = (errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES)
# The kernel's own formats. An ACL that says more than a mode: a user by number, and so a mask. No capability at all.
_NO_ID = 0xFFFFFFFF
_ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, _NO_ID), (2, 4, 1), (4, 4, _NO_ID), (16, 4, _NO_ID), (32, 0, _NO_ID))
)
_SAMPLES = {ACCESS: _ACL, DEFAULT: _ACL, CAPABILITY: struct.pack("<IIIII", 0x02000000, 0, 0, 0, 0)}


class Keeps(Enum):
    """Whether an attribute can be kept in a directory."""

    YES = "yes"
    FORBIDDEN = "this user may not set it"
    UNSUPPORTED = "its file system does not hold it"


def attributes_of(path: str) -> Mapping[str, str] | None:
    """The SHA-256 of each one's value, by name; None without any. Not through a link; OSError where it is gone."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in NONE_HERE:
            return None
        raise
    return dict(_digested(path, names)) or None if names else None


def _digested(path: str, names: list[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(names):
        try:
            yield name, hashlib.sha256(os.getxattr(path, name, follow_symlinks=False)).hexdigest()
        except OSError as error:
            if error.errno not in NONE_HERE:
                raise


def compared(name: str) -> bool:
    """Must a restore bring this one back as it was?"""
    return name in KEPT or name.startswith(KEPT_SPACES)


def kind(name: str) -> str:
    """What of an attribute's name a record may hold: users choose the rest."""
    space = name.partition(".")[0]
    return f"{space}.*" if f"{space}." in KEPT_SPACES else name


def keeps(directory: Path, name: str) -> Keeps:
    """Try it, on something of our own there that is removed at once. OSError where nothing can be made."""
    with tempfile.TemporaryDirectory(prefix="attributes-", dir=directory) as tried:
        on = Path(tried, "file")
        on.touch()
        try:
            os.setxattr(tried if name == DEFAULT else on, name, _SAMPLES.get(name, b"1"))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                return Keeps.FORBIDDEN
            if error.errno == errno.ENOTSUP:
                return Keeps.UNSUPPORTED
            raise
        return Keeps.YES


# Hashing ahead: while one batch of files is hashed, the next is looked at, so that neither waits for the other.

BATCH = 8000  # entries looked at together: bounds memory, not speed

T = TypeVar("T")


Digests = Mapping[str, FileDigest]


def hashed_ahead(
    items: Iterator[T], name_of: Callable[[T], str | None], digest: Callable[[list[str]], Digests]
) -> Iterator[tuple[list[T], Digests]]:
    """Batch by batch, in order, each with the digests of those that have a name to hash."""
    with threads(1) as pool:
        before: tuple[list[T], Future[Digests] | None] = [], None
        while batch := list(itertools.islice(items, BATCH)):
            names = [name for item in batch if (name := name_of(item)) is not None]
            hashing = pool.submit(digest, names) if names else None
            yield _with_result(*before)
            before = batch, hashing
        yield _with_result(*before)


def _with_result(batch: list[T], hashing: Future[Digests] | None) -> tuple[list[T], Digests]:
    return batch, {} if hashing is None else hashing.result()


KINDS = {
    stat.S_IFREG: "f",
    stat.S_IFDIR: "d",
    stat.S_IFLNK: "l",
    stat.S_IFSOCK: "s",
    stat.S_IFIFO: "p",
    stat.S_IFCHR: "c",
    stat.S_IFBLK: "b",
}
GONE = (errno.ENOENT, errno.ENOTDIR)


def entry_at(path: str, shown_as: str) -> TreeEntry:
    """Look at `path` (not through a link); OSError where it is gone."""
    s = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(s.st_mode), "o")
    regular = kind == "f"
    return TreeEntry(
        shown_as,
        kind,
        s.st_size if regular else 0,
        stat.S_IMODE(s.st_mode),
        s.st_uid,
        s.st_gid,
        s.st_mtime_ns,
        s.st_ctime_ns,
        s.st_ino,
        None,
        os.readlink(path) if kind == "l" else None,  # noqa: PTH115 - names, not paths
        attributes_of(path),
        s.st_rdev if kind in DEVICES else s.st_dev if regular and s.st_nlink > 1 else None,
    )


def walk(real: str, shown: str, *, sockets: bool = False) -> Iterator[TreeEntry]:
    """Every entry at and below `real`, named as if it stood at `shown`; sorted as a listing is. What vanishes while
    we look is left out, and so are sockets, which only their program can make, unless they are asked for; a directory
    that may not be read is an error. However deep it is, and however many entries it has: only names are held."""
    above: list[tuple[str, str, Iterator[str]]] = [(real, shown, iter(("",)))]
    while above:
        real, shown, names = above[-1]
        for name in names:
            try:
                entry = entry_at(real + name, shown + name)
                below = _names(real + name, shown + name) if entry.type == "d" else None
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _refused(shown + name, error) from None
            if entry.type != "s" or sockets:
                yield entry
            if below is not None:
                above.append((f"{real}{name}/", f"{shown}{name}/", iter(below)))
                break
        else:
            above.pop()


def _names(directory: str, shown: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names, not paths
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _refused(shown, error) from None


def _refused(shown: str, error: OSError) -> CommandFailed:
    """A file's name is its owner's: it is told to a person alone."""
    return CommandFailed(["scan"], 1, FreeText(f"{shown}: {error.strerror}"))


def gone(path: str, error: OSError) -> bool:
    """True: the name is not there any more. What cannot be looked at (a directory that was closed, a mount that does
    not answer) is not gone: that is an error, or a backup of what is left would count as one of the whole."""
    if error.errno in GONE:
        return True
    raise _refused(path, error) from None


_AT_FDCWD, _NO_FOLLOW, _BIRTH = -100, 0x100, 0x800  # of linux/stat.h, as the places below


def birth(path: str) -> float:
    """When the file was made, seconds since the epoch; 0 where its file system does not tell, now where it is gone:
    nothing of that is missing."""
    import ctypes  # for few: each command loads this module

    told, statx = ctypes.create_string_buffer(256), getattr(ctypes.CDLL(None), "statx", None)
    if statx is None:
        return 0.0
    if statx(_AT_FDCWD, os.fsencode(path), _NO_FOLLOW, _BIRTH, told) != 0:
        return time.time()
    mask, seconds, nanoseconds = struct.unpack_from("I76xqI", told.raw)
    return float(seconds + nanoseconds / 1e9) if mask & _BIRTH else 0.0


def same_inode(listed: TreeEntry) -> bool:
    """Is what was listed still there under its name, whatever has become of it?"""
    try:
        return os.lstat(listed.path).st_ino == listed.inode
    except OSError as error:
        return not gone(listed.path, error)


def still_there(listed: TreeEntry) -> bool:
    """Is it as it was when it was listed? Of a file the inode's times tell; those of a directory change with every
    entry that comes or goes."""
    try:
        if listed.type == "f":
            s = os.lstat(listed.path)
            return (s.st_ctime_ns, s.st_mtime_ns, s.st_size, s.st_ino) == (
                listed.ctime,
                listed.mtime,
                listed.size,
                listed.inode,
            ) and stat.S_ISREG(s.st_mode)
        now = entry_at(listed.path, listed.path)
    except OSError as error:
        return not gone(listed.path, error)
    if listed.type == "l" and now.mtime != listed.mtime:
        return False
    return now._replace(size=0, mtime=0, ctime=0, inode=0) == listed._replace(size=0, mtime=0, ctime=0, inode=0)


def came_back(path: str, listed: TreeEntry) -> bool:
    """Is it there, with the type, the size and the target that the listing says?"""
    try:
        s = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(s.st_mode), "o")
        if kind != listed.type or (kind == "f" and s.st_size != listed.size):
            return False
        return kind != "l" or os.readlink(path) == listed.target  # noqa: PTH115 - names, not paths
    except OSError as error:
        return not gone(path, error)
