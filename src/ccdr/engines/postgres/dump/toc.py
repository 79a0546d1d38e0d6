"""A dump in its two forms, a directory or one file that was stored as a stream: what it lists, and what each table's
file holds.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ccdr.engines.postgres.dump import archive
from ccdr.model.values import FileDigest, Manifest
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

TRAILER_LINES = 3  # a table's file ends in `\.` and two empty lines
_ENTRY = re.compile(r"(?P<id>\d+); \d+ \d+ (?P<rest>.+)")
_BLOB_FILE = re.compile(r"blob_(?P<oid>\d+)\.dat")
TABLE_DATA = "TABLE DATA"
_NEEDS = ";\tdepends on: "  # below an entry


@dataclass(frozen=True)
class Toc:
    """`pg_restore -l`: entries as (dump id, the line without its numbers)."""

    text: str
    entries: tuple[tuple[str, str], ...]

    def of(self, kind: str) -> dict[str, str]:
        """Dump id by what the entry is about, for entries of one kind. The key holds schema, name, owner."""
        entries: dict[str, str] = {}
        for dump_id, rest in self.entries:
            if rest.startswith(f"{kind} "):
                key = rest.removeprefix(f"{kind} ")
                while key in entries:  # two entries that print alike are still two
                    key += " (again)"
                entries[key] = dump_id
        return entries

    def only(self, tables: Collection[str]) -> Toc:
        """With the rows of these tables alone, by their keys."""
        ids = {dump_id for key, dump_id in self.of(TABLE_DATA).items() if key not in tables}
        return replace(self, entries=tuple(entry for entry in self.entries if entry[0] not in ids))

    def lines(self, wanted: re.Pattern[str], unfilled: Collection[tuple[str, str]] = ()) -> str:
        """The lines whose entry matches, as `pg_restore -L` wants them; these views, by schema and name, unfilled."""
        left = tuple(f"MATERIALIZED VIEW DATA {schema} {name} " for schema, name in unfilled)
        entries = ((line, m["rest"]) for line in self.text.split("\n") if (m := _ENTRY.fullmatch(line)))
        return "".join(f"{line}\n" for line, rest in entries if wanted.match(rest) and not rest.startswith(left))

    def entry(self, dump_id: str) -> str:
        """The line of one entry."""
        return next(f"{line}\n" for line in self.text.split("\n") if line.startswith(f"{dump_id}; "))


@dataclass(frozen=True)
class TableFact:
    rows: int
    bytes: int
    sha256: str
    file: str = ""


def read_toc(place: Place, dump: Path, *, whole: bool = False) -> Toc:
    """`whole`: with the database's own properties."""
    argv = ["pg_restore", "-l", *(["-C"] if whole else []), place.path(dump)]
    return toc_of(place.run(argv, what="reading the dump's table of contents").stdout)


def toc_of(text: str) -> Toc:
    """`text` is what `pg_restore -l` says."""
    entries = tuple((m["id"], m["rest"]) for m in map(_ENTRY.fullmatch, text.split("\n")) if m)
    # The file's own times are not part of what it lists.
    return Toc("\n".join(line for line in text.split("\n") if not line.startswith(";")) + "\n", entries)


@dataclass(frozen=True)
class Depending:
    """An entry with the dump ids of those that it needs."""

    line: str
    rest: str  # without its numbers
    needs: tuple[str, ...]

    @property
    def title(self) -> str:
        """Without its owner, which stands last."""
        return self.rest.rpartition(" ")[0]


def read_depending(place: Place, dump: Path) -> dict[str, Depending]:
    """All entries by their dump id, in their order."""
    argv = ["pg_restore", "-l", "-v", place.path(dump)]
    return depending_of(place.run(argv, what="reading what the dump's entries need").stdout)


def depending_of(text: str) -> dict[str, Depending]:
    """`text` is what `pg_restore -l -v` says."""
    entries: dict[str, Depending] = {}
    last = ""
    for line in text.split("\n"):
        if match := _ENTRY.fullmatch(line):
            last = match["id"]
            entries[last] = Depending(line, match["rest"], ())
        elif last and line.startswith(_NEEDS):
            needs = tuple(dict.fromkeys(line.removeprefix(_NEEDS).split()))
            entries[last] = Depending(entries[last].line, entries[last].rest, needs)
    return entries


def tables(toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, TableFact]:
    """Rows, bytes and digest of each table of a dump, by its entry in the table of contents."""
    facts = {}
    for key, dump_id in toc.of(TABLE_DATA).items():
        digest = files[f"{dump_id}.dat"]
        rows = (digest.lines or 0) - TRAILER_LINES
        facts[key] = TableFact(rows, digest.bytes, digest.sha256, f"{dump_id}.dat")
    return facts


def blobs(files: Mapping[str, FileDigest]) -> dict[str, str]:
    return {m["oid"]: digest.sha256 for name, digest in files.items() if (m := _BLOB_FILE.fullmatch(name))}


# The fetched dump in its two forms: a directory, or one file that was stored as a stream.

_BLOBS = re.compile(r"BLOBS - ")


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
        """The rows of one table, as a file."""
        return self.context.restored / "dump" / self.tables(toc)[key].file

    def blobs(self) -> dict[str, str]:
        """A digest of each large object, by its OID."""
        return blobs(self._files)

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        """The same of the second dump, which is always a directory."""
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
        return dict(self.context.manifest.contents["large_objects"])

    def blobs_again(self, again: Path, toc: Toc, files: Mapping[str, FileDigest]) -> dict[str, str]:
        lines = toc.lines(_BLOBS)
        return archive.contents(self.context.sandbox, again, lines).blobs if lines else {}


FetchedDump = DumpDirectory | OneFile


def claimed_of(manifest: Manifest) -> dict[str, tuple[int, str]]:
    """Rows and SHA-256 of each table, as the manifest has them."""
    return {key: (int(t["rows"]), str(t["sha256"])) for key, t in manifest.contents["tables"].items()}
