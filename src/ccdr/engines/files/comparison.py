"""What was restored beside what was listed: listing and tree are walked side by side, once.

Counts for the record, some paths for the person. What this user or this file system cannot keep is no damage: the
first is told, the second leaves the question open.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ccdr.engines.files.scan import (
    DEVICES,
    LISTING,
    RESTIC_TIMES,
    UNREADABLE,
    WAITING,
    Keeps,
    TreeEntry,
    as_restic_says,
    came_back,
    compared,
    entries,
    hashed_ahead,
    keeps,
    kind,
    paired,
    read_listing,
    walk,
)
from ccdr.model.values import CheckResult, FileDigest, Verdict, so_many
from ccdr.ports.check import CheckContext

NAMED = 20  # how many paths a private detail names

Pair = tuple[TreeEntry | None, TreeEntry | None]  # as listed, and as restored


def identical(context: CheckContext) -> Iterator[CheckResult]:
    """Every file's digest; type, size, link target, mode, time, extended attributes and (as root) owner of every entry;
    and which files are hard links of each other."""
    listing = context.restored / LISTING
    if context.digest(context.restored, [LISTING])[LISTING].sha256 != context.manifest.contents["listing_sha256"]:
        yield _result("listing", Verdict.FAIL, "the captured listing", "another listing")
        return
    comparison = _Comparison(context)
    with listing.open(encoding="ascii") as lines:
        comparison.run(read_listing(lines))
    yield from comparison.results()


def whole(fetched: Path, listing: Path) -> tuple[int, int]:
    """How many of the listed entries are there with their type, size and target, and how many are not."""
    there = missing = 0
    for entry in entries(listing):
        if came_back(f"{fetched}{entry.path}", entry):
            there += 1
        else:
            missing += 1
    return there, missing


def _result(name: str, status: Verdict, expected: str, actual: str, detail: str | None = None) -> CheckResult:
    return CheckResult(kind="identical", name=name, status=status, expected=expected, actual=actual, detail=detail)


@dataclass
class _Links:
    """Which names are one file: as listed, and as restored. Only what has more than one name is held."""

    _restored: dict[Hashable, Hashable] = field(default_factory=dict)
    _listed: dict[Hashable, Hashable] = field(default_factory=dict)

    def difference(self, was: TreeEntry, now: TreeEntry) -> str | None:
        if was.type != "f" or (was.device is None and now.device is None):
            return None
        before, after = _file(was), _file(now)
        if self._restored.setdefault(before, after) != after:
            return "is a copy, and was a hard link"
        if self._listed.setdefault(after, before) != before:
            return "is a hard link, and was a file of its own"
        return None


def _file(entry: TreeEntry) -> Hashable:
    return entry.path if entry.device is None else (entry.device, entry.inode)


class _Attributes:
    """What differs, what could not be kept (`lost`, `forbidden`, by kind), and what is the system's own."""

    def __init__(self, tried_in: Path) -> None:
        self._tried_in = tried_in
        self._keeps: dict[str, Keeps] = {}
        self.lost: Counter[str] = Counter()
        self.forbidden: Counter[str] = Counter()
        self.others: set[str] = set()

    def difference(self, was: TreeEntry, now: TreeEntry) -> str | None:
        before, after = was.attributes or {}, now.attributes or {}
        if before == after:
            return None
        differing = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        self.others.update(name for name in differing if not compared(name))
        wrong = [name for name in differing if compared(name) and not self._excused(name, after)]
        return f"extended attribute {wrong[0]} differs" if wrong else None

    def _excused(self, name: str, after: Mapping[str, str]) -> bool:
        """It is missing, and what the restore was made on, or made by, cannot have it at all."""
        if name in after:
            return False
        of_kind = kind(name)
        if of_kind not in self._keeps:
            self._keeps[of_kind] = keeps(self._tried_in, name)
        if self._keeps[of_kind] is Keeps.UNSUPPORTED:
            self.lost[of_kind] += 1
        elif self._keeps[of_kind] is Keeps.FORBIDDEN:
            self.forbidden[of_kind] += 1
        return self._keeps[of_kind] is not Keeps.YES


