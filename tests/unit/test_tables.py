"""`ccdr ledger export --sqlite`: each record is a row, and each of its values stands there under its own name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.corpus.make import HERE
from tests.support.harness import Site
from tests.support.small_disk import no_file_past
from tests.support.sparse import append_sparse

from ccdr.evidence.records.reading import decode
from ccdr.evidence.records.registry import KINDS
from ccdr.evidence.tables import Tables, tables_of, written
from ccdr.model.errors import CcdrError, UsageProblem
from ccdr.model.values import utc

LINES = {path.stem: path.read_bytes().splitlines(keepends=True) for path in sorted((HERE / "records").glob("*.jsonl"))}


def write(path: Path, ledgers: dict[str, list[bytes]]) -> Tables:
    with written(path) as tables:
        for ledger, lines in ledgers.items():
            for line in lines:
                tables.take(ledger, decode(line))
    return tables


def numbered() -> list[bytes]:
    """One of each kind, with numbers of their own: nothing here looks at their chain."""
    lines = [line for of in LINES.values() for line in of]
    return [json.dumps({**json.loads(line), "seq": n}, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            for n, line in enumerate(lines, start=1)]  # fmt: skip


def values_of(of: dict[str, Any], columns: set[str], name: str = "") -> Iterator[tuple[str, Any]]:
    """What a JSON object holds, by the names of columns."""
    for key, value in of.items():
        if (whole := f"{name}{key}") in columns:
            yield whole, value
        elif isinstance(value, dict):
            yield from values_of(value, columns, f"{whole}_")


def stored(value: Any, as_told: Any) -> Any:
    """As a record has it: JSON is parsed, and of a time only the instant counts."""
    if isinstance(as_told, dict | list):
        return json.loads(value)
    if isinstance(as_told, str) and value != as_told and utc(value) == utc(as_told):
        return as_told
    return value


def test_each_value_of_each_kind_stands_in_its_column(tmp_path: Path) -> None:
    lines = numbered()
    tables = write(tmp_path / "records.db", {"a": lines, "b": lines[:3]})
    assert (tables.records, tables.unread) == ({"a": len(lines), "b": 3}, 0)
    database = sqlite3.connect(tmp_path / "records.db")
    database.row_factory = sqlite3.Row
    looked_at = 0
    for record in map(json.loads, lines):
        own, *lists = tables_of(record["kind"])
        (row,) = database.execute(f'select * from "{own.name}" where of_ledger = ? and seq = ?', ("a", record["seq"]))
        for name, value in values_of(record, set(row.keys())):
            assert stored(row[name], value) == value, (record["kind"], name)
            looked_at += 1
        for table in lists:
            items = [
                dict(one)
                for one in database.execute(
                    f'select * from "{table.name}" where of_ledger = ? and seq = ? order by item', ("a", record["seq"])
                )
            ]
            of = record.get(str(table.of)) or []
            assert [one["item"] for one in items] == list(range(len(of))), table.name
            for item, value in zip(items, of, strict=True):
                for name, one in values_of(value, set(item)):
                    assert stored(item[name], one) == one, (table.name, name)
                    looked_at += 1
    assert {json.loads(line)["kind"] for line in lines} == set(KINDS) and looked_at > 1000, "it has looked"


def test_what_each_column_means_is_said_by_the_schema(tmp_path: Path) -> None:
    write(tmp_path / "records.db", {})
    (made_by,) = (
        sqlite3.connect(tmp_path / "records.db")
        .execute("select sql from sqlite_master where name = 'backup_end'")
        .fetchone()
    )
    assert '"snapshot_consistent_point" text, -- the instant that its data is true for' in made_by


@pytest.fixture
def recorded(site: Site) -> Site:
    append_sparse(site.services().ledger, "missed", plan="p", asset="a", run="r", body={"count": 3})
    return site


def test_it_is_written_of_the_whole_ledger_by_name_and_for_its_owner_alone(recorded: Site) -> None:
    path = recorded.root / "records.db"
    done = recorded.run("ledger", "export", str(path), "--sqlite")
    assert (done.code, done.json["file"], done.json["unread"]) == (0, str(path), 0), done
    (of,) = done.json["ledgers"]
    assert of["records"] == len(recorded.records()) and path.stat().st_mode & 0o777 == 0o600
    (row,) = sqlite3.connect(path).execute('select asset, "count" from missed where plan = ?', ("p",))
    assert row == ("a", 3)
    before = path.read_bytes()
    assert recorded.run("ledger", "export", str(path), "--sqlite").code == 2 and path.read_bytes() == before
    for more in (("--plan", "p"), ("--without-plans",), ("--dry-run",), ("--from", "2026-01-01")):
        assert recorded.run("ledger", "export", str(recorded.root / "other.db"), "--sqlite", *more).code == 2, more
    assert not (recorded.root / "other.db").exists()


def test_what_this_ccdr_does_not_read_is_counted_and_stands_apart(tmp_path: Path) -> None:
    (line, *_) = LINES["missed"]
    newer = json.dumps({**json.loads(line), "version": 99}, separators=(",", ":")).encode() + b"\n"
    assert write(tmp_path / "records.db", {"a": [newer]}).unread == 1
    database = sqlite3.connect(tmp_path / "records.db")
    assert database.execute("select kind, version from unread").fetchall() == [("missed", 99)]
    assert database.execute("select count(*) from missed").fetchone() == (0,)


def test_of_a_damaged_ledger_it_has_what_is_a_record_and_the_exit_says_so(recorded: Site) -> None:
    """As a package: whoever asks is told, and each line is read once, by who verifies it."""
    (segment,) = (recorded.state / "ledger").glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(b"{}\n" + whole)
    path = recorded.root / "records.db"
    done = recorded.run("ledger", "export", str(path), "--sqlite")
    assert done.code == 1 and done.json["ledgers"][0]["records"] == whole.count(b"\n"), done
    (row,) = sqlite3.connect(path).execute('select "count" from missed')
    assert row == (3,)


def test_a_full_disk_and_a_file_that_is_there_leave_nothing_of_it(tmp_path: Path) -> None:
    path, lines = tmp_path / "records.db", numbered()
    with no_file_past(20_000), pytest.raises(CcdrError, match="cannot be written"):
        write(path, {"a": lines})
    assert list(tmp_path.iterdir()) == []
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageProblem, match="is there already"):
        write(path, {"a": lines})
    assert list(tmp_path.iterdir()) == [path]


def test_a_number_that_is_too_large_for_it_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    (line, *_) = LINES["missed"]
    large = json.dumps({**json.loads(line), "count": 2**70}, separators=(",", ":")).encode() + b"\n"
    with pytest.raises(CcdrError, match="cannot be written"):
        write(tmp_path / "records.db", {"a": [large]})
    assert list(tmp_path.iterdir()) == []
