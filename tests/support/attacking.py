"""What somebody does who holds what a backup needs: the store's key and the repository's password, or all of the host."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.demo.store import DemoStore
from ccdr.model.values import Attestation
from tests.support.harness import Site
from tests.support.stored import on_store, other_host, settled_file

PREFIX = "r/"  # where `on_store` puts a repository


@dataclass(frozen=True)
class Held:
    """A bucket that somebody holds the key of. Each version in it is locked where its site is `in_a_locked_bucket`."""

    client: Any
    name: str

    def everything(self, below: str = "") -> list[str]:
        return [one["Key"] for one in self._pages("list_objects_v2", "Contents", below)]

    def versions(self, below: str = "") -> dict[str, str]:
        """Of each key the oldest version that there is."""
        found = self._pages("list_object_versions", "Versions", below)
        return {one["Key"]: one["VersionId"] for one in sorted(found, key=lambda v: v["LastModified"], reverse=True)}

    def every_version(self) -> list[tuple[str, str]]:
        return [(one["Key"], one["VersionId"]) for one in self._pages("list_object_versions", "Versions", "")]

    def deleted(self, *keys: str) -> None:
        """As with the key of a backup: without naming a version, which leaves a marker."""
        for key in keys:
            self.client.delete_object(Bucket=self.name, Key=key)

    def overwritten(self, keys: list[str], contents: bytes) -> None:
        for key in keys:
            self.client.put_object(Bucket=self.name, Key=key, Body=contents)

    def read(self, key: str, version: str | None = None) -> bytes:
        of = {"VersionId": version} if version else {}
        return bytes(self.client.get_object(Bucket=self.name, Key=key, **of)["Body"].read())

    def as_it_was(self, before: dict[str, str]) -> None:
        """What its owner does: removes the markers, and writes each of these versions over what stands there now."""
        for one in self._pages("list_object_versions", "DeleteMarkers", ""):
            self.client.delete_object(Bucket=self.name, Key=one["Key"], VersionId=one["VersionId"])
        for key, version in before.items():
            if self.read(key) != (whole := self.read(key, version)):
                self.client.put_object(Bucket=self.name, Key=key, Body=whole)

    def _pages(self, call: str, what: str, below: str) -> list[dict[str, Any]]:
        pages = self.client.get_paginator(call).paginate(Bucket=self.name, Prefix=f"{PREFIX}{below}")
        return [one for page in pages for one in page.get(what, [])]


def in_a_locked_bucket(site: Site, store: DemoStore, bucket: str) -> Held:
    """Move the site's repository into a bucket that keeps versions and locks each of them for a day (COMPLIANCE)."""
    assert store.bucket(bucket).ensure(lock_days=1)
    on_store(site, store, bucket)
    return Held(store.bucket(bucket).client(), bucket)


@contextlib.contextmanager
def other_data_at(tree: Path) -> Iterator[None]:
    """As on another host, where other files have these names."""
    aside = tree.with_name(f"{tree.name}-ours")
    tree.rename(aside)
    try:
        for n in range(3):
            settled_file(tree / "agent0" / f"call{n}.wav", bytes([65 + n]) * 20_000)
        yield
    finally:
        shutil.rmtree(tree)
        aside.rename(tree)


def planted(site: Site, root: Path, count: int = 1) -> Site:
    """Sound snapshots of other data, by a ccdr of the attacker's own: plan and password are the site's."""
    theirs = other_host(site, root)
    with other_data_at(site.root / "tree"):
        for _ in range(count):
            theirs.backed_up()
    return theirs


def forged_pass(site: Site) -> str:
    """The newest restore test once more, recorded as another run's, which is returned: nobody did it."""
    ledger, run = site.services().ledger, "20261127T000000-ffffff"
    for kind in ("restore_test.start", "restore_test.end"):
        newest = site.records(kind)[-1]
        kept = {name: newest[name] for name in newest if name not in ("seq", "prev", "time", "host", "actor")}
        ledger._append({**kept, "run": run})
    return run


def borrowed(site: Site) -> tuple[str, Attestation]:
    """Run, and what is attested, of the newest snapshot: anybody reads them in its tags who may list snapshots."""
    newest = site.services().catalogue.snapshots("p", "recordings")[-1]
    (end,) = [r for r in site.records("backup.end") if (r["snapshot"] or {}).get("id") == newest.id]
    assert newest.attested is not None
    return str(end["run"]), newest.attested
