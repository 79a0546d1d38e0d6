"""What is concluded of a restored SQLite file from its digest and from what the reader told, without opening any."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.manifests import SAID

from ccdr.engines.sqlite.comparison import faults_of_the_source, identical, integrity, older
from ccdr.engines.sqlite.programs import ReaderAnswer
from ccdr.model.answers import FreeText
from ccdr.model.errors import TestBroken
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
WHOLE = b"SQLite format 3"
CAPTURED: dict[str, Any] = {
    "version": "3.40.1",
    "file": "calls.sqlite",
    "mode": 0o640,
    "owner": [os.geteuid(), os.getegid()],
    "tables": {"call": {"rows": 3, "sha256": "a"}, "seat": {"rows": 1, "sha256": "b"}},
    "settings": {"user_version": 7, "encoding": "UTF-8"},
    "schema_sha256": "s",
    "objects": {"tables": 2, "views": 1},
    "references": {"broken": {}, "unchecked": {}},
    "sequences": {"behind": [], "spent": []},
}
CONTENTS = ("tables", "settings", "schema_sha256", "objects")


@dataclass
class Restored:
    """A file that was restored, and what the reader told of it."""

    context: CheckContext
    told: dict[str, Any]
    refused: FreeText | None = None

    @property
    def path(self) -> Path:
        return self.context.restored / "calls.sqlite"

    @property
    def captured(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self.context.manifest.contents)

    @property
    def answer(self) -> ReaderAnswer:
        return ReaderAnswer("3.46.0", self.told, self.refused, lacks=False)

    def identical(self) -> dict[str, CheckResult]:
        return {one.name: one for one in identical(self.context, self.answer)}

    def integrity(self) -> dict[str, CheckResult]:
        return {one.name: one for one in integrity(self.context, self.answer)}


@pytest.fixture
def restored(tmp_path: Path) -> Restored:
    captured = copy.deepcopy(CAPTURED)
    (tmp_path / "calls.sqlite").write_bytes(WHOLE)
    (tmp_path / "calls.sqlite").chmod(0o640)
    files = {"calls.sqlite": FileDigest(15, sha256(WHOLE).hexdigest())}
    manifest = Manifest("p", "calls", "r", "sqlite", "copy", "h", NOW, 0.0, {}, captured, files, attested=SAID)

    def digest(root: Path, names: Sequence[str]) -> dict[str, FileDigest]:
        return {n: FileDigest(0, sha256((root / n).read_bytes()).hexdigest()) for n in names}

    context = CheckContext(manifest, tmp_path, tmp_path, tmp_path, None, cast("Any", None), cast("Any", digest))
    told: dict[str, Any] = {
        "contents": {key: copy.deepcopy(CAPTURED[key]) for key in CONTENTS},
        "references": {"broken": {}, "unchecked": {}},
        "sequences": {"behind": [], "spent": []},
        "integrity": {"found": 0, "lines": [], "against": {}, "lacks": []},
    }
    return Restored(context, told)


def failed(results: dict[str, CheckResult]) -> list[str]:
    assert all(one.status in (Verdict.PASS, Verdict.FAIL) for one in results.values())
    return [name for name, one in results.items() if one.status is Verdict.FAIL]


def other_bytes(restored: Restored) -> None:
    restored.path.write_bytes(WHOLE + b"!")
    restored.path.chmod(0o640)


# --- is it what was captured ----------------------------------------------------------------------------------------


def test_what_is_as_it_was_captured_passes_and_says_what_it_is(restored: Restored) -> None:
    results = restored.identical()
    assert [(r.kind, r.name, r.status, r.detail) for r in results.values()] == [
        ("identical", name, Verdict.PASS, None)
        for name in ("file", "mode and owner", "tables", "definitions and settings")
    ]
    assert results["file"].actual == "equal by SHA-256"
    assert results["file"].expected == f"15 bytes, SHA-256 {sha256(WHOLE).hexdigest()[:16]}…"
    assert results["tables"].expected == "2 tables, 4 rows"
    assert results["tables"].actual == "2 tables, 4 rows, equal by SHA-256"
    assert results["definitions and settings"].expected == "2 tables, 1 views"
    assert results["definitions and settings"].actual == "2 tables, 1 views, equal by SHA-256"


def test_other_bytes_with_the_same_contents_fail_by_the_file_alone(restored: Restored) -> None:
    other_bytes(restored)
    results = restored.identical()
    assert failed(results) == ["file"] and results["file"].actual == "another SHA-256"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tables: tables.pop("seat"), "seat: missing"),
        (lambda tables: tables.update(planted={"rows": 1, "sha256": "c"}), "planted: not in the backup"),
        (lambda tables: tables["call"].update(rows=2), "call: 3 rows captured, 2 restored, contents differ"),
        (lambda tables: tables["call"].update(sha256="z"), "call: 3 rows captured, 3 restored, contents differ"),
    ],
)
def test_a_table_that_differs_is_named(restored: Restored, change: Any, said: str) -> None:
    other_bytes(restored)
    change(restored.told["contents"]["tables"])
    results = restored.identical()
    assert failed(results) == ["file", "tables"] and results["tables"].actual == said
    assert results["tables"].expected == "2 tables, 4 rows"


def test_a_setting_or_a_definition_that_differs_is_told(restored: Restored) -> None:
    other_bytes(restored)
    contents = restored.told["contents"]
    contents["settings"] = {"user_version": 8, "encoding": "UTF-8", "page_size": 1}
    one = restored.identical()["definitions and settings"]
    assert one.status is Verdict.FAIL
    assert {*one.actual.split("; ")} == {"user_version: 7 captured, 8 restored", "page_size: None captured, 1 restored"}
    contents["settings"] = {"user_version": 7}
    assert restored.identical()["definitions and settings"].actual == "encoding: UTF-8 captured, None restored"
    contents["settings"] = CAPTURED["settings"]
    contents["schema_sha256"] = "t"
    assert restored.identical()["definitions and settings"].actual == "definitions differ"
    contents["objects"] = {"tables": 2, "views": 0}
    one = restored.identical()["definitions and settings"]
    assert one.actual == "definitions differ (views 1 → 0)" and failed(restored.identical()) == ["file", one.name]


@pytest.mark.parametrize("what", ["tables", "schema_sha256"])
def test_the_same_file_that_is_read_otherwise_proves_nothing(restored: Restored, what: str) -> None:
    """The image's SQLite is another one: that is no fault of the backup."""
    restored.told["contents"][what] = {} if what == "tables" else "t"
    with pytest.raises(TestBroken, match=r"SQLite 3\.46\.0 reads the same file otherwise than SQLite 3\.40\.1"):
        restored.identical()


