"""Method `scan`: a listing of what restic will read where it is, with every file's digest; made true of what was stored
where the tree did not stand still.
"""

from __future__ import annotations

import heapq
import itertools
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccdr.engines.files.scan import (
    LISTING,
    RESTIC_TIMES,
    UNREADABLE,
    WAITING,
    TreeEntry,
    as_restic_says,
    birth,
    entries,
    gone,
    hashed_ahead,
    paired,
    position,
    read_listing,
    same_inode,
    still_there,
    walk,
)
from ccdr.model.errors import BackupFailed
from ccdr.model.finding import Finding
from ccdr.model.values import FileDigest, human_seconds, so_many
from ccdr.ports.capture import Capture, StoredNode, Tools

# What restic has stored of a tree that did not stand still, beside its listing: the listing becomes true of that.
#
# Whoever moves and deletes recordings all day does not wait for a backup. Only what is in the snapshot must be whole:
# what went before restic came to it is not listed any more; what came or changed meanwhile is stored, and not proven.

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
    below = [as_restic_says(root) for root in roots]
    there = _There(node for node in nodes if node.kind != "socket" and _within(node.path, *below))
    done, lost = Amended(), dict[tuple[int, int, int], TreeEntry]()
    now, before_it = tools.clock.now().timestamp(), _captured_before(tools)
    old, new = into / LISTING, into / f"{LISTING}.new"
    with old.open(encoding="ascii") as lines, new.open("w", encoding="ascii") as out:
        kept = _kept(read_listing(lines), there, done, lost, now, before_it)
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
    before: float,
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
            yield entry.waiting(max(before, birth(entry.path)))  # it is there, and may be torn


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


# The trees are in use: a file that changed within the settle time is left for the next backup, and what changed while
# it was read is seen afterwards, so that the listing is true of what was stored. Digests of unchanged files carry
# over: only what is new or changed is read.

STARVED_HINT = "shorten `settle:`, or move files that programs always write to"
STARVED = 300.0  # seconds; a file that has waited longer was left out by an earlier backup too
TOLD_EVERY = 1000  # entries
TICK = 0.02  # seconds; a directory's time is no finer on some file systems

Pair = tuple[TreeEntry, TreeEntry | None]  # what is there now, and what the previous listing says of it


@dataclass
class _ListingTally:
    """What a listing holds, counted as it is written. `empty` are the roots in which no file was seen yet; `starving`
    is when a file that waits since then has waited too long, `oldest` since when one waits: in nanoseconds since the
    epoch."""

    empty: set[str]
    starving: float
    oldest: float = math.inf
    count: Counter[str] = field(default_factory=Counter)
    size: int = 0
    attributes: int = 0
    linked: int = 0
    starved: int = 0
    timeless: int = 0
    unsettled: list[Path] = field(default_factory=list)
    sockets: int = 0

    def as_contents(self, consistent: float) -> dict[str, object]:
        """For a manifest: how much there is; how many files wait for the next backup, and for how long before this
        point no snapshot holds one of them."""
        return {
            "files": self.count["f"],
            "directories": self.count["d"],
            "links": self.count["l"],
            "special": sum(self.count[kind] for kind in "pcb"),
            "bytes": self.size,
            "unsettled": len(self.unsettled),
            "missing_s": max(0.0, consistent - self.oldest / 1e9),
            "attributes": self.attributes,
            "linked": self.linked,
        }

    def add(self, entry: TreeEntry) -> None:
        self.count[entry.type] += 1
        self.size += entry.size
        self.timeless += entry.type in "fl" and entry.mtime not in RESTIC_TIMES
        self.attributes += entry.attributes is not None
        self.linked += entry.type == "f" and entry.device is not None
        if entry.type == WAITING:
            self.unsettled.append(Path(entry.path))
            self.oldest = min(self.oldest, entry.ctime)
        elif entry.type == "f" and self.empty:
            self.empty = {root for root in self.empty if not _within(entry.path, root)}


