"""The fetched dump in its two forms: a directory, or one file that was stored as a stream."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from ccdr.engines.postgres.dump import archive
from ccdr.engines.postgres.dump.toc import TABLE_DATA, TableFact, Toc, blobs, tables
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.check import CheckContext

_BLOBS = re.compile(r"BLOBS - ")


class FetchedDump(Protocol):
    """The fetched dump, in one of its two forms; `again` is always a directory."""

    def tables(self, toc: Toc) -> dict[str, TableFact]: ...

    def rows(self, toc: Toc, key: str) -> Path:
        """The rows of one table, as a file."""

    def blobs(self) -> dict[str, str]:
        """A digest of each large object, by its OID."""

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        """The same of the second dump."""


@dataclass(frozen=True)
class DumpDirectory:
    context: CheckContext

    @property
    def _files(self) -> dict[str, FileDigest]:
        files = self.context.manifest.files
        return {n.removeprefix("dump/"): d for n, d in files.items() if n.startswith("dump/")}

    def tables(self, toc: Toc) -> dict[str, TableFact]:
        return tables(toc, self._files)

    def rows(self, toc: Toc, key: str) -> Path:
        return self.context.restored / "dump" / self.tables(toc)[key].file

    def blobs(self) -> dict[str, str]:
        return blobs(self._files)

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        return blobs(files)


@dataclass(frozen=True)
class OneFile:
    """What was stored as a stream: the digests were taken from it as it went by."""

    context: CheckContext

    def tables(self, toc: Toc) -> dict[str, TableFact]:
        there = toc.of(TABLE_DATA)
        return {
            k: TableFact(rows, 0, sha) for k, (rows, sha) in claimed_of(self.context.manifest).items() if k in there
        }

    def rows(self, toc: Toc, key: str) -> Path:
        rows, entry = self.context.out / "captured-rows", toc.entry(toc.of(TABLE_DATA)[key])
        archive.extract(self.context.sandbox, self.context.restored / "dump", entry, rows)
        return rows

    def blobs(self) -> dict[str, str]:
        return dict(cast("dict[str, str]", self.context.manifest.contents["large_objects"]))

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        lines = toc.lines(_BLOBS)
        return archive.contents(self.context.sandbox, again, lines).blobs if lines else {}


def claimed_of(manifest: Manifest) -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of each table, as the manifest has them."""
    claimed = manifest.contents["tables"]
    assert isinstance(claimed, dict)
    return {key: (int(t["rows"]), str(t["sha256"])) for key, t in claimed.items()}
