"""Looking at a tree: every entry once, in a listing's order. Trees are large: names and numbers, no objects."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from ccdr.engines.files.attributes import attributes_of
from ccdr.engines.files.listing import DEVICES, TreeEntry
from ccdr.model.answers import FreeText
from ccdr.model.errors import CommandFailed

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
