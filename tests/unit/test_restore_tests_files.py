"""Restore-test files that are right, and what editors are told about them."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.checks.rows import Rows
from ccdr.checks.sql import Sql
from ccdr.model.errors import PlanInvalid, UsageProblem
from ccdr.plans.restore_tests import load_restore_test, load_restore_tests, restore_test_schema

# The contract's example, word for word.
CRM = """\
restore_test: crm
checks:
  - {kind: identical}               # what was restored equals what was captured: contents and objects
  - {kind: integrity}               # the engine's own: pg_amcheck, CHECK TABLE, integrity_check …
  - {kind: rows, table: call, at_least: 1000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: sql, name: every call has a customer, expect: 0,
     query: "select count(*) from call c left join customer u on u.id = c.customer_id where u.id is null"}
"""


def load(directory: Path, text: str) -> list[object]:
    (directory / "crm.yaml").write_text(text)
    return list(load_restore_test(directory / "crm.yaml").value.checks)


def test_the_contracts_example_is_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "crm.yaml").write_text(CRM)
    loaded = load_restore_test(tmp_path / "crm.yaml")
    assert [check.kind for check in loaded.value.checks] == ["identical", "integrity", "rows", "freshness", "sql"]
    assert loaded.sha256 == sha256(CRM.encode()).hexdigest()
    rows = loaded.value.checks[2]
    assert isinstance(rows, Rows) and (rows.table, rows.at_least, rows.at_most) == ("call", 1000, None)


@pytest.mark.parametrize(
    ("written", "expected"),
    [("0", 0), ("1.5", 1.5), ("true", True), ("'0'", "0"), ("null", None), ("yes", "yes"), ("1:00:00", "1:00:00")],
)
def test_an_expected_value_is_what_is_written(tmp_path: Path, written: str, expected: object) -> None:
    text = f"restore_test: crm\nchecks: [{{kind: sql, query: select 1, expect: {written}}}]\n"
    (check,) = load(tmp_path, text)
    assert isinstance(check, Sql)
    assert check.expect == expected and type(check.expect) is type(expected)


def test_a_query_of_several_lines(tmp_path: Path) -> None:
    text = "restore_test: crm\nchecks:\n- kind: sql\n  expect: 0\n  query: |\n    select\n      count(*)\n"
    (check,) = load(tmp_path, text)
    assert isinstance(check, Sql) and check.query == "select\n  count(*)\n"


def test_each_file_is_read_once_and_what_is_wrong_is_told_apart(tmp_path: Path, wording: SnapshotAssertion) -> None:
    load(tmp_path, CRM)
    (tmp_path / "wrong.yaml").write_text("restore_test: other\nchecks: []\n")
    right, unreadable, problems = load_restore_tests(["crm", "wrong", "gone", "crm"], tmp_path)
    assert list(right) == ["crm"]
    assert {name: why.replace(str(tmp_path), "") for name, why in unreadable.items()} == {"gone": wording}
    assert [str(p).replace(str(tmp_path), "") for p in problems] == wording


def test_a_file_that_cannot_be_read_or_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match="does not exist"):
        load_restore_test(tmp_path / "none.yaml")
    with pytest.raises(PlanInvalid):
        load(tmp_path, "")


def test_the_schema_is_plain_json_and_knows_every_kind() -> None:
    schema = json.loads(json.dumps(restore_test_schema()))
    kinds = schema["properties"]["checks"]["items"]["discriminator"]["mapping"]
    assert {"identical", "integrity", "rows", "freshness", "sql", "decodable", "command"} <= set(kinds)
