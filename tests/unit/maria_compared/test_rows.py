"""What is concluded of a restored MariaDB database from a second dump of it: rows and tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.maria_restored import USERS, Restored, failed

from ccdr.model.values import FileDigest, Verdict


def test_a_table_that_is_gone_or_new_is_named(restored: Restored, wording: SnapshotAssertion) -> None:
    del restored.server.objects[1]
    restored.server.objects.append(["table", "planted", "BASE TABLE", "InnoDB", "t", 1, ""])
    restored.server.rows["planted"] = restored.server.rows["seat"].replace("seat", "planted")
    results = restored.results()
    assert failed(results) == {"tables": wording}
    assert results["tables"].expected == "2 tables, 5 rows"


def test_many_tables_that_are_gone_are_named_in_order_and_in_part(restored: Restored) -> None:
    for n in range(9):
        restored.contents["tables"][f"a{n}"] = restored.contents["tables"]["seat"]
    named = "; ".join(f"a{n}: missing" for n in range(6))
    assert failed(restored.results()) == {"tables": f"{named} and 3 more"}


def test_a_table_of_which_no_rows_came_is_missing_though_it_is_there(restored: Restored) -> None:
    del restored.server.rows["seat"]
    assert failed(restored.results()) == {"tables": "seat: missing"}


def swapped(restored: Restored) -> None:
    rows = restored.server.rows
    rows["seat"] = rows["seat"].replace("(2,'b'),\n(1,'a');", "(1,'a'),\n(2,'b');")


def in_one_line(restored: Restored) -> None:
    """As an older client writes each row, in a statement of its own."""
    rows = restored.server.rows
    rows["seat"] = rows["seat"].replace(
        "INSERT INTO `seat` VALUES\n(2,'b'),\n(1,'a');",
        "INSERT INTO `seat` (`n`, `who`) VALUES (1,'a');\nINSERT INTO `seat` (`n`, `who`) VALUES (2,'b');",
    )


@pytest.mark.parametrize("otherwise", [swapped, in_one_line])
def test_rows_in_another_order_or_form_are_equal_and_told(
    restored: Restored, otherwise: Callable[[Restored], None], wording: SnapshotAssertion
) -> None:
    otherwise(restored)
    one = restored.results()["tables"]
    assert one.status is Verdict.PASS and one.actual == wording  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("(1,'a')", "(1,'A')", "seat: 2 rows captured, 2 restored, contents differ"),
        ("(2,'b'),\n(1,'a');", "(2,'b');", "seat: 2 rows captured, 1 restored, contents differ"),
        ("(1,'a');", "(1,'a'),\n(1,'a');", "seat: 2 rows captured, 3 restored, contents differ"),
    ],
)
def test_a_row_that_is_other_gone_or_twice_fails(restored: Restored, old: str, new: str, said: str) -> None:
    assert old in restored.server.rows["seat"]
    restored.server.rows["seat"] = restored.server.rows["seat"].replace(old, new)
    results = restored.results()
    assert failed(results) == {"tables": said}


def test_one_row_is_counted_as_one(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.contents["tables"]["seat"] |= {"rows": 1}
    assert failed(restored.results()) == {"tables": wording}


def test_rows_are_compared_only_with_a_file_that_is_the_captured_one(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    """Else a damaged file that was loaded would prove itself."""
    path = restored.top / "restored/rows/seat.sql"
    path.write_text(path.read_text().replace("(1,'a')", "(1,'X')"))
    restored.server.rows["seat"] = restored.server.rows["seat"].replace("(1,'a')", "(1,'X')")
    assert failed(restored.results()) == {"tables": wording}


def test_another_number_of_rows_than_the_manifest_has_fails(restored: Restored, wording: SnapshotAssertion) -> None:
    swapped(restored)
    restored.contents["tables"]["seat"]["rows"] = 7
    assert failed(restored.results()) == {"tables": wording}


def test_what_the_source_itself_breaks_or_rounds_is_told_and_is_no_failure(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    restored.server.broken = 3
    restored.contents["rounded"] = ["call.cost", "call.fee"]
    one = restored.results()["tables"]
    assert one.status is Verdict.PASS and one.actual == (wording)


def test_of_many_broken_rules_some_are_named(restored: Restored) -> None:
    restored.server.rules = [[f"t{n}", "c", "x"] for n in range(8)]
    restored.server.broken = 1
    named = restored.results()["tables"].actual.partition("source: ")[2]
    assert named == ", ".join(f"t{n}.c (1)" for n in range(6))


def test_the_history_of_versioned_rows_is_dumped_with_them(restored: Restored) -> None:
    for kind, there in (("SYSTEM VERSIONED", True), ("BASE TABLE", False)):
        again = restored.top / "out/again"
        if again.exists():
            again.rename(restored.top / "out/before")
        restored.server.calls.clear()
        restored.server.objects[0][2] = kind
        assert failed(restored.results()) == {}
        (first, *_) = (c for c in restored.server.calls if c.argv[0] == "bash")
        assert ("--dump-history" in first.argv) is there


def test_a_captured_file_that_is_other_or_gone_is_named(restored: Restored) -> None:
    (restored.top / "restored/database.sql").unlink()
    (restored.top / "restored/users.sql").write_text(USERS + " ")
    assert failed(restored.results())["definitions and users, as captured"] == "differs: database.sql; users.sql"


def test_rows_of_a_captured_file_are_compared_after_their_load_alone(restored: Restored) -> None:
    restored.files["rows/seat.sql"] = FileDigest(0, "0" * 64)
    assert failed(restored.results()) == {}
