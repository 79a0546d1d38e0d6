"""Parts of a captured tree, by patterns: which entries they choose, and a listing and a manifest of these alone.

A pattern is a path below a root of the tree, or a whole path: `*` and `?` stop at a slash, `**` does not; what is in a
directory that it names comes with it. restic reads patterns so, too: what it wrote is held against the listing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from ccdr.engines.files.scan import LISTING, TreeEntry, read_listing
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Manifest, so_many

_OF_RESTIC = str.maketrans({"[": "\\[", "\\": "\\\\"})  # in a pattern of ours these stand for themselves


@dataclass(frozen=True)
class Chosen:
    """What the patterns chose: so many files, of how many, and their bytes; `manifest` is of that alone."""

    manifest: Manifest
    patterns: tuple[str, ...]  # as restic is told
    files: int
    bytes: int
    of: int
    capture: Path  # the captured directory, whose listing is of these alone

    def __str__(self) -> str:
        left_out = so_many(self.of - self.files, "file is left out", "files are left out")
        return f"{so_many(self.files, 'file')} of {self.of}; {left_out}"


def choose(capture: Path, manifest: Manifest, parts: Sequence[str]) -> Chosen:
    """In `capture`, whose listing is as it was captured, that is put in place by one of the parts alone. UsageProblem
    where a pattern chooses no file: a slip must not look like an empty tree."""
    roots = [str(root) for root in manifest.contents["roots"]]
    asked = {part: _expression(_whole(part, roots)) for part in parts}
    listing, narrow = capture / LISTING, capture / f"{LISTING}.part"
    above, chosen, met = list[TreeEntry](), _Counts(), set[str]()
    with listing.open(encoding="ascii") as lines, narrow.open("w", encoding="ascii") as out:
        for entry in read_listing(lines):
            while above and not entry.path.startswith(f"{above[-1].path}/"):
                above.pop()
            by = [part for part, pattern in asked.items() if pattern.fullmatch(entry.path)]
            if by:
                met.update(by if entry.type == "f" else ())
                for one in above:  # what leads there comes, too
                    chosen.write(one, out.write)
                above.clear()
                chosen.write(entry, out.write)
            elif entry.type == "d":
                above.append(entry)
    if nothing := [part for part in parts if part not in met]:
        narrow.unlink()
        raise UsageProblem(
            f"{so_many(len(nothing), 'part')} of {len(parts)} (the first is number {parts.index(nothing[0]) + 1}) "
            "chooses no file of the snapshot",
            hint="a part is a path below the asset's `paths:`, or a whole one; `*` stops at a slash, `**` does not",
        )
    narrow.replace(listing)
    of = int(manifest.contents["files"])
    contents = {**manifest.contents, **chosen.as_contents, "listing_sha256": sha256(listing.read_bytes()).hexdigest()}
    whole = [p.translate(_OF_RESTIC) for part in parts for p in _whole(part, roots)]
    return Chosen(replace(manifest, contents=contents), tuple(whole), chosen.files, chosen.bytes, of, capture)


def expression(patterns: Sequence[str], roots: Sequence[str]) -> re.Pattern[str]:
    """What any of these patterns names, as paths at the source."""
    return _expression([whole for pattern in patterns for whole in _whole(pattern, roots)])


def _whole(part: str, roots: Sequence[str]) -> list[str]:
    if not part.strip("/"):  # all of it is no part
        return []
    return [part] if part.startswith("/") else [f"{root.rstrip('/')}/{part.strip('/')}" for root in roots]


def _expression(patterns: Sequence[str]) -> re.Pattern[str]:
    any_of = "|".join(map(_translated, patterns)) or "(?!)"
    return re.compile(f"(?:{any_of})(?:/.*)?", re.DOTALL)


def _translated(pattern: str) -> str:
    parts = []
    for part in pattern.strip("/").split("/"):
        if part == "**":
            parts.append("(?:/[^/]+)*")
        else:
            one = re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]")
            parts.append(f"/{one}")
    return "".join(parts)


class _Counts:
    def __init__(self) -> None:
        self.files = self.bytes = self.directories = self.links = 0

    def write(self, entry: TreeEntry, write: Callable[[str], object]) -> None:
        self.files += entry.type == "f"
        self.bytes += entry.size if entry.type == "f" else 0
        self.directories += entry.type == "d"
        self.links += entry.type == "l"
        write(entry.line())

    @property
    def as_contents(self) -> Mapping[str, object]:
        return {"files": self.files, "bytes": self.bytes, "directories": self.directories, "links": self.links}
