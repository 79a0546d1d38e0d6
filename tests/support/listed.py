"""A repository whose list is in memory: restic's own is read in `test_repository_answers`, and by every test with a
repository."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, cast

from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.manifest import CAPTURED, MANIFEST, manifest_text
from ccdr.storage.restic import Restic
from ccdr.storage.synchronised import Synchronised
from tests.support.manifests import SAID

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROOT = f"/var/lib/ccdr/scratch/capture/p/crm/{CAPTURED}"


def an_id(number: int) -> str:
    return f"{number:08x}" + "0" * 56


class Repository:
    """What a repository lists, and the files in it that ccdr reads."""

    def __init__(self) -> None:
        self.there: list[RepoSnapshot] = []
        self.files: dict[tuple[str, PurePosixPath], str] = {}
        self.reads: list[str] = []

    def snapshots(self, tags: Sequence[str]) -> list[RepoSnapshot]:
        return [s for s in self.there if {*tags} <= {*s.tags}]

    def held_as(self, snapshot: str) -> tuple[str, ...]:
        return (snapshot,)

    def prefer(self, snapshot: str, held: str) -> None:
        assert snapshot == held

    def read(self, snapshot: str, path: PurePosixPath, held: str | None = None) -> str:
        self.reads.append(snapshot)
        try:
            return self.files[snapshot, path]
        except KeyError:
            raise BackupBad(f"{path} is not in it") from None

    def put(self, number: int, *tags: str, at: datetime = NOW, paths: Sequence[str] = (ROOT,)) -> RepoSnapshot:
        """One more that is listed: it took five minutes."""
        stored = RepoSnapshot(an_id(number), at, at + timedelta(minutes=5), tuple(paths), ("ccdr-3", "plan=p", *tags))
        self.there.append(stored)
        return stored

    def backup(self, number: int, at: datetime = NOW, of: str = "crm", *tags: str, **changed: Any) -> RepoSnapshot:
        made = Manifest(
            "p", of, f"r{number}", "postgres", "dump", "h", at, 0.0, {}, {"source": "db"}, {}, attested=SAID
        )
        stored = self.put(number, "kind=backup", f"asset={of}", f"run=r{number}", *tags, at=at)
        self.files[stored.id, PurePosixPath(ROOT) / MANIFEST] = manifest_text(replace(made, **changed))
        return stored

    def failed(self, number: int, run: str, *tags: str) -> RepoSnapshot:
        return self.put(number, "kind=failed", "asset=crm", f"run={run}", *tags)

    def pruned(self, number: int, *lines: str) -> RepoSnapshot:
        mark = self.put(number, "kind=pruned", paths=("/mark", "/other"))
        self.files[mark.id, PurePosixPath("/mark")] = "".join(f"{line}\n" for line in lines)
        return mark

    def lose(self, *numbers: int) -> None:
        self.there = [s for s in self.there if s.id not in {an_id(n) for n in numbers}]


def synchronised(
    catalogue: Catalogue,
    repo: Repository,
    assets: Collection[str] | None = ("crm",),
    *,
    now: datetime = NOW,
    **given: Any,
) -> Synchronised:
    return catalogue.synchronise(cast("Restic", repo), "p", assets, now, **given)


def known(catalogue: Catalogue, asset: str = "crm") -> list[str]:
    return [s.id for s in catalogue.snapshots("p", asset)]


def sentences(told: Synchronised) -> list[str]:
    return [str(finding) for _, finding in told.findings]