def capture(paths: Sequence[Path], settle: float, source_name: str, into: Path, tools: Tools) -> Capture:
    """Write the listing of `paths` into `into`. BackupFailed where one of them holds no settled file."""
    started = tools.clock.now()
    now = started.timestamp()
    tally = _ListingTally({str(root) for root in paths}, (now - max(2 * settle, STARVED)) * 1e9)
    with (into / LISTING).open("w", encoding="ascii") as out:
        for seen, entry in enumerate(_listed(paths, now, settle, tools, tally)):
            out.write(entry.line())
            tally.add(entry)
            if seen % TOLD_EVERY == 0:
                tools.progress.amount(tally.size, None)
    if empty := [str(root) for root in paths if str(root) in tally.empty]:
        raise _nothing_settled(empty, into / LISTING, now, settle)
    files = tools.digest(into, [LISTING])
    starved = tally.starved
    return Capture(
        consistent_point=started,
        clock_skew_s=0.0,
        contents={
            "version": "1",
            "source": source_name,
            "starved": starved,
            "settle": settle,
            "roots": [str(p) for p in paths],
            "sockets": tally.sockets,
            "owners": os.geteuid() == 0,
            **tally.as_contents(now),
            "listing_sha256": files[LISTING].sha256,
        },
        files=files,
        bytes=tally.size,
        paths=tuple(paths),
        excluded=tuple(tally.unsettled),
        notes=list(_notes(tally)),
        findings=[_starved(starved)] if starved else [],
    )


def _starved(count: int) -> Finding:
    text = f"files that are always in use, so that no new snapshot holds them: {count}; {STARVED_HINT}"
    return Finding(text, "files always in use", (float(count),))


def _nothing_settled(empty: Sequence[str], listing: Path, now: float, settle: float) -> BackupFailed:
    """These roots hold no file that can be stored: none at all, or only such as were written to just now."""
    with listing.open(encoding="ascii") as lines:
        waiting = [entry for entry in read_listing(lines) if entry.type == WAITING]
    newest = {root: max((e.mtime for e in waiting if _within(e.path, root)), default=None) for root in empty}
    bare = [root for root, moment in newest.items() if moment is None]
    problem = f"there is no settled file in {', '.join(bare or empty)}"
    if bare:
        return BackupFailed(problem, hint="an empty tree is no backup: is its file system mounted?")
    count = so_many(sum(_within(e.path, *empty) for e in waiting), "file was", "files were")
    wait = max(1, math.ceil(max(filter(None, newest.values())) / 1e9 + settle - now))
    return BackupFailed(
        f"{problem}: {count} changed within the last {settle:g} s (`settle:` in the plan), and may be half-written",
        hint=f"back up again in {human_seconds(wait)}; where files are always being written to, shorten `settle:`",
    )


def _within(path: str, *roots: str) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _notes(tally: _ListingTally) -> Iterator[str]:
    if waiting := len(tally.unsettled):
        yield f"{so_many(waiting, 'file in use was', 'files in use were')} left for the next backup"
    if tally.sockets:
        yield f"sockets that are left out, as only their program can make them: {tally.sockets}"
    if tally.timeless:
        yield f"files that will come back with another time, as theirs is not of 1677 to 2262: {tally.timeless}"


def changed_since(listing: Path, began: float) -> Iterator[str]:
    """What is not, or not there, as it was when it was listed; and directories in which something came or went since
    the capture `began`, seconds since the epoch."""
    return (entry.path for entry in entries(listing) if not still_there(entry) or _came_or_went(entry, began))


def _came_or_went(entry: TreeEntry, began: float) -> bool:
    """Whoever copies with times (`cp -a`, rsync) sets a directory's time of change back; that of its inode stays."""
    try:
        if entry.type != "d":
            return False
        s = os.lstat(entry.path)
        return max(s.st_mtime, s.st_ctime) >= began - TICK
    except OSError as error:
        return gone(entry.path, error)


