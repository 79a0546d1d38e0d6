"""What restic has stored of a tree that did not stand still, beside its listing: the listing becomes true of that.

Whoever moves and deletes recordings all day does not wait for a backup. Only what is in the snapshot must be whole:
what went before restic came to it is not listed any more; what came or changed meanwhile is stored, and not proven.
"""

from __future__ import annotations

import heapq
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines.files.listing import LISTING, UNREADABLE, WAITING, TreeEntry, as_restic_says, position, read_listing
from ccdr.engines.files.scan import gone, same_inode, still_there
from ccdr.ports.capture import StoredNode, Tools

RESTED = 60.0  # seconds since it was last written to: whoever takes a file away then has done with it
KINDS = {"f": "file", "d": "dir", "l": "symlink", "p": "fifo", "c": "chardev", "b": "dev"}


class _There:
    """What was stored, by path, until it is taken. Names that are no UTF-8 may look alike: then the inode tells."""

    def __init__(self, nodes: Iterator[StoredNode]) -> None:
        self._nodes: dict[str, StoredNode] = {}
        self._odd: dict[tuple[str, int], list[StoredNode]] = {}
        for node in nodes:
            if UNREADABLE in node.path:
                self._odd.setdefault((node.path, node.inode), []).append(node)
            else:
                self._nodes[node.path] = node

    def take(self, entry: TreeEntry) -> StoredNode | None:
        path = as_restic_says(entry.path)
        if UNREADABLE not in path:
            return self._nodes.pop(path, None)
        alike = self._odd.get((path, entry.inode))
        return alike.pop() if alike else None

    def left(self) -> Iterator[StoredNode]:
        return itertools.chain(self._nodes.values(), *self._odd.values())


@dataclass
class Amended:
    """`gone` were listed and are not stored; `doubtful` are stored, and nobody can say as what; `moved` were found
    again under another name; `refused` are there, and restic has not stored them all the same. What went after it was
    stored may be stored `twice`, under its next name too."""

    gone: int = 0
    doubtful: int = 0
    moved: int = 0
    refused: list[str] = field(default_factory=list)
    twice: set[str] = field(default_factory=set)


def amend(into: Path, roots: list[str], nodes: Iterator[StoredNode], tools: Tools) -> Amended:
    """Write the listing in `into` anew. Holds every node in memory: this is done only where a tree has changed."""
    there = _There(node for node in nodes if node.kind != "socket" and _below(node.path, roots))
    done, lost = Amended(), dict[tuple[int, int, int], TreeEntry]()
    now = tools.clock.now().timestamp()
    old, new = into / LISTING, into / f"{LISTING}.new"
    with old.open(encoding="ascii") as lines, new.open("w", encoding="ascii") as out:
        kept = _kept(read_listing(lines), there, done, lost, now)
        first = into / f"{LISTING}.kept"
        with first.open("w", encoding="ascii") as held:
            held.writelines(entry.line() for entry in kept)
        before = {n.path: e for n in there.left() if (e := lost.get((n.inode, n.size, n.mtime))) and e.type == "f"}
        hashed = tools.digest(Path("/"), list(before), vanishing=True) if before else {}
        same = {path: before[path] for path, digest in hashed.items() if digest.sha256 == before[path].sha256}
        more = sorted((_came(node, same.get(node.path), done, now) for node in there.left()), key=_place)
        with first.open(encoding="ascii") as held:
            out.writelines(entry.line() for entry in heapq.merge(read_listing(held), more, key=_place))
        first.unlink()
    new.replace(old)
    return done


def _place(entry: TreeEntry) -> str:
    return position(entry.path)


def _kept(
    listed: Iterator[TreeEntry],
    there: _There,
    done: Amended,
    lost: dict[tuple[int, int, int], TreeEntry],
    now: float,
) -> Iterator[TreeEntry]:
    for entry in listed:
        node = there.take(entry)
        if entry.type == WAITING:
            yield entry
        elif node is None:
            if same_inode(entry):
                done.refused.append(entry.path)
            done.gone += 1
            lost[entry.inode, entry.size, entry.mtime] = entry
        elif _as_listed(entry, node) and still_there(entry):
            yield entry
        elif _as_listed(entry, node) and _went(entry, now):
            done.twice.add(entry.path)
            lost[entry.inode, entry.size, entry.mtime] = entry
            yield entry
        else:
            done.doubtful += 1
            yield entry.waiting(now)


def _as_listed(entry: TreeEntry, node: StoredNode) -> bool:
    """Is what restic came to what was listed?"""
    listed = entry.size, entry.mtime, entry.ctime, entry.inode
    return node.kind == KINDS.get(entry.type) and (entry.type != "f" or _times(node) == listed)


def _went(entry: TreeEntry, now: float) -> bool:
    """Was it taken away, or was another put in its place, by somebody who had done with it? Else somebody may have
    written on while it was read."""
    try:
        went = os.lstat(entry.path).st_ino != entry.inode and entry.type == "f"
    except OSError as error:
        went = gone(entry.path, error)
    return went and entry.mtime < (now - RESTED) * 1e9


def _came(node: StoredNode, before: TreeEntry | None, done: Amended, now: float) -> TreeEntry:
    """A node that no entry was listed for. A file that was only moved has the contents that were listed (`before`), and
    nobody has written to it since restic read it."""
    if before is not None and still_there(moved := before._replace(path=node.path, ctime=node.ctime)):
        done.moved += before.path not in done.twice
        return moved
    done.doubtful += 1
    return TreeEntry(node.path, WAITING, 0, 0, 0, 0, node.mtime, int(now * 1e9), 0)


def _times(node: StoredNode) -> tuple[int, int, int, int]:
    return node.size, node.mtime, node.ctime, node.inode


def _below(path: str, roots: list[str]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in map(as_restic_says, roots))
