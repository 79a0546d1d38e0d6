"""PostgreSQL's own `backup_manifest`: every file of a base backup with its SHA-256, and the log that it needs.

The format is described in PostgreSQL's documentation, "Backup Manifest Format".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ccdr.model.errors import BackupBad
from ccdr.model.values import FileDigest

NAME = "backup_manifest"


@dataclass(frozen=True)
class BackupManifest:
    """`files` by their path below the data directory; the log's own files are not among them. LSNs are as PostgreSQL
    writes them."""

    files: Mapping[str, FileDigest]
    timeline: int
    start: str
    end: str

    @property
    def bytes(self) -> int:
        return sum(digest.bytes for digest in self.files.values())


def read_backup_manifest(path: Path) -> BackupManifest:
    """ValueError where it is none, or bears no SHA-256."""
    return parse(path.read_bytes())


def parse(text: bytes | str) -> BackupManifest:
    """As `read_backup_manifest`."""
    try:
        body = json.loads(text)
        last = body["WAL-Ranges"][-1]
        return BackupManifest(
            files={_name(entry): _digest(entry) for entry in body["Files"] if not _is_log(entry)},
            timeline=int(last["Timeline"]),
            start=str(body["WAL-Ranges"][0]["Start-LSN"]),
            end=str(last["End-LSN"]),
        )
    except (AttributeError, KeyError, IndexError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(f"{NAME} cannot be read: {type(error).__name__}") from None


def listed(data: Path) -> Mapping[str, FileDigest]:
    """The files of a restored cluster, as its own manifest has them; BackupBad where that cannot be read."""
    try:
        return read_backup_manifest(data / NAME).files
    except (OSError, ValueError) as error:
        raise BackupBad(f"the backup's own manifest cannot be read: {error}") from None


def _is_log(entry: Mapping[str, str]) -> bool:
    """pg_combinebackup lists the log's files too, without a checksum; pg_basebackup does not."""
    return entry.get("Path", "").startswith("pg_wal/")


def _name(entry: Mapping[str, str]) -> str:
    """A name that is no UTF-8 stands there in hexadecimal; half a character, which JSON can hold, is none."""
    if "Encoded-Path" in entry:
        return bytes.fromhex(entry["Encoded-Path"]).decode("utf-8", "surrogateescape")
    return entry["Path"].encode("utf-8").decode("utf-8")


def _digest(entry: Mapping[str, str]) -> FileDigest:
    if entry["Checksum-Algorithm"] != "SHA256":
        raise ValueError(f"{_name(entry)} has a checksum by {entry['Checksum-Algorithm']}, expected SHA256")
    return FileDigest(int(entry["Size"]), str(entry["Checksum"]))