def test_one_that_cannot_be_read_is_bad_only_where_the_file_is_another(restored: Restored) -> None:
    restored.refused = FreeText("database disk image is malformed: Ionescu")
    with pytest.raises(TestBroken, match="and the file is the same") as caught:
        restored.identical()
    assert "Ionescu" not in str(caught.value)
    other_bytes(restored)
    results = restored.identical()
    assert failed(results) == ["file", "contents"]
    assert results["contents"].detail and "Ionescu" in results["contents"].detail
    assert "Ionescu" not in results["contents"].actual and results["contents"].expected == "every table can be read"


@pytest.mark.parametrize(("mode", "same"), [(0o640, True), (0o644, True), (0o660, False), (0o740, False)])
def test_its_mode_is_as_it_was_but_for_who_may_read_it(restored: Restored, mode: int, same: bool) -> None:
    restored.path.chmod(mode)
    one = restored.identical()["mode and owner"]
    assert (
        (one.status is Verdict.PASS) is same and one.expected.startswith("0644") and f"{mode | 0o444:04o}" in one.actual
    )


def test_its_owner_counts_for_root_alone(restored: Restored, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = os.geteuid(), os.getegid()
    for root in (True, False):
        monkeypatch.setattr(os, "geteuid", lambda root=root: 0 if root else 1000)
        restored.captured["owner"] = [*owner]
        assert failed(restored.identical()) == []
        restored.captured["owner"] = [owner[0] + 1, owner[1]]
        one = restored.identical()["mode and owner"]
        assert (one.status is Verdict.FAIL) is root
        if root:
            assert one.expected == f"0644 {owner[0] + 1}:{owner[1]}" and one.actual == f"0644 {owner[0]}:{owner[1]}"
        restored.captured["owner"] = None
        assert failed(restored.identical()) == []


def test_an_older_sqlite_is_told_by_number_and_not_by_text(restored: Restored) -> None:
    manifest = restored.context.manifest
    assert older("3.7.17", manifest) and older("3.40.0", manifest) and older("2.99", manifest)
    assert not older("3.40.1", manifest) and not older("3.100.0", manifest)


# --- is anything wrong with it --------------------------------------------------------------------------------------


def test_a_sound_database_passes_each_of_the_three(restored: Restored) -> None:
    assert [(r.kind, r.name, r.status, r.actual) for r in restored.integrity().values()] == [
        ("integrity", "integrity_check", Verdict.PASS, "ok"),
        ("integrity", "foreign keys", Verdict.PASS, "none leads nowhere"),
        ("integrity", "sequences", Verdict.PASS, "none is behind"),
    ]


def test_findings_fail_and_are_blamed_on_the_source_only_where_the_file_is_the_same(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    restored.told["integrity"] |= {"found": 2, "lines": ["row 7 missing", "Ionescu"]}
    one, *_ = results = list(restored.integrity().values())
    assert (
        one.status is Verdict.FAIL and one.name == "integrity_check" and len(results) == 3 and one.kind == "integrity"
    )
    assert one.actual == wording
    assert one.detail == "row 7 missing\nIonescu" and one.expected == "ok"
    other_bytes(restored)
    assert restored.integrity()["integrity_check"].actual == "2 lines of findings"
    restored.told["integrity"]["lacks"] = ["no such collation sequence: X"]
    assert failed(restored.integrity()) == ["integrity_check"], "what was found counts, whatever was lacking"


@pytest.mark.parametrize(
    ("against", "said"),
    [({"seat": 1, "call": 3}, "call (3); seat (1)"), ({"call": 98, "seat": 1}, "call (98); seat (1)"),
     ({"call": 99, "seat": 1}, "call (99 or more); seat (1 or more)")],
)  # fmt: skip
def test_rows_against_a_check_are_the_sources_where_the_file_is_the_same(
    restored: Restored, against: dict[str, int], said: str
) -> None:
    restored.told["integrity"]["against"] = against
    one, *_ = results = list(restored.integrity().values())
    assert (one.kind, one.name, one.status, one.expected, one.detail) == (
        "integrity", "integrity_check", Verdict.PASS, "ok", None,
    )  # fmt: skip
    rows = f"rows break a CHECK of their table: {said}"
    assert one.actual == f"ok; {rows}, as they do in the source" and len(results) == 3
    restored.told["integrity"] |= {"found": 1, "lines": ["row 7 missing"]}
    both = restored.integrity()["integrity_check"]
    assert both.status is Verdict.FAIL and both.actual.endswith(f"the source was damaged; {rows}")
    restored.told["integrity"] |= {"found": 0, "lines": []}
    other_bytes(restored)
    one = restored.integrity()["integrity_check"]
    assert (one.kind, one.status, one.expected, one.actual, one.detail) == ("integrity", Verdict.FAIL, "ok", rows, None)


def test_what_only_the_image_lacks_is_open_whatever_rows_break_a_check(restored: Restored) -> None:
    restored.told["integrity"] |= {"against": {"call": 1}, "lacks": ["no such tokenizer: icu"]}
    with pytest.raises(TestBroken, match="lacks something that integrity_check needs"):
        restored.integrity()


def test_one_that_cannot_be_checked_fails(restored: Restored) -> None:
    restored.refused = FreeText("malformed: Ionescu")
    (one,) = restored.integrity().values()
    assert (one.kind, one.name, one.status, one.expected) == ("integrity", "integrity_check", Verdict.FAIL, "an answer")
    assert one.detail == "malformed: Ionescu" and "Ionescu" not in one.actual


def test_what_the_image_lacks_leaves_it_open_unless_something_else_is_wrong(restored: Restored) -> None:
    restored.told["integrity"]["lacks"] = ["no such tokenizer: icu"]
    with pytest.raises(TestBroken, match="lacks something that integrity_check needs"):
        restored.integrity()
    restored.told["sequences"]["behind"] = ["call"]
    assert failed(restored.integrity()) == ["sequences"]
    assert "integrity_check" not in restored.integrity()


def test_references_that_led_nowhere_in_the_source_are_told_and_new_ones_fail(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    captured, told = restored.captured["references"], restored.told["references"]
    captured["broken"], told["broken"] = {"call → seat": 2}, {"call → seat": 2}
    one = restored.integrity()["foreign keys"]
    assert one.status is Verdict.PASS
    assert one.actual == wording
    told["broken"] = {"call → seat": 1}
    assert restored.integrity()["foreign keys"].status is Verdict.PASS, "fewer"
    told["broken"] = {"call → seat": 3, "call → agent": 1}
    one = restored.integrity()["foreign keys"]
    assert one.status is Verdict.FAIL and one.actual == (wording)


def test_references_that_can_no_longer_be_checked_fail(restored: Restored, wording: SnapshotAssertion) -> None:
    captured, told = restored.captured["references"], restored.told["references"]
    captured["unchecked"], told["unchecked"] = {"b": "why"}, {"b": "why"}
    one = restored.integrity()["foreign keys"]
    assert one.status is Verdict.PASS and one.actual == wording
    told["unchecked"] = {"b": "why", "z": "why", "a": "why"}
    one = restored.integrity()["foreign keys"]
    assert one.status is Verdict.FAIL and one.actual == wording


def test_sequences_that_would_give_an_id_twice_or_none_fail(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.told["sequences"] = {"behind": ["call"], "spent": ["seat"]}
    one = restored.integrity()["sequences"]
    assert one.status is Verdict.FAIL and one.kind == "integrity"
    assert one.actual == wording
    restored.told["sequences"] = {"behind": [], "spent": ["seat"]}
    assert "call" not in restored.integrity()["sequences"].actual and failed(restored.integrity()) == ["sequences"]


def test_what_is_wrong_in_the_source_is_said_to_its_owner_when_it_is_captured(wording: SnapshotAssertion) -> None:
    sound = {"references": {"broken": {}, "unchecked": {}}, "sequences": {"behind": [], "spent": []}}
    assert faults_of_the_source(sound) == []
    faults = faults_of_the_source(
        {
            "references": {"broken": {"b": 1, "a": 2}, "unchecked": {"c": "no index", "b": "gone"}},
            "sequences": {"behind": ["call"], "spent": ["seat"]},
        }
    )
    found = list(map(str, faults))
    assert faults[0].values == (2.0, 1.0), "of a, and of b"
    assert [f.startswith("in the source, ") for f in found] == [True] * 4
    assert "(a: 2; b: 1)" in found[0] and found[0] == wording
    assert found[1] == wording
    assert "of call is behind" in found[2] and "of seat has come to the last" in found[3]
    for part, name, value in (
        ("references", "broken", {"a": 1}), ("references", "unchecked", {"a": "x"}),
        ("sequences", "behind", ["a"]), ("sequences", "spent", ["a"]),
    ):  # fmt: skip
        assert len(faults_of_the_source({**sound, part: {**sound[part], name: value}})) == 1
