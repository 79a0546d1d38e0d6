"""Directories and files for a first plan, and beside what plans name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ccdr.engines.discovery import (
    Discovery,
    DiscoveryReport,
    Looking,
    SourceKind,
    TreeFound,
    half,
    name_from,
    remark,
    scalar,
    so_many,
    survey_tree,
)
from ccdr.engines.files.engine import Files
from ccdr.model.errors import UsageProblem
from ccdr.model.values import human_bytes, human_seconds

SETTLE = 60.0  # seconds, as the plan says
SETTLED_ARCHIVE = 7 * 86400.0  # a directory with older audio than this keeps it

_WHY_DECODED = "Audio opens and decodes to its end. A recorder that writes rubbish is noticed here and nowhere else."
_WHY_HALF = "The backup of an emptied directory is a faithful copy, and no use: about half of what was there."
_IF_EMPTIED = "Nothing here is older than a week: if it is emptied regularly, lower at_least to what always stays."


@dataclass(frozen=True)
class Tree:
    """What `ccdr init` was given, looked through."""

    kind: ClassVar[SourceKind] = SourceKind.TREE

    facts: TreeFound

    @property
    def where(self) -> Path:
        return self.facts.path

    def plan_name(self, hostname: str) -> tuple[str, str]:
        return self.facts.path.name, "files"

    def discover(self, looking: Looking, password_file: Path | None) -> Sequence[TreeItem]:
        item = TreeItem(self.facts)
        looking.report.contents.append(item.described(looking.now))
        item.remarks(looking.report, looking.now)
        return [item]


@dataclass(frozen=True)
class TreeItem:
    """A directory or file that becomes an asset."""

    facts: TreeFound
    local: bool = False  # no server

    @property
    def tree(self) -> Path:
        return self.facts.path

    @property
    def bytes(self) -> int:
        return self.facts.bytes

    @property
    def title(self) -> str:
        return str(self.facts.path)

    @property
    def _audio(self) -> str:
        return "".join(f", {count:,} .{suffix}" for suffix, count in self.facts.audio.most_common())

    def described(self, now: float) -> str:
        tree = self.facts
        more = "" if tree.whole else "more than "
        newest = f", newest {human_seconds(max(0.0, now - tree.newest))} old" if tree.newest is not None else ""
        size = human_bytes(tree.bytes)
        return f"{tree.path}: {more}{so_many(tree.files, 'file')}, {size}{self._audio}{newest}"

    def remarks(self, report: DiscoveryReport, now: float) -> None:
        """Whatever else is to be told of it."""
        tree = self.facts
        if tree.unreadable:
            report.findings.append(f"{tree.path}: {tree.unreadable:,} entries cannot be read: run ccdr as who may")
        if left := [path for path in tree.databases if path not in report.files]:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            report.findings.append(
                f"{left[0]}{more} in {tree.path} is a SQLite database: a copy of the file may be torn while it is in"
                f" use; name it too, as sqlite:{left[0]}"
            )
        if tree.oldest is not None and abs(now - tree.oldest) < SETTLE:
            report.settled = max(report.settled, min(tree.oldest, now) + SETTLE + 1)
        if tree.silent:
            report.notes.append(f"{tree.path}: {tree.silent:,} audio files are empty, so decoding is not checked yet")
        if tree.audio and not tree.decodable:
            report.notes.append(f"{tree.path}: its audio has no header, so that it cannot be checked by decoding")

    def name(self, taken: Collection[str]) -> str:
        path = self.facts.path
        short = name_from(path.name, otherwise="files")
        two = name_from(f"{path.parent.name}-{path.name}", taken, otherwise="files")
        return two if short in taken else short

    def asset_lines(self, password_file: str | None, timezone: str) -> Iterator[str]:
        tree = self.facts
        seen = "" if tree.whole else "more than "
        yield f"# {seen}{so_many(tree.files, 'file')}, {seen}{human_bytes(tree.bytes)}{self._audio}"
        yield "engine: files"
        yield "method: scan"
        yield f"paths: [{scalar(tree.path)}]"
        yield remark("settle: 60s", "what changed within a minute is still being written: next time", column=33)

    def check_lines(self, now: float) -> Iterator[str]:
        """For audio that can be decoded, if there is any."""
        tree = self.facts
        if not tree.decodable:
            return
        match = ", ".join(scalar(f"*.{suffix}") for suffix in tree.decodable)
        there = sum(tree.audio[suffix] for suffix in tree.decodable)
        check = f"- {{kind: decodable, match: [{match}], at_least: {half(there)}}}"
        there_were = f"there were {'' if tree.whole else 'more than '}{there:,}"
        if tree.silent:
            empty = so_many(tree.silent, "audio file")
            yield f"  # {empty} had not a byte in them and would fail this. Move them away, then take the # off:"
            yield f"  # {check}  # {there_were}"
            return
        yield f"  # {_WHY_DECODED}"
        yield f"  # {_WHY_HALF}"
        if tree.oldest is not None and now - tree.oldest <= SETTLED_ARCHIVE:
            yield f"  # {_IF_EMPTIED}"
        yield remark(f"  {check}", there_were, column=61)

    def as_json(self) -> dict[str, object]:
        tree = self.facts
        return {"engine": "files", "path": self.title, "files": tree.files, "bytes": tree.bytes,
                "audio": dict(tree.audio), "complete": tree.whole}  # fmt: skip


class FilesDiscovery(Discovery):
    def at(self, path: Path) -> Tree:
        """Whatever lies there, as it is."""
        tree = survey_tree(path)
        if not tree.files:
            why = f"{tree.unreadable} entries cannot be read" if tree.unreadable else "an empty tree is no backup"
            raise UsageProblem(
                f"there is no file in {path} that this user can see: {why}",
                hint="is its file system mounted? run as a user who may read it",
            )
        return Tree(tree)

    def trees_of(self, engine: object) -> tuple[Path, ...]:
        return engine.paths if isinstance(engine, Files) else ()
