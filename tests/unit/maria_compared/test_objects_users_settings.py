"""What is concluded of a restored MariaDB database from a second dump of it: what has a name, and what no dump holds."""

from __future__ import annotations

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.maria_restored import GRANTS, KINDS, USERS, Restored, failed

from ccdr.model.errors import BackupBad
from ccdr.model.values import Verdict


@pytest.mark.parametrize(
    ("number", "at", "new", "said"),
    [
        (5, 4, "DISABLED", {KINDS: "differs: event tidy"}),
        (6, 6, 2, {KINDS: "differs: trigger stamp"}),
        (3, 3, "INVOKER", {KINDS: "differs: view answered"}),
        (4, 3, "app@10.%", {"definers": "differs: function f"}),
        (4, 2, "g", {KINDS: "differs: function f; function g", "definers": "differs: function f; function g"}),
    ],
)
def test_an_object_that_is_another_is_named(
    restored: Restored, number: int, at: int, new: Any, said: dict[str, str]
) -> None:
    restored.server.objects[number][at] = new
    results = restored.results()
    assert failed(results) == said
    assert results[KINDS].expected == "5 as captured" and results["definers"].expected == "4 as captured"


@pytest.mark.parametrize(
    "key",
    ["changed", "left_out", "named_zones", "comment_sha256", "charset", "objects", "definers", "settings", "rounded"],
)
def test_a_manifest_that_does_not_tell_what_is_compared_is_damage(key: str, restored: Restored) -> None:
    del restored.contents[key]
    with pytest.raises(BackupBad, match=f"'{key}' is missing"):
        restored.results()


def test_what_the_plan_leaves_out_is_named_where_the_rest_is_equal(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    restored.contents["left_out"] = ["view old", "view older"]
    one = restored.results()[KINDS]
    assert one.actual == wording
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.objects[5][4] = "DISABLED"
    one = restored.results()[KINDS]
    assert (one.status, one.actual) == (Verdict.FAIL, "differs: event tidy")


@pytest.mark.parametrize(("at", "said"), [(0, "charset"), (1, "collation"), (2, "comment")])
def test_a_database_of_another_kind_fails(restored: Restored, at: int, said: str) -> None:
    restored.server.of_database[at] = "other"
    assert failed(restored.results()) == {"the database itself": f"differs: {said}"}


def test_a_setting_that_decides_how_statements_are_understood_is_compared(restored: Restored) -> None:
    restored.server.settings |= {"sql_mode": "ANSI", "old_mode": "not captured", "hostname": "another"}
    restored.contents["settings"]["hostname"] = "one"
    results = restored.results()
    assert failed(results) == {"server settings": "differs: sql_mode"}
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.settings = {"version": "11.8.9", "sql_mode": "STRICT_TRANS_TABLES"}
    assert failed(restored.results()) == {"server settings": "differs: div_precision_increment"}


def test_a_setting_that_is_gone_is_as_empty(restored: Restored) -> None:
    restored.contents["settings"]["old_mode"] = ""
    assert failed(restored.results()) == {}


@pytest.mark.parametrize(
    ("old", "new", "said", "count"),
    [
        ("'*B69027'", "'*C00000'", "CREATE USER `app`@`10.%`", 4),
        ("GRANT UPDATE", "GRANT DELETE", "GRANT DELETE ON; GRANT UPDATE ON", 4),
        ("GRANT SELECT ON `crm`.* TO `reader`;\n", "", "GRANT SELECT ON", 3),
    ],
)
def test_users_and_grants_are_told_by_their_first_words(
    restored: Restored, old: str, new: str, said: str, count: int
) -> None:
    accounts = restored.server.accounts
    restored.server.accounts = {k: v.replace(old, new) for k, v in accounts.items()}
    assert restored.server.accounts != accounts
    results = restored.results()
    assert failed(results) == {"users and grants": f"differs: {said}"}
    assert "*B69027" not in str(results) and results["users and grants"].expected == "4 statements"
    (restored.top / "out/again").rename(restored.top / "out/before")
    restored.server.accounts = accounts
    restored.file("users.sql", USERS.replace(old, new))
    restored.file("grants.sql", GRANTS.replace(old, new))
    one = restored.results()["users and grants"]
    assert one.actual == f"differs: {said}" and one.expected == f"{count} statements"


def test_grants_on_what_is_not_in_the_backup_are_nobodys(restored: Restored) -> None:
    more = "GRANT UPDATE ON `crm`.`dropped` TO `app`@`10.%`;\nGRANT UPDATE ON `other`.`call` TO `app`@`10.%`;\n"
    restored.file("grants.sql", GRANTS + more)
    results = restored.results()
    assert failed(results) == {} and results["users and grants"].expected == "4 statements"
