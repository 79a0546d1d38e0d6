r"""What a dump in one file holds, read out of the script that pg_restore makes of its data.

Between `COPY … FROM stdin;` and `\.` stand a table's rows, as PostgreSQL wrote them: so the digests are those of a
directory dump's files. Rows go from pg_restore into sha256sum by way of awk; nothing is written to disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

# Names and comments may hold any line: only what stands outside of quotes is a statement of the script's own. A quote
# within quotes is doubled, so that each one ends what it begins and begins it again. `text` says whether a line was
# began within, or is a comment; `of` is what the statement that goes on begins with.
_QUOTES = r"""
function text(line, outer, at) {
  outer = quote
  if (outer == "" && (line ~ /^--/ || line ~ /^\\/ || line == "")) return 1
  if (outer == "" && of == "") of = line
  while (line != "") {
    if (quote == "") { if (!match(line, /["']/)) break; quote = substr(line, RSTART, 1); at = RSTART }
    else { if (!(at = index(line, quote))) break; quote = "" }
    line = substr(line, at + 1)
  }
  return outer != ""
}
function copies(line) { return quote == "" && of ~ /^COPY / && line ~ / FROM stdin;$/ }
function over(line) { if (quote == "" && line ~ /;$/) of = "" }
"""
# Of each table, in the order of the table of contents: its digest, then rows and bytes. Of each large object: a digest
# of the statements that write it, then its OID. A row that is `\.` cannot be: COPY writes its backslash twice.
HASHED = (
    _QUOTES
    + r"""
function ended() { printf "%s", end | hash; close(hash) }
BEGIN { hash = "sha256sum"; end = "\\.\n\n\n" }
rows { if ($0 == "\\.") { ended(); printf "table %.0f %.0f\n", rows - 1, bytes + length(end); fflush(); rows = 0 }
       else { print | hash; rows++; bytes += length($0) + 1 }
       next }
quote == "" && /^SELECT pg_catalog\.lowrite\(/ { print | hash; next }
{ within = text($0) }
copies($0) { rows = 1; bytes = 0; of = ""; next }
{ over($0) }
within { next }
/^SELECT pg_catalog\.lo_(open|create)\('/ { split($0, part, "'"); next }
/^SELECT pg_catalog\.lo_close\(/ { printf "" | hash; close(hash); print "blob", part[2]; fflush() }
"""
)
# The rows of the one table that the script is of, as a directory dump's file has them.
EXTRACTED = (
    _QUOTES
    + r"""
rows { print; if ($0 == "\\.") { printf "\n\n"; rows = 0 }; next }
{ text($0); if (copies($0)) { rows = 1; of = "" } else over($0) }
"""
)
_READ = 'set -o pipefail; export LC_ALL=C; pg_restore -a -L /dev/stdin -f - "$1" | awk "$2"'
# A whole dump that stands nowhere; `archive` and `program` are its words.
FROM_INPUT = 'pg_restore -a -f - | LC_ALL=C awk "$program"'


@dataclass(frozen=True)
class Contents:
    """Rows, bytes and SHA-256 of each table, in the order of the table of contents; large objects by OID."""

    tables: Sequence[tuple[int, int, str]]
    blobs: dict[str, str]


def contents_of(output: str) -> Contents:
    """What HASHED wrote; CommandFailed where that is not whole."""
    tables: list[tuple[int, int, str]] = []
    blobs: dict[str, str] = {}
    try:
        for digest, what in _pairs(output):
            match what.split():
                case ["table", rows, size]:
                    tables.append((int(rows), int(size), digest))
                case ["blob", oid]:
                    blobs[oid] = digest
                case _:
                    raise ValueError(what)
    except ValueError as error:
        raise CommandFailed(["awk"], 0, f"what it read out of the dump is not whole: {type(error).__name__}") from None
    return Contents(tables, blobs)


def _pairs(output: str) -> Iterator[tuple[str, str]]:
    lines = output.splitlines()
    for hashed, what in zip(lines[::2], lines[1::2], strict=True):
        digest, _, name = hashed.partition("  ")
        if len(digest) != 64 or name != "-":
            raise ValueError("no digest")
        yield digest, what


def contents(place: Place, dump: Path, entries: str) -> Contents:
    """Of these entries of a dump, which are lines of its table of contents."""
    argv = ["bash", "-c", _READ, "read", place.path(dump), HASHED]
    return contents_of(place.run(argv, stdin=entries, what="hashing what the dump holds").stdout)


def extract(place: Place, dump: Path, entry: str, to: Path) -> None:
    """Write one table's rows into the file `to`."""
    argv = ["bash", "-c", f'{_READ} > "$3"', "read", place.path(dump), EXTRACTED, place.path(to)]
    place.run(argv, stdin=entry, what="reading a table's rows", watch=to.parent)