def as_stored(capture: Capture, into: Path, nodes: Iterator[StoredNode], tools: Tools) -> Capture:
    """The capture with its listing true of what was stored."""
    roots = [str(path) for path in capture.paths]
    done = amend(into, roots, nodes, tools)
    if done.refused:
        raise BackupFailed(
            f"restic did not store {so_many(len(done.refused), 'entry', 'entries')} of what is there",
            hint="check that the user who runs ccdr may read them all: `ccdr doctor` shows it",
        )
    tally = _ListingTally(set(roots), 0.0)
    with (into / LISTING).open(encoding="ascii") as lines:
        for entry in read_listing(lines):
            tally.add(entry)
    if tally.empty:
        raise BackupFailed(f"nothing of {', '.join(sorted(tally.empty))} was left to store", hint="is it mounted?")
    files = tools.digest(into, [LISTING])
    contents = {
        **capture.contents,
        **tally.as_contents(capture.consistent_point.timestamp()),
        "listing_sha256": files[LISTING].sha256,
    }
    counts = {
        "disappeared before they were stored": done.gone - done.moved,
        "were moved meanwhile, and found again": done.moved,
        "appeared or changed during the backup: stored, but not proven by it": done.doubtful,
    }
    notes = [f"entries that {what}: {count}" for what, count in counts.items() if count]
    return replace(capture, contents=contents, files=files, bytes=tally.size, notes=[*capture.notes, *notes])


def _listed(
    paths: Sequence[Path], now: float, settle: float, tools: Tools, tally: _ListingTally
) -> Iterator[TreeEntry]:
    with ExitStack() as stack:
        previous: Iterator[TreeEntry] = iter(())
        if tools.previous is not None and tools.previous.is_file():
            previous = read_listing(stack.enter_context(tools.previous.open(encoding="ascii")))
        yield from _with_digests(_with_previous(_found(paths, now, settle, tally), previous), tools, tally)


def _found(paths: Sequence[Path], now: float, settle: float, tally: _ListingTally) -> Iterator[TreeEntry]:
    """Every entry below `paths`; regular files that changed within the settle time wait. A time in the future is not
    a recent change: it would never settle."""
    earliest, latest = (now - settle) * 1e9, (now + settle) * 1e9
    for root in sorted(set(paths)):
        for entry in walk(str(root), str(root), sockets=True):
            if entry.type == "s":
                tally.sockets += 1
                continue
            recent = entry.type == "f" and earliest < entry.mtime < latest
            yield entry.waiting(now) if recent else entry


def _with_previous(walked: Iterator[TreeEntry], previous: Iterator[TreeEntry]) -> Iterator[Pair]:
    for was, now in paired(previous, walked):
        if now is not None:
            yield now, was


def _with_digests(pairs: Iterator[Pair], tools: Tools, tally: _ListingTally) -> Iterator[TreeEntry]:
    """Digests of unchanged files carry over from the previous listing, and so does since when a file waits."""
    before = _captured_before(tools)

    def digest(names: list[str]) -> Mapping[str, FileDigest]:
        return tools.digest(Path("/"), names, vanishing=True)

    for batch, hashed in hashed_ahead(map(_carried, pairs), _to_hash, digest):
        for now, was in batch:
            if now.type == WAITING:
                tally.starved += was is not None and was.type == WAITING and was.ctime < tally.starving
                yield now.waiting(_in_no_snapshot_since(now, was, before))
            elif now.type != "f" or now.sha256 is not None:
                yield now
            elif now.path in hashed and still_there(now):
                yield now.with_digest(hashed[now.path].sha256)
            else:
                yield now.waiting(_in_no_snapshot_since(now, was, before))


def _captured_before(tools: Tools) -> float:
    """The consistent point of the snapshot of the previous listing, seconds since the epoch; 0 where there is none."""
    return tools.previous.stat().st_mtime if tools.previous and tools.previous.is_file() else 0.0


def _in_no_snapshot_since(entry: TreeEntry, was: TreeEntry | None, before: float) -> float:
    """Of a file that is left out whole: since the snapshot `before`, where that holds it as it `was`; what none has
    held is missing since it was made, though it came into the tree later."""
    if was is None:
        return birth(entry.path)
    return was.ctime / 1e9 if was.type == WAITING else before


def _carried(pair: Pair) -> Pair:
    """With the digest of before, where nobody has written to the file since."""
    now, was = pair
    if was is not None and was.sha256 is not None and was.unchanged(now):
        return now.with_digest(was.sha256), was
    return pair


def _to_hash(pair: Pair) -> str | None:
    now = pair[0]
    return now.path if now.type == "f" and now.sha256 is None else None
