"""What is concluded of a restored MariaDB database from a second dump of it: definitions."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.maria_restored import ALL, TEXTS, Restored, failed


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tables.sql", "varchar(20)", "varchar(21)", "Table structure for table `call`"),
        ("tables.sql", "`who` text", "`who` longtext", "Table structure for table `seat`"),
        ("tables.sql", "SETVAL(`ticket`, 1005, 0)", "SETVAL(`ticket`, 5, 0)", "Sequence structure for `ticket`"),
        ("tables.sql", "SQL_MODE='NO_AUTO_VALUE_ON_ZERO'", "SQL_MODE=''", "what tables.sql begins with"),
        ("code.sql", "coalesce(new.note,'-')", "'-'", "TRIGGER `stamp`"),
        ("code.sql", "return a + 1", "return a + 2", "FUNCTION `f`"),
        ("code.sql", "EVERY 1 DAY", "EVERY 2 DAY", "EVENT `tidy`"),
        ("code.sql", "SET NAMES utf8mb4", "SET NAMES latin1", "what code.sql begins with"),
        ("views.sql", "select `call`.`id`", "select `call`.`t`", "Final view structure for view `answered`"),
        ("views.sql", " NULL AS `note` ", " NULL AS `not` ", "Temporary table structure for view `answered`"),
    ],
)  # fmt: skip
def test_a_definition_that_differs_is_named(restored: Restored, name: str, old: str, new: str, said: str) -> None:
    assert old in restored.server.texts[name]
    restored.server.texts[name] = restored.server.texts[name].replace(old, new, 1)
    results = restored.results()
    assert failed(results) == {"definitions": f"missing: {said}; not in the backup: {said}"}
    assert results["definitions"].expected == ALL["definitions"][0]


def test_a_definition_that_stands_twice_is_one_too_many(restored: Restored, wording: SnapshotAssertion) -> None:
    text = restored.server.texts["tables.sql"]
    part = text[text.index("-- Table structure for table `seat`") : text.index("/*!40103 SET TIME_ZONE=@OLD")]
    both = text.replace(part, part + part)
    restored.server.texts["tables.sql"] = both
    assert failed(restored.results()) == {"definitions": wording}
    restored.server.texts["tables.sql"] = text
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.file("tables.sql", both)
    assert failed(restored.results()) == {"definitions": wording}


def test_the_first_byte_of_a_script_counts(restored: Restored) -> None:
    for name in TEXTS:
        restored.file(name, f"#{TEXTS[name]}")
        restored.server.texts[name] = f";{TEXTS[name]}"
    said = "what code.sql begins with", "what tables.sql begins with", "what views.sql begins with"
    both = [*(f"missing: {one}" for one in said), *(f"not in the backup: {one}" for one in said)]
    assert failed(restored.results()) == {"definitions": "; ".join(both)}


def test_a_package_is_a_part_of_its_own(restored: Restored) -> None:
    """As MariaDB writes packages, one of which is called like a table."""
    made = "".join(
        f"/*!50003 DROP {kind} IF EXISTS `seat` */;\nDELIMITER ;;\nCREATE {kind} `seat` AS {body} END ;;\nDELIMITER ;\n"
        for kind, body in (("PACKAGE", "one"), ("PACKAGE BODY", "two"), ("PROCEDURE", "three"))
    )
    tail = "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;"
    for body, kind in (("one", "PACKAGE"), ("two", "PACKAGE BODY"), ("three", "PROCEDURE")):
        restored.file("code.sql", TEXTS["code.sql"].replace(tail, made + tail))
        restored.server.texts["code.sql"] = TEXTS["code.sql"].replace(tail, made.replace(body, "other") + tail)
        said = failed(restored.results())["definitions"]
        assert said == f"missing: {kind} `seat`; not in the backup: {kind} `seat`"
        (restored.top / "out/again").rename(restored.top / f"out/{body}")


def newer(text: str) -> str:
    """As another client of another server on another host begins it."""
    return (
        text.replace("/*M!999999\\- enable the sandbox mode */ \n", "")
        .replace("MariaDB dump 10.20-11.8.9-MariaDB", "MySQL dump 10.19  Distrib 10.11")
        .replace("-- Host: localhost    Database: crm", "-- Host: db2    Database: crm")
        .replace("-- Server version\t11.8.9", "-- Server version\t12.0.1")
    )


def test_what_a_client_says_of_itself_makes_no_difference(restored: Restored) -> None:
    restored.server.texts = {name: newer(text) for name, text in restored.server.texts.items()}
    assert all(restored.server.texts[name] != TEXTS[name] for name in TEXTS)
    assert failed(restored.results()) == {}


def test_such_a_line_further_down_is_somebodys_own(restored: Restored) -> None:
    """A routine's author may have written it."""
    code = TEXTS["code.sql"].replace("begin return a + 1", "begin\n-- Host: one\nreturn a + 1")
    restored.file("code.sql", code)
    restored.server.texts["code.sql"] = code.replace("-- Host: one", "-- Host: two")
    assert list(failed(restored.results())) == ["definitions"]


def test_the_first_line_of_the_body_is_not_the_clients(restored: Restored) -> None:
    """Of twelve lines that a script begins with, the thirteenth is not one."""
    lines = TEXTS["code.sql"].split("\n")
    for at, differs in ((11, False), (12, True)):
        one, other = ("\n".join([*lines[:at], f"-- Host: {n}", *lines[at:]]) for n in (1, 2))
        restored.file("code.sql", one)
        restored.server.texts["code.sql"] = other
        assert bool(failed(restored.results())) is differs
        (restored.top / "out/again").rename(restored.top / f"out/{at}")


def test_where_a_partitions_files_lie_is_no_part_of_its_definition(restored: Restored) -> None:
    part, made = "\n (PARTITION `p0` VALUES LESS THAN MAXVALUE{} ENGINE = InnoDB)", "COLLATE=utf8mb4_unicode_ci"
    lies = " DATA DIRECTORY = '/it''s' INDEX DIRECTORY = '/b'"
    restored.file("tables.sql", TEXTS["tables.sql"].replace(f"{made};", f"{made}{part.format(lies)};"))
    restored.server.texts["tables.sql"] = TEXTS["tables.sql"].replace(f"{made};", f"{made}{part.format('')};")
    failing = failed(restored.results())
    assert "definitions" not in failing, failing


def test_where_a_tables_files_lie_and_its_next_number_are_no_part_of_its_definition(restored: Restored) -> None:
    restored.server.texts["tables.sql"] = (
        TEXTS["tables.sql"]
        .replace("AUTO_INCREMENT=43", "AUTO_INCREMENT=44")
        .replace(
            "COLLATE=utf8mb4_unicode_ci;",
            "COLLATE=utf8mb4_unicode_ci DATA DIRECTORY='/it''s' INDEX DIRECTORY='/a\\'b';",
        )
    )
    assert failed(restored.results()) == {}
