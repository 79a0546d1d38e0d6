"""What an entry of the catalogue, a manifest and a mark say, and how they are read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from tests.support.listed import HOUR, NOW, ROOT, Repository, an_id, known, synchronised
from tests.support.manifests import SAID

from ccdr.model.errors import BackupBad, Exit, WrittenByNewer
from ccdr.model.values import Attestation, Manifest, Snapshot
from ccdr.storage.catalogue import Catalogue, of_source, stream_of
from ccdr.storage.manifest import manifest_text, parse_manifest, snapshot_of
from ccdr.storage.removals import Removal, removals, removals_text
from ccdr.storage.restic import Restic


def test_a_prunes_mark_says_what_it_was_about_to_remove(repo: Repository) -> None:
    written = [Removal("crm", an_id(1), NOW), Removal("calls", an_id(2), NOW + HOUR)]
    repo.backup(1)
    mark = repo.pruned(10, "crm", "crm id yesterday", "a b c d")
    repo.put(11, "kind=pruned", paths=())
    repo.pruned(12, *removals_text(written).splitlines())
    assert removals_text([]) == "" and removals(cast("Restic", repo), repo.there) == written
    assert mark.id in repo.reads and an_id(1) not in repo.reads


def test_an_entry_that_was_changed_is_a_bad_backup(catalogue: Catalogue, repo: Repository) -> None:
    repo.backup(1)
    synchronised(catalogue, repo)
    (snapshot,) = catalogue.snapshots("p", "crm")
    path = catalogue.directory / "p" / "crm" / f"{snapshot.id}.json"
    path.write_text(path.read_text().replace(r"\"dump\"", r"\"dumb\""))
    with pytest.raises(BackupBad, match="manifest of 00000001 was changed"):
        catalogue.manifest(snapshot)


def test_one_that_is_removed_counts_no_longer(catalogue: Catalogue, five: list[Snapshot]) -> None:
    for _ in range(2):  # another process may have been quicker
        catalogue.remove(five[2])
    left = [*five[:2], *five[3:]]
    assert catalogue.snapshots("p", "crm") == left
    for snapshot in left:
        assert catalogue.snapshots("p", "crm", besides=[snapshot.id]) == [s for s in left if s != snapshot]


def test_an_entry_with_a_long_source_is_read_and_one_cut_short_is_not(catalogue: Catalogue) -> None:
    made = Manifest("p", "crm", "r1", "files", "scan", "h", NOW, 0.0, {}, {"source": "/srv " * 5000}, {}, attested=SAID)
    text = manifest_text(made)
    snapshot = snapshot_of(made, text, an_id(1), ROOT, NOW)
    short = snapshot_of(replace(made, contents={"source": "db"}), text, an_id(2), ROOT, NOW)
    catalogue.add(snapshot, text)
    catalogue.add(short, text)
    assert catalogue.snapshots("p", "crm") == [snapshot, short]
    for one in (snapshot, short):
        path = catalogue.directory / "p" / "crm" / f"{one.id}.json"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        assert one not in catalogue.snapshots("p", "crm"), "though all of its first part is there"
        path.write_bytes(b" " + whole)
        assert one not in catalogue.snapshots("p", "crm"), "no entry of ours"
        path.write_bytes(whole)


def test_a_manifest_is_the_same_text_in_whatever_order_it_was_made() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {"a": "1", "b": "2"}, {}, {}, attested=SAID)
    assert manifest_text(made) == manifest_text(replace(made, tools={"b": "2", "a": "1"}))


def test_one_of_a_later_format_is_refused_by_its_number() -> None:
    """It is no damage: a newer ccdr can read it."""
    with pytest.raises(WrittenByNewer, match="format 4, and was written by a newer ccdr") as told:
        parse_manifest('{"format": 4}')
    assert told.value.exit_code is Exit.NOT_CARRIED_OUT and "upgrade ccdr on this host" in (told.value.hint or "")


def test_a_key_that_is_not_known_and_a_format_of_before_are_damage() -> None:
    text = manifest_text(Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {}, {}, attested=SAID))
    for other, said in ((text.replace("{", '{"tenant":"acme",', 1), "tenant"), (text.replace(":3", ":2"), "before")):
        assert other != text
        with pytest.raises(BackupBad, match=said):
            parse_manifest(other)


def test_what_a_manifest_attests_is_read_back_and_half_of_it_is_damage() -> None:
    said = Attestation("a" * 32, 17, "b" * 64, 16, "c" * 12, "d" * 64)
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {}, {}, attested=said)
    text = manifest_text(made)
    assert parse_manifest(text) == made and '"seq":17' in text
    assert Attestation.of(dict(tag.split("=") for tag in said.as_tags())) == said
    for wrong in ('"seq":-1', '"seq":"x"', '"seq":true', '"seq":null', '"sequence":17'):
        with pytest.raises(BackupBad):
            parse_manifest(text.replace('"seq":17', wrong))


def test_a_snapshot_is_of_the_source_that_the_plan_names() -> None:
    made = Manifest("p", "crm", "r", "files", "scan", "h", NOW, 0.0, {}, {"source": "db"}, {}, attested=SAID)
    snapshot = snapshot_of(made, "", an_id(1), ROOT, NOW)
    assert of_source(snapshot, "db") and not of_source(snapshot, "db2")
    assert stream_of(made) is None
    assert stream_of(replace(made, contents={"stream": {"snapshot": an_id(3)}})) == an_id(3)


def test_what_a_run_here_is_at_work_on_is_learned_once_it_has_said_so(catalogue: Catalogue, repo: Repository) -> None:
    """It may come to nothing yet. What others store is."""
    repo.backup(1, NOW - HOUR)
    repo.backup(2, NOW - HOUR / 2)
    repo.put(3, "kind=backup", "asset=crm", at=NOW)  # which names no run
    asked: list[str] = []

    def at_work(run: str) -> bool:
        asked.append(run)
        return run == "r2"

    told = synchronised(catalogue, repo, at_work=at_work)
    assert known(catalogue) == [an_id(1)] and sorted(asked) == ["", "r1", "r2"]
    assert [s.id for s in told.unread] == [an_id(3)] and an_id(2) not in repo.reads
    synchronised(catalogue, repo)
    assert known(catalogue) == [an_id(1), an_id(2)]
    asked.clear()
    synchronised(catalogue, repo, at_work=at_work)
    assert asked == [""], "of what is known nobody is asked"


def test_all_assets_are_those_of_backups_and_come_in_order(catalogue: Catalogue, repo: Repository) -> None:
    """A prune's mark, or the log's, names none."""
    for number, asset in enumerate(("queues", "crm", "switchboard", "archive", "dialler")):
        repo.backup(number, NOW - HOUR, asset)
    repo.put(9, "kind=log", "asset=other")
    assert catalogue._all_assets("p", cast("Any", repo.there)) == sorted(
        ["queues", "crm", "switchboard", "archive", "dialler"]
    )
    synchronised(catalogue, repo, None)
    assert catalogue.assets("p") == ["archive", "crm", "dialler", "queues", "switchboard"]
    (catalogue.directory / "p" / "lost+found.txt").touch()
    assert "lost+found.txt" not in catalogue.assets("p")
