"""What the catalogue learns of backups that another host stored."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import PurePosixPath

from tests.support.listed import HOUR, NOW, ROOT, Repository, an_id, known, sentences, synchronised

from ccdr.model.values import GroupRun, Needed
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import MANIFEST, parse_manifest, text_digest
from ccdr.storage.synchronised import Synchronised


def test_what_another_host_stored_is_learned_whole_and_read_once(catalogue: Catalogue, repo: Repository) -> None:
    group, upon = GroupRun("calls", "g1", ("crm",)), (Needed(an_id(1), "x"),)
    first = repo.backup(1, NOW - HOUR)
    text = repo.files[first.id, PurePosixPath(ROOT) / MANIFEST]
    upon = (Needed(first.id, text_digest(text)),)
    repo.backup(2, NOW - HOUR / 2, group=group, upon=upon)
    told = synchronised(catalogue, repo)
    assert told.listed == tuple(repo.there) and told == Synchronised(listed=told.listed)
    one, two = catalogue.snapshots("p", "crm")
    assert one.usable_at == first.finished, "not before it was stored"
    assert (two.source, two.group, two.upon, two.run) == ("db", group, upon, "r2")
    assert catalogue.manifest(one) == parse_manifest(text)
    assert sorted(repo.reads) == [an_id(1), an_id(2)]
    assert synchronised(catalogue, repo) == told and len(repo.reads) == 2


def test_many_assets_are_read_side_by_side_and_told_of_in_their_order(catalogue: Catalogue) -> None:
    """Each read waits until another one is under way: one by one they would never end."""
    together = threading.Barrier(2)

    class Slow(Repository):
        def read(self, snapshot: str, path: PurePosixPath, held: str | None = None) -> str:
            together.wait(20)
            return super().read(snapshot, path, held)

    repo, assets = Slow(), ("crm", "calls", "queue", "archive")
    for number, asset in enumerate(assets, 1):
        repo.backup(number, NOW - HOUR * number, asset)
    del repo.files[an_id(2), PurePosixPath(ROOT) / MANIFEST], repo.files[an_id(4), PurePosixPath(ROOT) / MANIFEST]
    told = synchronised(catalogue, repo, assets)
    assert [known(catalogue, asset) for asset in assets] == [[an_id(1)], [], [an_id(3)], []]
    assert [asset for asset, _ in told.findings] == ["calls", "archive"]
    assert [s.id for s in told.unread] == [an_id(4), an_id(2)], "by time"
    alone = told.of_asset("calls")
    assert (alone.findings, [s.id for s in alone.unread]) == (told.findings[:1], [an_id(2)])
    assert (alone.listed, alone.failed) == (told.listed, told.failed)


def test_one_that_restic_dates_later_is_usable_from_then(catalogue: Catalogue, repo: Repository) -> None:
    stored = repo.backup(1, NOW - HOUR)
    repo.there[0] = replace(stored, time=NOW, finished=NOW - HOUR)  # a clock was set back in between
    synchronised(catalogue, repo)
    assert catalogue.snapshots("p", "crm")[0].usable_at == NOW


def test_each_asset_learns_of_its_own_backups_and_of_nothing_else(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    repo.backup(2, NOW, "calls")
    repo.put(3, "kind=log", "asset=crm", "run=r3")
    repo.failed(4, "r4")
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(1)] and known(catalogue, "calls") == [] and told.findings == ()
    assert repo.reads == [an_id(1)]


def test_all_assets_are_those_that_there_is_or_was_anything_of(catalogue: Catalogue, repo: Repository) -> None:
    """In the order of their names, whatever the repository lists first."""
    repo.backup(1, NOW, "old")
    synchronised(catalogue, repo, None)
    repo.lose(1)
    repo.put(2, "kind=backup", "asset=zebra", "run=r2", paths=())
    repo.put(3, "kind=backup", "asset=crm", "run=r3", paths=())
    repo.put(4, "kind=log", "asset=shipped", "run=r4")
    repo.put(5, "kind=backup", "run=r5", paths=())
    (catalogue.directory / "p" / "a file").write_text("")
    told = synchronised(catalogue, repo, None)
    assert [asset for asset, _ in told.findings] == ["crm", "old", "zebra"]
    assert catalogue.assets("p") == ["old"] and catalogue.assets("q") == []
    assert [asset for asset, _ in synchronised(catalogue, repo, ["zebra"]).findings] == ["zebra"]


def test_what_has_no_manifest_of_its_own_asset_does_not_count(catalogue: Catalogue, repo: Repository) -> None:
    """And hides no other."""
    repo.put(1, "kind=backup", "asset=crm", "run=r1", paths=("/somewhere/else",))
    repo.backup(2)
    repo.files[an_id(2), PurePosixPath(ROOT) / MANIFEST] = "{}"
    repo.put(3, "kind=backup", "asset=crm", "run=r3")
    for number, other in ((4, {"asset": "calls"}), (5, {"plan": "q"})):
        repo.backup(number, NOW, "crm", **other)
    repo.there[3] = replace(repo.there[3], paths=("/first", ROOT))
    repo.backup(6)
    repo.there[5] = replace(repo.there[5], paths=("/first", ROOT))
    told = synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(6)]
    assert [asset for asset, _ in told.findings] == ["crm"] * 5
    said = sentences(told)
    assert all(f"snapshot 0000000{n} does not count: " in line for n, line in zip(range(1, 6), said, strict=True))
    assert "holds no captured directory" in said[0] and "its manifest is of p/calls" in said[3]
    assert "its manifest is of q/crm" in said[4]