class _Comparison:
    def __init__(self, context: CheckContext) -> None:
        contents = context.manifest.contents
        self._bench, self._contents = context, contents
        self._root = os.geteuid() == 0
        self._owners = bool(contents["owners"]) and self._root
        self._links, self._attributes = _Links(), _Attributes(context.out)
        self._timeless = 0
        self.equal = self.missing = self.changed = self.extra = self.unproven = 0
        self._came, self._waiting = Counter[str](), Counter[str]()  # as restic tells their names, which are no UTF-8
        self.named: list[str] = []

    def run(self, listed: Iterator[TreeEntry]) -> None:
        roots = sorted({Path(root) for root in self._contents["roots"]})
        restored = itertools.chain.from_iterable(walk(f"{self._bench.fetched}{root}", str(root)) for root in roots)
        for batch, hashed in hashed_ahead(paired(listed, restored), _to_hash, self._digest):
            for was, now in batch:
                self._pair(was, now, hashed)
        self.unproven += (self._came & self._waiting).total()
        for path, count in (self._came - self._waiting).items():
            self.extra += count
            self._name("never captured", path)

    def _digest(self, names: list[str]) -> Mapping[str, FileDigest]:
        return self._bench.digest(self._bench.fetched, names)

    def _pair(self, was: TreeEntry | None, now: TreeEntry | None, hashed: Mapping[str, FileDigest]) -> None:
        if was is None:
            if now is not None:
                self._unlisted(now.path)
        elif was.type == WAITING:
            self.unproven += now is not None
            if now is None and UNREADABLE in was.path:
                self._waiting[was.path] += 1
        elif now is None:
            self.missing += 1
            self._name("missing", was.path)
        elif (why := self._difference(was, now, hashed)) is not None:
            self.changed += 1
            self._name(why, was.path)
        else:
            self.equal += was.type == "f"

    def _unlisted(self, path: str) -> None:
        """A name that is no UTF-8 may be listed as restic tells it; in a listing's order that comes later."""
        if (listed := as_restic_says(path)) != path:
            self._came[listed] += 1
        else:
            self.extra += 1
            self._name("never captured", path)

    def _difference(self, was: TreeEntry, now: TreeEntry, hashed: Mapping[str, FileDigest]) -> str | None:
        if was.type != now.type:
            return "type differs"
        if was.type in DEVICES and was.device != now.device:
            return "device differs"
        if was.size != now.size:
            return "size differs"
        if was.target != now.target:
            return "target differs"
        if was.mode != now.mode and was.type != "l":
            return "mode differs"
        if was.mtime != now.mtime and was.type in "fl":
            if was.mtime in RESTIC_TIMES:
                return "modification time differs"
            self._timeless += 1
            self._name("time that restic cannot hold", was.path)
        if self._owners and (was.uid, was.gid) != (now.uid, now.gid):
            return "owner differs"
        if was.type == "f" and hashed[was.path.lstrip("/")].sha256 != was.sha256:
            return "contents differ"
        return self._attributes.difference(was, now) or self._links.difference(was, now)

    def _name(self, why: str, path: str) -> None:
        if len(self.named) < NAMED:
            self.named.append(f"{why}: {path}")

    def results(self) -> Iterator[CheckResult]:
        contents = self._contents
        bad = self.missing or self.changed or self.extra
        if self.missing or self.changed:
            actual = f"{self.missing} missing, {self.changed} changed, {self.equal} equal"
        else:
            actual = f"{so_many(self.equal, 'file')} equal by SHA-256"
        if self.extra:
            actual += f", {self.extra} that were never captured"
        if left_out := list(self._left_out()):
            actual += f"; not compared: {', '.join(left_out)}"
        failed = bad or self.equal != contents["files"]
        expected = f"{so_many(int(contents['files']), 'file')}, {contents['bytes']} bytes"
        status = Verdict.FAIL if failed else Verdict.PASS
        yield _result("files", status, expected, actual, "\n".join(self.named) or None)
        if lost := self._attributes.lost:
            sentence = f"{_counted(lost)} cannot be kept on the file system that was restored to"
            yield _result("extended attributes", Verdict.INCONCLUSIVE, "as captured", sentence)

    def _left_out(self) -> Iterator[str]:
        """What this comparison does not tell, though there is something to compare."""
        if self.unproven:
            yield f"{self.unproven} that came or changed while the backup ran"
        if self._timeless:
            yield f"modification times of {self._timeless}, which restic cannot hold"
        if self._contents["owners"] and not self._root:
            yield "owners, which only root can give back"
        if forbidden := self._attributes.forbidden:
            yield f"{_counted(forbidden)}, which this user may not set"
        if others := self._attributes.others:
            yield f"{' '.join(sorted(others))}, which the system sets by its own rules"


def _to_hash(pair: Pair) -> str | None:
    """What both have as a file, relative to the restored tree."""
    was, now = pair
    return now.path.lstrip("/") if was is not None and now is not None and was.type == now.type == "f" else None


def _counted(kinds: Counter[str]) -> str:
    return ", ".join(f"{name} of {count}" for name, count in sorted(kinds.items()))
