"""The catalogue: manifests come back as they were written, entries are whole or absent, damage is told."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.manifests import NOW, a_manifest
from tests.support.years import Centre, write_catalogue, write_ledger

from ccdr.host import state
from ccdr.host.files import write_durably
from ccdr.model.errors import BackupBad, CcdrError
from ccdr.model.values import Attestation, FileDigest, GroupRun, Manifest, Needed, Snapshot
from ccdr.storage.catalogue import Catalogue
from ccdr.storage.manifest import manifest_text, parse_manifest, snapshot_of, text_digest
from ccdr.storage.removals import CLOCK_TOLERANCE, dated_in_future

# Any text, also file names that are not UTF-8 (as surrogates), quotes and line ends.
texts = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from('\udc80\udcff\n"\\\x00'))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
sizes = st.integers(0, 2**63)
attestations = st.builds(Attestation, texts, sizes, texts, sizes, texts, texts)
manifests = st.builds(
    Manifest,
    plan=texts,
    asset=texts,
    run=texts,
    engine=texts,
    method=texts,
    host=texts,
    consistent_point=st.datetimes(timezones=st.just(UTC)),
    clock_skew_s=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    tools=st.dictionaries(texts, texts, max_size=3),
    contents=st.dictionaries(texts, plain, max_size=4),
    files=st.dictionaries(texts, st.builds(FileDigest, sizes, texts, st.none() | sizes), max_size=4),
    attested=attestations,
)

times = st.datetimes(timezones=st.just(UTC))
snapshots = st.builds(
    Snapshot, id=st.just("1" * 64), plan=st.just("p"), asset=st.just("crm"), run=texts, engine=texts, method=texts,
    consistent_point=times, usable_at=times, bytes=sizes, root=texts, manifest_sha256=texts,
    source=st.none() | texts | st.just(f"/{'recordings' * 900}"), upon=st.tuples() | st.tuples(st.builds(Needed, texts, texts)),
    group=st.none() | st.builds(GroupRun, texts, texts, st.tuples(texts, texts)),
    attested=attestations, arrived=st.none() | times, in_use=sizes, missing_s=st.floats(0, 1e10),
)  # fmt: skip


def test_a_key_that_is_read_and_is_not_there_makes_a_manifest_no_one_of_ours() -> None:
    held = parse_manifest(manifest_text(a_manifest())).contents
    for read in (lambda: held["standby"], lambda: held["tables"]["public call"]["sha256"]):
        with pytest.raises(BackupBad, match=r"not what ccdr wrote: '(standby|sha256)' is missing"):
            read()
    with pytest.raises(BackupBad, match="'source' is missing"):
        snapshot_of(a_manifest(contents={}), "x", "1" * 64, "/r", NOW)


@given(manifests)
def test_a_manifest_comes_back_as_it_was_written(manifest: Manifest) -> None:
    text = manifest_text(manifest)
    assert parse_manifest(text) == manifest
    assert manifest_text(parse_manifest(text)) == text
    assert text.endswith("\n") and text.count("\n") == 1


@given(manifests)
def test_a_manifest_survives_its_file(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    """As backup writes it and the restore test reads it."""
    path = tmp_path_factory.mktemp("m") / "manifest"
    path.write_text(manifest_text(manifest), "utf-8", "surrogateescape")
    text = path.read_text("utf-8", "surrogateescape")
    assert parse_manifest(text) == manifest and text_digest(text) == text_digest(manifest_text(manifest))


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", "1", '"x"', "{}", '{"format": 3}', "\x00",
        manifest_text(a_manifest()).replace('"format":3', '"format":0'),
        manifest_text(a_manifest()).replace('"format":3', '"format":"3"'),
        manifest_text(a_manifest()).replace('"format":3', '"format":2'),  # of before the first release
        json.dumps({**json.loads(manifest_text(a_manifest())), "colour": "red"}),
        json.dumps({**json.loads(manifest_text(a_manifest())), "attested": {}}),
        json.dumps({**json.loads(manifest_text(a_manifest())), "attested": None}),
        manifest_text(a_manifest()).replace("Z", ""),  # a time without a zone
        manifest_text(a_manifest()).replace('"plan"', '"plane"'),
        manifest_text(a_manifest()).replace('"sha256"', '"md5"'),
        manifest_text(a_manifest())[:-20],
        json.dumps({**json.loads(manifest_text(a_manifest())), "files": []}),
        json.dumps({**json.loads(manifest_text(a_manifest())), "consistent_point": 7}),
    ],
)  # fmt: skip
def test_what_is_no_manifest_of_ours_is_a_bad_backup(text: str) -> None:
    with pytest.raises(BackupBad, match="manifest cannot be read"):
        parse_manifest(text)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format":1,"contents":' * 50_000])
def test_a_manifest_that_is_nested_without_end_is_a_bad_backup(text: str) -> None:
    with pytest.raises(BackupBad, match="cannot be read"):
        parse_manifest(text)


@given(st.text())
def test_any_text_is_a_manifest_or_a_bad_backup(text: str) -> None:
    with contextlib.suppress(BackupBad):
        parse_manifest(text)


def added(where: Catalogue, number: int, **changes: object) -> Snapshot:
    manifest = a_manifest(run=f"r{number}", consistent_point=NOW + timedelta(hours=number), **changes)
    text = manifest_text(manifest)
    snapshot = snapshot_of(
        manifest, text, f"{number:064x}", "/root/ccdr-capture", NOW + timedelta(hours=number, minutes=5)
    )
    where.add(snapshot, text)
    return snapshot


@pytest.fixture
def known(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path / "catalogue")


def test_an_entry_comes_back_whole(known: Catalogue) -> None:
    snapshot = added(known, 1)
    assert known.snapshots("p", "crm") == [snapshot]
    assert known.manifest(snapshot) == a_manifest(consistent_point=NOW + timedelta(hours=1))
    assert snapshot.bytes == 100


@pytest.mark.parametrize("of", ['"format": 2, ', ""])
def test_an_entry_of_before_the_first_release_is_none(known: Catalogue, of: str) -> None:
    snapshot = added(known, 1)
    path = known.directory / "p/crm" / f"{snapshot.id}.json"
    path.write_text(path.read_text().replace('"format": 3, ', of, 1))
    assert known.snapshots("p", "crm") == []


@given(snapshots, texts)
def test_any_entry_comes_back_as_it_was_added(
    tmp_path_factory: pytest.TempPathFactory, snapshot: Snapshot, text: str
) -> None:
    """File names that are not UTF-8, sources whose names are longer than what is read of an entry at first."""
    known = Catalogue(tmp_path_factory.mktemp("c"))
    known.add(snapshot, text)
    assert known.snapshots("p", "crm") == [snapshot]
    assert known.attested("p", "crm", snapshot.id) == snapshot.attested


def test_whoever_edits_an_entry_is_taken_at_their_word_or_not_at_all(known: Catalogue) -> None:
    """A time in another zone is the same time; one without a zone, a number that is text, and an entry in another shape
    are none."""
    snapshot = added(known, 1)
    path = known.directory / "p" / "crm" / f"{snapshot.id}.json"
    whole = path.read_text()

    def edited(before: str, after: str) -> list[Snapshot]:
        assert before in whole
        path.write_text(whole.replace(before, after, 1))
        return known.snapshots("p", "crm")

    assert edited("13:00:00Z", "15:00:00+02:00") == [snapshot]
    assert edited("13:00:00Z", "12:00:00Z") == [replace(snapshot, consistent_point=NOW)]
    assert edited("13:00:00Z", "13:00:00") == edited('"bytes": 100', '"bytes": "100"') == []
    assert edited('"snapshot": {', ' "snapshot": {') == edited("}\n", "") == []
    assert edited('"bytes": 100', '"bytes": 100, "of a later ccdr": {}') == [snapshot]
    held = json.loads(whole)["snapshot"]
    for key in held:  # each is written, whatever it holds
        path.write_text(
            json.dumps(json.loads(whole) | {"snapshot": {k: v for k, v in held.items() if k != key}}) + "\n"
        )
        assert known.snapshots("p", "crm") == [], key
    assert edited("}", "}") == [snapshot], "the twin"


@given(st.integers(0, 700), st.binary(max_size=3))
def test_no_byte_of_an_entry_hides_the_others(
    tmp_path_factory: pytest.TempPathFactory, at: int, instead: bytes
) -> None:
    known = Catalogue(tmp_path_factory.mktemp("c"))
    other, good = added(known, 1), added(known, 2)
    path = known.directory / "p" / "crm" / f"{other.id}.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + instead + whole[at + 1 :])
    assert good in known.snapshots("p", "crm")


def test_snapshots_are_by_consistent_point_whatever_their_ids(known: Catalogue) -> None:
    made = [added(known, n) for n in (3, 1, 2)]
    assert [s.id for s in known.snapshots("p", "crm")] == [made[1].id, made[2].id, made[0].id]


def test_each_asset_has_its_own(known: Catalogue) -> None:
    added(known, 1)
    assert known.snapshots("p", "other") == [] and known.snapshots("q", "crm") == []
    assert known.knows("p") and not known.knows("q")


def test_an_empty_catalogue_knows_nothing(known: Catalogue) -> None:
    assert known.snapshots("p", "crm") == [] and not known.knows("p")


@pytest.mark.parametrize(
    "damage",
    ["", "{", "[]", "null", '{"format": 3, "snapshot": {}}', '{"format": 3, "snapshot": {"id": 1}}', "\x00\xff"],
)
def test_a_damaged_entry_does_not_count_and_hides_no_other(known: Catalogue, damage: str) -> None:
    bad, good = added(known, 1), added(known, 2)
    path = known.directory / "p" / "crm" / f"{bad.id}.json"
    path.write_bytes(damage.encode("latin-1"))
    assert known.snapshots("p", "crm") == [good]
    with pytest.raises(BackupBad, match="cannot be read"):
        known.manifest(bad)
    assert known.manifest(good).run == "r2"


def test_a_write_that_was_cut_short_is_no_entry(known: Catalogue) -> None:
    good = added(known, 1)
    (known.directory / "p" / "crm" / f".{'9' * 64}.json.123.tmp").write_text('{"snapshot"')
    assert known.snapshots("p", "crm") == [good]


def test_adding_twice_is_adding_once(known: Catalogue) -> None:
    added(known, 1)
    added(known, 1)
    assert len(known.snapshots("p", "crm")) == 1


def test_entries_are_private(known: Catalogue) -> None:
    snapshot = added(known, 1)
    path = known.directory / "p" / "crm" / f"{snapshot.id}.json"
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700


def test_a_disk_that_refuses_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "entry"
    write_durably(path, "before\n")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.os, "fsync", full)
    with pytest.raises(CcdrError, match="No space left"):
        write_durably(path, "after\n")
    assert path.read_text() == "before\n" and [p.name for p in tmp_path.iterdir()] == ["entry"]


@given(st.integers(-3600, 3600))
def test_a_snapshot_is_usable_no_earlier_than_it_is_consistent(seconds: int) -> None:
    """A clock set back during the upload gives no negative exposure."""
    made = snapshot_of(a_manifest(), "x", "1" * 64, "/r", NOW + timedelta(seconds=seconds))
    assert made.usable_at == max(NOW, NOW + timedelta(seconds=seconds))


@given(st.integers(-(10**6), 10**6))
def test_the_future_begins_after_the_clocks_tolerance(seconds: int) -> None:
    made = snapshot_of(a_manifest(), "x", "1" * 64, "/r", NOW)
    assert dated_in_future(made, NOW + timedelta(seconds=seconds)) == (-seconds > CLOCK_TOLERANCE.total_seconds())


@pytest.mark.parametrize("outside, total", [(0, 100), (900, 1000), ("many", 100), (None, 100)])
def test_size_counts_what_a_restore_writes(outside: object, total: int) -> None:
    assert (
        snapshot_of(a_manifest(contents={"source": "crm", "bytes": outside}), "x", "1" * 64, "/r", NOW).bytes == total
    )


def test_a_catalogue_of_years_is_of_what_was_stored_and_not_removed(known: Catalogue, tmp_path: Path) -> None:
    """What the bench measures `status` with: each manifest is the one that its record names."""
    centre = Centre(1, 2, NOW, 60, timedelta(days=1), timedelta(days=15))
    write_ledger(centre, tmp_path / "ledger")
    count = write_catalogue(tmp_path / "ledger", known.directory)
    there = [s for asset in known.assets("outbound") for s in known.snapshots("outbound", asset)]
    assert len(there) == count and 2 * 35 <= count <= 2 * 43
    assert all(known.manifest(s).asset == s.asset for s in there)
