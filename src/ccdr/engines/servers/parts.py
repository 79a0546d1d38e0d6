"""Tables of a dump that are restored without the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ccdr.model.values import Manifest, so_many

PARTS = "parts"  # among a manifest's contents, once it is of some tables alone


@dataclass(frozen=True)
class ChosenTables:
    """Which tables, of how many; `manifest` is of these alone, and of the files that are fetched for them."""

    manifest: Manifest
    tables: tuple[str, ...]
    of: int
    rows: int
    bytes: int
    notes: tuple[str, ...] = ()  # what is left out, as far as that is known before it is fetched

    @classmethod
    def narrowed(
        cls, manifest: Manifest, keys: Mapping[str, str], files: Sequence[str], **contents: object
    ) -> ChosenTables:
        """`keys` are those of the manifest's tables, by the names that a person gave."""
        tables = manifest.contents["tables"]
        kept = {key: tables[key] for key in keys.values()}
        wanted = {name: manifest.files[name] for name in files}
        narrow = replace(
            manifest, contents={**manifest.contents, "tables": kept, PARTS: True, **contents}, files=wanted
        )
        rows = sum(int(table["rows"]) for table in kept.values())
        return cls(narrow, tuple(keys), len(tables), rows, sum(digest.bytes for digest in wanted.values()))

    def __str__(self) -> str:
        return f"{', '.join(self.tables)}: {so_many(self.rows, 'row')}; {len(self.tables)} of {self.of} tables"


def in_part(manifest: Manifest) -> bool:
    """Is it of some tables alone?"""
    return bool(manifest.contents.get(PARTS))
