"""A manifest of a dump of PostgreSQL holds no setting's value: it may be a secret."""

from __future__ import annotations

from typing import Any

from ccdr.engines.postgres.dump import database as roles
from ccdr.engines.postgres.dump.identity import as_recorded

SECRET = "0722000001; 'hush'"


def facts(value: str, quote: str = "") -> dict[str, Any]:
    setting = value.replace("'", "''")
    return {
        "database": "crm",
        "database_settings": {"": [f"app.key={value}", "work_mem=4MB"], "agent": [f"app.key={value}"]},
        "role_all_settings": [f"ALTER ROLE ALL SET {quote}work_mem{quote} TO '{setting}';"],
        "roles": {"agent": [False, None, [f"app.key={value}"]], "boss": [True, None, None]},
    }


def test_no_value_of_a_setting_is_in_a_manifest_and_a_changed_one_is_told_by_its_name() -> None:
    recorded, other = as_recorded(facts(SECRET)), as_recorded(facts("another"))
    assert "hush" not in str(recorded) and "0722" not in str(recorded) and "4MB" not in str(recorded)
    for key in ("database_settings", "role_all_settings", "roles"):
        assert recorded[key] != other[key]
    assert recorded["database_settings"][""][1] == other["database_settings"][""][1]
    assert recorded["roles"]["boss"] == [True, None, None] and recorded["database"] == "crm"


def test_a_setting_for_all_roles_is_the_same_whether_its_name_is_quoted_or_not() -> None:
    plain, quoted = (as_recorded(facts(SECRET, quote))["role_all_settings"] for quote in ("", '"'))
    assert [roles.setting_of_all(s) for s in plain] == [roles.setting_of_all(s) for s in quoted]
    assert roles.setting_of_all(plain[0])[0] == "work_mem"
