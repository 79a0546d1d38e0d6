"""What is concluded of a restored PostgreSQL database from a second dump of it: under its working name, on a server of people's."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.postgres_restored import (
    ALL,
    CHECK,
    MADE,
    OBJECTS,
    ODD,
    QUOTED,
    REPRINTED,
    SETTINGS,
    Restored,
    called,
    loaded_once,
)

from ccdr.model.values import Verdict

WORKING = "ccdr_new"


def under_its_working_name(restored: Restored, raw: str = "crm", quoted: str = "crm") -> None:
    """As it was captured under a name, and how it is printed as long as it has another."""
    called(restored.server.captured, raw, quoted)
    called(restored.again, WORKING, WORKING)
    restored.again.change("LOCALE_PROVIDER = libc LOCALE = 'en_US.utf8'", "LOCALE = 'C'", "definitions.sql")
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET work_mem TO '1GB';"]
    restored.server.roles = "not asked for"


@pytest.mark.parametrize(("raw", "quoted"), [("crm", "crm"), (ODD, QUOTED)])
def test_under_its_working_name_it_is_compared_but_for_what_is_the_servers(
    restored: Restored, raw: str, quoted: str, wording: SnapshotAssertion
) -> None:
    under_its_working_name(restored, raw, quoted)
    results = restored.results(WORKING)
    assert all(one.status is Verdict.PASS for one in results.values()), results[OBJECTS]
    assert {name: (one.expected, one.actual) for name, one in results.items()} == {
        **ALL, "roles": ("3 roles", "3 roles"), SETTINGS: ("14 as captured", "14, equal"), MADE: ("3 objects", wording),
    }  # fmt: skip  # fmt: skip
    assert restored.server.made == []


@pytest.mark.parametrize(("raw", "quoted"), [("crm", "crm"), (ODD, QUOTED)])
@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (f"ALTER DATABASE {WORKING} OWNER TO postgres", f"ALTER DATABASE {WORKING} OWNER TO boss", "DATABASE -.{raw}"),
        ("IS 'centre'", "IS 'other'", "COMMENT -.DATABASE {quoted}"),
        ("SET work_mem TO '5MB'", "SET work_mem TO '6MB'", "DATABASE PROPERTIES -.{raw}"),
    ],
)
def test_what_is_the_databases_own_is_compared_under_a_working_name_too(
    restored: Restored, raw: str, quoted: str, old: str, new: str, said: str
) -> None:
    under_its_working_name(restored, raw, quoted)
    restored.again.change(old, new, "definitions.sql")
    said = said.format(raw=raw, quoted=quoted)
    assert restored.failed(WORKING) == {OBJECTS: f"missing: {said}; not in the backup: {said}"}


def test_definitions_are_loaded_once_more_beside_it_on_a_server_of_peoples(restored: Restored) -> None:
    under_its_working_name(restored)
    for dump in (loaded_once(restored), restored.again):
        dump.change(CHECK, REPRINTED)
    assert restored.failed(WORKING) == {}
    assert [made.split(" template")[0] for made in restored.server.made] == [
        f"postgres: create database {WORKING}_ref", f"postgres: drop database {WORKING}_ref"
    ]  # fmt: skip


def test_roles_of_the_server_are_left_as_they_are_and_none_is_lacking(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    under_its_working_name(restored)
    roles = restored.server.facts["roles"]
    roles |= {"postgres": [False, None], "boss": [False, None], "theirs": [True, None]}
    one = restored.results(WORKING)["roles"]
    assert one.status is Verdict.PASS
    assert one.actual == wording
    del roles["boss"], roles["app_reader"]
    one = restored.results(WORKING)["roles"]
    assert (one.status, one.expected, one.actual) == (Verdict.FAIL, "3 roles", "missing: app_reader; boss")
    restored.contents["roles"] |= {name: [False, None] for name in ("r6", "r2", "r9", "r4")}
    assert restored.failed(WORKING) == {"roles": wording}
