"""What is concluded of a restored PostgreSQL database from a second dump of it: roles, settings and extensions."""

from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.postgres_restored import MADE, SETTINGS, Restored

from ccdr.engines.postgres.dump.identity import as_recorded
from ccdr.engines.postgres.dump.server_objects import OF_MAJOR, OF_SERVER
from ccdr.engines.postgres.inventory import COMPARED
from ccdr.model.errors import BackupBad
from ccdr.model.values import Verdict


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("PASSWORD 'md5x'", "PASSWORD 'md5y'", "ALTER ROLE boss"),
        ("IS 'chief'", "IS 'Ionescu'", "COMMENT ON ROLE"),
        ("GRANT app_reader TO boss", "GRANT boss TO app_reader", "GRANT app_reader TO; GRANT boss TO"),
        ("CREATE ROLE app_reader;\n", "", "CREATE ROLE app_reader;"),
        ("CREATE ROLE app_reader;\n", "CREATE ROLE app_reader;\nCREATE ROLE planted;\n", "CREATE ROLE planted;"),
    ],
)
def test_roles_that_differ_are_told_by_their_first_words(restored: Restored, old: str, new: str, said: str) -> None:
    assert old in restored.server.roles
    restored.server.roles = restored.server.roles.replace(old, new)
    results = restored.results()
    assert (results["roles"].status, results["roles"].actual) == (Verdict.FAIL, f"differs: {said}")
    assert results["roles"].expected == "11 statements" and "md5" not in str(results) and "Ionescu" not in str(results)


def test_many_roles_that_differ_are_named_in_order(restored: Restored) -> None:
    restored.server.roles = restored.server.roles.replace("CREATE ROLE app_reader;\n", "".join(
        f"CREATE ROLE {name};\n" for name in ("app_reader", "z", "b", "x", "a", "y", "c")
    ))  # fmt: skip
    assert restored.failed() == {"roles": "differs: " + "; ".join(f"CREATE ROLE {name};" for name in "abcxyz")}


def test_what_holds_for_all_roles_is_compared_by_the_inventory_alone(restored: Restored) -> None:
    restored.server.roles += "ALTER ROLE ALL SET work_mem TO '9MB';\n"
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET \"work_mem\" TO '8MB';"]
    assert restored.failed() == {}, "a name is quoted here and not there"
    restored.server.facts["role_all_settings"] = ["ALTER ROLE ALL SET work_mem TO '9MB';"]
    assert restored.failed() == {SETTINGS: "differs: role_all_settings"}


def test_settings_of_all_roles_are_compared_in_any_order(restored: Restored) -> None:
    both = ["ALTER ROLE ALL SET work_mem TO '8MB';", "ALTER ROLE ALL SET a.b TO '1';"]
    restored.server.facts["role_all_settings"] = both
    restored.contents["role_all_settings"] = as_recorded(restored.server.facts)["role_all_settings"][::-1]
    assert restored.failed() == {}


@pytest.mark.parametrize("key", COMPARED)
def test_what_a_dump_leaves_out_is_compared(restored: Restored, key: str) -> None:
    others = {"database_settings": {"": ["TimeZone=another"]}, "extension_rows": {"words": "4"}}
    restored.server.facts[key] = others.get(key, ["another"])
    assert restored.failed() == {SETTINGS: f"differs: {key}"}


def test_what_the_plan_leaves_out_is_told_and_no_failure(restored: Restored, wording: SnapshotAssertion) -> None:
    restored.server.facts["extension_rows"] = {"words": "4"}
    restored.server.facts["server_objects"]["hstore"] = {"type hstore": "other"}
    assert set(restored.failed()) == {SETTINGS, MADE}
    restored.contents["left_out"] = ["rows of words", "type hstore"]
    assert restored.failed() == {}
    assert restored.results()[MADE].actual == wording


@pytest.mark.parametrize(("version", "compared"), [("17.13", {*OF_MAJOR, OF_SERVER}), ("18.1", set())])
def test_what_each_major_version_makes_otherwise_is_compared_with_the_same(
    restored: Restored, version: str, compared: set[str]
) -> None:
    restored.contents["server_objects"][""] |= dict.fromkeys([*OF_MAJOR, OF_SERVER], "12")
    restored.server.facts["version"] = version
    assert restored.failed() == ({MADE: f"differs: {'; '.join(sorted(compared))}"} if compared else {})
    assert ("as the server is another" in restored.results()[MADE].actual) is not bool(compared)


@pytest.mark.parametrize("left_out", [[], ["extension ours"]])
def test_extension_that_a_restore_brings_and_the_source_had_dropped_is_named(
    restored: Restored, left_out: list[str]
) -> None:
    restored.server.facts["server_objects"]["ours"] = {"extension ours": ""}
    restored.contents["left_out"] = left_out
    assert restored.failed() == ({} if left_out else {MADE: "differs: extension ours"})


@pytest.mark.parametrize("key", [*COMPARED, "reaching", "standby", "left_out", "server_objects"])
def test_a_manifest_that_does_not_tell_what_is_compared_is_damage(key: str, restored: Restored) -> None:
    """Also where the server that came back has nothing of it either."""
    del restored.contents[key]
    with pytest.raises(BackupBad, match=f"'{key}' is missing"):
        restored.results()


@pytest.mark.parametrize(
    ("version", "extension", "name", "digest", "said"),
    [
        ("1.8", "hstore", "type hstore", "other", "differs: type hstore"),
        ("1.8", "hstore", "rows of words", None, "differs: rows of words"),
        ("1.8", "", "function f()", None, "differs: function f()"),
        ("1.9", "hstore", "type hstore", "other", None),
        ("1.9", "", "function f()", "other", "differs: function f()"),
    ],
)
def test_objects_of_an_extension_of_the_same_version_are_the_same(
    restored: Restored, version: str, extension: str, name: str, digest: str | None, said: str | None
) -> None:
    restored.server.facts["extensions"]["hstore"] = version
    objects = restored.server.facts["server_objects"][extension]
    if digest is None:
        del objects[name]
    else:
        objects[name] = digest
    assert restored.failed() == ({MADE: said} if said else {})
    other = "; extension hstore 1.8 is now 1.9" if version == "1.9" else ""
    assert restored.results()[SETTINGS].actual == "15, equal" + other
    if (version, said) == ("1.9", None):
        told = "1 object, equal; of hstore not compared, as the version is another"
        assert restored.results()[MADE].actual == told


def test_extensions_of_another_version_are_named_in_order_and_are_no_failure(
    restored: Restored, wording: SnapshotAssertion
) -> None:
    restored.contents["extensions"] = {"plpgsql": "1.0", "hstore": "1.8", "gone": "1"}
    restored.contents["server_objects"] = {}
    restored.server.facts["server_objects"] = {}
    restored.server.facts["extensions"] = {"plpgsql": "2.0", "hstore": "1.9"}
    one = restored.results()[SETTINGS]
    assert one.status is Verdict.PASS
    assert one.actual == wording
