"""What is concluded of a restored MariaDB database from a second dump of it: the next numbers of its tables."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.maria_restored import TEXTS, Restored, failed


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (" AUTO_INCREMENT=42", "call: 43 captured, 42 restored"),
        ("", "call: 43 captured, 1 restored"),
        (" AUTO_INCREMENT=43", None),
        (" AUTO_INCREMENT=99", None),
    ],
)
def test_a_next_number_may_be_further_and_never_set_back(restored: Restored, now: str, said: str | None) -> None:
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", now)
    results = restored.results()
    assert failed(results) == ({"auto-increments": said} if said else {})
    assert results["auto-increments"].expected == "1 as captured, or further"


def test_a_next_number_of_one_may_be_lacking(restored: Restored) -> None:
    restored.file("tables.sql", TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=1"))
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", "")
    assert failed(restored.results()) == {}


def test_a_next_number_of_two_may_not_be_lacking(restored: Restored) -> None:
    restored.file("tables.sql", TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=2"))
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(" AUTO_INCREMENT=43", "")
    assert failed(restored.results()) == {"auto-increments": "call: 2 captured, 1 restored"}


def test_an_archive_says_that_its_numbers_come_from_its_rows(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.contents["tables"]["call"]["engine"] = "ARCHIVE"
    assert restored.results()["auto-increments"].actual == wording
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=42")
    assert failed(restored.results()) == {"auto-increments": wording}


def test_many_archives_are_named_in_part_and_a_table_without_rows_is_none(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    part = (
        "-- Table structure for table `a{}`\n\nCREATE TABLE `a{}` (\n  `id` int\n) ENGINE=ARCHIVE AUTO_INCREMENT=5;\n"
    )
    text = "".join(part.format(n, n) for n in range(8)) + part.format("merged", "merged")
    restored.file("tables.sql", text)
    restored.server.texts["tables.sql"] = text
    for n in range(8):
        restored.contents["tables"][f"a{n}"] = {**restored.contents["tables"]["seat"], "engine": "ARCHIVE"}
    one = restored.results()["auto-increments"]
    assert one.actual == wording
