"""What is concluded of a restored PostgreSQL database from a second dump of it: rows, tables and large objects."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.postgres_restored import CALL, END, MAIL, ROWS, SEAT, Restored

from ccdr.model.values import Verdict


@pytest.mark.parametrize("kind", ["restored", "streamed"])
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2\tb\n1\tA\n", "2 rows captured, 2 restored, contents differ"),
        ("1\ta\n", "2 rows captured, 1 restored, contents differ"),
        ("1\ta\n2\tb\n2\tb\n", "2 rows captured, 3 restored, contents differ"),
        ("2\tb\n1\ta\n", None),
    ],
)
def test_rows_that_differ_fail_and_another_order_is_told(
    kind: str, rows: str, said: str | None, request: pytest.FixtureRequest, wording: SnapshotAssertion
) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.rows[SEAT] = rows
    one = found.results()["tables"]
    assert one.expected == "2 tables, 3 rows"
    if said:
        assert (one.status, one.actual) == (Verdict.FAIL, f"{SEAT}: {said}")
    else:
        assert one.status is Verdict.PASS and one.actual == wording  # fmt: skip


def test_two_tables_whose_rows_are_swapped_both_fail(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.again.rows = {CALL: ROWS[SEAT], SEAT: ROWS[CALL]}
    assert restored.failed() == {"tables": wording}


def test_rows_are_compared_only_with_a_file_that_is_the_captured_one(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    """Else a damaged file that was loaded would prove itself."""
    restored.again.rows[SEAT] = "1\tX\n2\tb\n"
    (restored.top / "restored/dump/4096.dat").write_text("1\tX\n2\tb\n" + END)
    assert restored.failed() == {"tables": wording}


def test_the_same_rows_in_another_number_than_the_manifest_has_fail(
    streamed: Restored, wording: SnapshotAssertion
) -> None:
    streamed.contents["tables"][SEAT]["rows"] = 7
    one = streamed.results()["tables"]
    assert (one.status, one.expected) == (Verdict.FAIL, "2 tables, 8 rows")
    assert one.actual == wording


def test_many_tables_that_are_gone_are_named_in_order_and_in_part(restored: Restored) -> None:
    for n in range(9):
        restored.contents["tables"][f"a{n}"] = {"rows": 1, "sha256": "0" * 64}
    assert restored.failed() == {"tables": "; ".join(f"a{n}: missing" for n in range(6)) + " and 3 more"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
def test_a_table_that_is_gone_or_new_is_named(
    kind: str, request: pytest.FixtureRequest, wording: SnapshotAssertion
) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.change("TABLE DATA public seat postgres", "TABLE DATA public planted postgres", "contents.txt")
    found.again.rows["public planted postgres"] = "x\n"
    assert found.failed() == {"tables": wording}


def test_a_table_that_the_manifest_does_not_know_was_planted_in_the_backup(restored: Restored) -> None:
    del restored.contents["tables"][SEAT]
    one = restored.results()["tables"]
    assert (one.status, one.actual, one.expected) == (Verdict.FAIL, f"{SEAT}: not in the backup", "1 table, 1 row")


def test_a_table_that_the_dump_does_not_hold_is_missing_from_it(streamed: Restored) -> None:
    for dump in (streamed.server.captured, streamed.again):
        text = dump.texts["contents.txt"]
        dump.texts["contents.txt"] = "".join(f"{s}\n" for s in text.split("\n") if "DATA public seat" not in s)
    assert streamed.failed() == {"tables": f"{SEAT}: missing"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
def test_a_table_that_the_dump_does_not_hold_came_from_elsewhere(kind: str, request: pytest.FixtureRequest) -> None:
    """Its rows are those that the manifest tells of, and the dump has none."""
    found: Restored = request.getfixturevalue(kind)
    text = found.server.captured.texts["contents.txt"]
    found.server.captured.texts["contents.txt"] = "".join(
        f"{s}\n" for s in text.split("\n") if "DATA public seat" not in s
    )
    assert found.failed() == {"tables": f"{SEAT}: not in the backup"}


@pytest.mark.parametrize("kind", ["restored", "streamed"])
@pytest.mark.parametrize(
    ("mail", "said"),
    [({"4242": b"another"}, "4242"), ({}, "4242"), ({"4242": MAIL, "4243": b"planted"}, "4243")],
)
def test_a_large_object_that_differs_is_named(
    kind: str, mail: dict[str, bytes], said: str, request: pytest.FixtureRequest
) -> None:
    found: Restored = request.getfixturevalue(kind)
    found.again.mail = mail
    assert found.failed() == {"large objects": f"differs: {said}"}
