"""The times of a tree's files: by them one sees whether anybody has written to it since."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Times:
    """Of all regular files of a tree: a digest, and the newest of the times at which a file's own entry changed (which
    nobody can set), nanoseconds."""

    digest: str
    newest: int

    @classmethod
    def of(cls, tree: Path, *, moved: bool) -> Times:
        """`moved`: what lies at its top is renamed once more, which changes that time."""
        known, newest = sha256(), 0
        for name, status in regular_files(tree):
            newest = max(newest, status.st_ctime_ns)
            changed = 0 if moved and "/" not in name else status.st_ctime_ns
            facts = (status.st_size, status.st_mtime_ns, changed, status.st_ino)
            known.update(os.fsencode(name) + b"\0" + repr(facts).encode() + b"\n")
        return cls(known.hexdigest(), newest)

    def as_facts(self) -> dict[str, object]:
        return {"times": self.digest, "newest": self.newest}

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Times:
        return cls(str(facts["times"]), int(facts["newest"]))

    def changed(self, tree: Path, *, moved: bool) -> list[str]:
        """Files whose times are not as they were; all of them, where a clock that was set back hides which."""
        names = [name for name, status in regular_files(tree) if status.st_ctime_ns > self.newest]
        if names or Times.of(tree, moved=moved).digest == self.digest:
            return names
        return [name for name, _ in regular_files(tree)]


def regular_files(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    """By name, below the tree. Text, not paths: of a hundred thousand recordings that is most of the time."""
    top = f"{tree}/"
    for above, directories, names in os.walk(tree):
        directories.sort()
        for name in sorted(names):
            path = f"{above}/{name}"
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode):
                yield path.removeprefix(top), status
