"""A log in memory: segments, batches and bases of it as they are stored, and the store that they go to."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ccdr.engines.base import LogShipping
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.segments import SEGMENT_BYTES, lsn
from ccdr.engines.postgres.wal import Wal
from ccdr.jobs.shipping.choice import choose
from ccdr.jobs.shipping.log_archive import LogArchive, StoredBatch
from ccdr.model.errors import RepositoryUnavailable
from ccdr.model.values import FileDigest, Manifest, Snapshot
from ccdr.ports.log import LogMark, RecoveryTarget
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Stored
from tests.support.manifests import SAID, counted

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WAL = Wal(Connection(host="/run", user="x", database="y"), LogShipping(), "p/crm")


def segment(n: int, timeline: int = 1) -> str:
    return f"{timeline:08X}{n // 256:08X}{n % 256:08X}"


def batch(first: int, last: int, at: int = 0, *, id_: str = "", timeline: int = 1) -> StoredBatch:
    """Whole segments from `first` to `last`, the next one open; minutes after NOW."""
    when = NOW + timedelta(minutes=at)
    names = [segment(n, timeline) for n in (first, last, last + 1)]
    whole = (names[0], names[1]) if last >= first else (None, None)
    return StoredBatch(
        id=id_ or f"{first}-{last}-{at}",
        root="/spool",
        name=names[0],
        first=whole[0],
        last=whole[1],
        open=names[2],
        point=when,
        position=lsn((last + 1) << 24),
        usable_at=when + timedelta(seconds=3),
        run="r",
    )


def base(at: int, stop: int, method: str = "physical") -> tuple[Snapshot, Manifest]:
    when = NOW + timedelta(minutes=at)
    contents = {
        "source": "cluster of crm",
        "system_identifier": "7312",
        "timeline": 1,
        "stop_lsn": lsn((stop << 24) + 4096),
    }
    manifest = Manifest("p", "crm", f"r{at}", "postgres", method, "h", when, 0.0, {}, contents, attested=SAID)
    snapshot = counted(f"base{at}", "p", "crm", f"r{at}", "postgres", method, when, when, 1, "/x", "0" * 64)
    return snapshot, manifest


def walfile(path: Path, n: int, written: int, identifier: int = 7312) -> None:
    """Segment `n`, of which so many bytes were received: its pages begin with where they lie, and zeros follow."""
    whole = bytearray(SEGMENT_BYTES)
    for page in range(0, written, 8192):
        struct.pack_into("=HHIQ", whole, page, 0xD110, 0, 1, n * SEGMENT_BYTES + page)
    if written:
        struct.pack_into("=24xQII", head := bytearray(40), 0, identifier, SEGMENT_BYTES, 8192)
        whole[24:40] = head[24:]
    path.write_bytes(whole)


def chosen(archive: LogArchive, target: RecoveryTarget, *bases: tuple[Snapshot, Manifest]) -> tuple[str, list[str]]:
    found = choose([s for s, _ in bases], [m for _, m in bases], archive, WAL, target)
    return found.base.id, [b.id for b in found.batches]


def undigested(directory: Path, names: Sequence[str]) -> dict[str, FileDigest]:
    return {name: FileDigest(0, "0" * 64) for name in names}


def by_a_clock(found: StoredBatch, ahead: timedelta) -> StoredBatch:
    """As a host stores it whose clock is ahead."""
    return replace(found, point=found.point + ahead, usable_at=found.usable_at + ahead)


class Store:
    """A repository that is away, or stores all that it is given."""

    def __init__(self, *, away: bool = True) -> None:
        self.location, self.away, self.stored = "/repo/log", away, list[list[str]]()

    def probe(self) -> None:
        if self.away:
            raise RepositoryUnavailable("the repository does not answer")

    def snapshots(self, _tags: Sequence[str]) -> list[RepoSnapshot]:
        self.probe()
        return []

    def backup(self, paths: Sequence[Path], **_: object) -> Stored:
        self.probe()
        self.stored.append(sorted(path.name for path in paths[0].iterdir()))
        return Stored("1" * 64, 1, 1)


MARK = LogMark(lsn((3 << 24) + 9000), NOW, 0.0)
