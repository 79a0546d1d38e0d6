"""What is concluded of a restored MariaDB database from a second dump of it: under its working name, on a server of people's."""

from __future__ import annotations

import pytest
from tests.support.maria_restored import TEXTS, Restored, failed

WORKING = "ccdr_new"


def under_its_working_name(restored: Restored) -> None:
    """There are no events yet, and what is printed names the database as it is called there."""
    server = restored.server
    server.database = WORKING
    server.objects = [row for row in server.objects if row[0] != "event"]
    code = TEXTS["code.sql"].replace("`crm`.", f"`{WORKING}`.")
    begin, end = code.index("--\n-- Dumping events for"), code.index("--\n-- Dumping routines for")
    events = f"--\n-- Dumping events for database '{WORKING}'\n--\n\n"
    server.texts["code.sql"] = (code[:begin] + events + code[end:]).replace(
        "for database 'crm'", f"for database '{WORKING}'"
    )
    server.texts["tables.sql"] = TEXTS["tables.sql"].replace("`crm`.", f"`{WORKING}`.")
    server.settings, server.accounts, server.users = (
        {"version": "12", "sql_mode": "ANSI"},
        {"create": "", "grants": ""},
        [],
    )
    for name in ("tables.sql", "code.sql", "views.sql"):
        server.texts[name] = server.texts[name].replace("Database: crm", f"Database: {WORKING}")


def test_under_its_working_name_it_is_compared_without_events_users_and_settings(restored: Restored) -> None:
    under_its_working_name(restored)
    results = restored.results(working=WORKING)
    assert failed(results) == {}
    found = {name: one.actual for name, one in results.items()}
    assert found == {
        "definitions and users, as captured": "6, equal",
        "tables": "2 tables, 5 rows, equal by SHA-256",
        "definitions": "10 parts, equal",
        "auto-increments": "1, none set back",
        "triggers, routines, views, sequences": "4, equal",
        "definers": "3, equal",
        "the database itself": "3, equal",
    }


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("tables.sql", f"`{WORKING}`.`ticket`", "`crm2`.`ticket`", "Table structure for table `call`"),
        ("code.sql", "return a + 1", "return a + 2", "FUNCTION `f`"),
        ("code.sql", "coalesce(new.note,'-')", "'-'", "TRIGGER `stamp`"),
        ("views.sql", "`call`.`id` AS", "`call`.`t` AS", "Final view structure for view `answered`"),
    ],
)
def test_a_definition_that_differs_under_a_working_name_is_named(
    restored: Restored, name: str, old: str, new: str, said: str
) -> None:
    under_its_working_name(restored)
    assert old in restored.server.texts[name]
    restored.server.texts[name] = restored.server.texts[name].replace(old, new)
    assert failed(restored.results(working=WORKING)) == {"definitions": f"missing: {said}; not in the backup: {said}"}


def test_a_working_name_is_read_as_the_captured_one_only_where_it_names_a_database(restored: Restored) -> None:
    under_its_working_name(restored)
    text = TEXTS["tables.sql"].replace("`who` text", "`crm` text")
    restored.file("tables.sql", text)
    restored.server.texts["tables.sql"] = text.replace("`crm`", f"`{WORKING}`")
    assert list(failed(restored.results(working=WORKING))) == ["definitions"]
