"""SQLite: what was wrong with the source already is told as that."""

from __future__ import annotations

from pathlib import Path

from syrupy.assertion import SnapshotAssertion
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import captured, in_place, looked_at, without_index

from ccdr.model.values import Verdict, verdict_of


def test_damage_before_the_backup_is_told_apart_from_damage_after_it(database: Path, tmp_path: Path) -> None:
    """An index is not read when the copy is taken: so it is faithful, and its database was damaged."""
    without_index(database, "update call set customer_id = 9 where id = 7")
    done = captured(database, tmp_path / "into")
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert verdict_of(found["identical"]) is Verdict.PASS
    assert found["integrity"][0].status is Verdict.FAIL
    assert "the source was damaged" in found["integrity"][0].actual


def test_rows_against_a_check_of_the_source_are_told_as_such_and_hide_no_damage(
    database: Path, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    """SQLite stops at a hundred findings."""
    unruly = in_place("pragma ignore_check_constraints = on", "update call set state = 'gone' where id <= 150")
    unruly(database)
    done = captured(database, tmp_path / "into")
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    said = "ok; rows break a CHECK of their table: call (100 or more), as they do in the source"
    assert found["integrity"][0].actual == said
    without_index(database, "update call set customer_id = 9 where id = 2000")
    again = captured(database, tmp_path / "again")
    one = looked_at(again, tmp_path / "again", "cdr.sqlite3")["integrity"][0]
    assert one.status is Verdict.FAIL and "rows break a CHECK" in one.actual and one.actual == wording, one


def test_foreign_keys_that_led_nowhere_already_are_a_finding_of_the_source(
    database: Path, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    ask_sqlite(database, "delete from customer where id = 9")
    done = captured(database, tmp_path / "into")
    assert len(done.findings) == 1 and list(map(str, done.findings)) == wording
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert [r.status for r in found["integrity"]] == [Verdict.PASS] * 3
    assert "15 foreign keys lead nowhere" in found["integrity"][1].actual
    ask_sqlite(tmp_path / "into" / "cdr.sqlite3", "delete from customer where id = 10")
    one = looked_at(done, tmp_path / "into", "cdr.sqlite3")["integrity"][1]
    assert one.status is Verdict.FAIL and "30 lead nowhere, 15 did when captured" in one.actual


def test_a_sequence_that_was_behind_already_is_told_at_once_and_fails(
    database: Path, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    ask_sqlite(database, "update sqlite_sequence set seq = 5")
    done = captured(database, tmp_path / "into")
    assert str(done.findings[0]) == wording
    found = looked_at(done, tmp_path / "into", "cdr.sqlite3")
    assert verdict_of(found["identical"]) is Verdict.PASS and verdict_of(found["integrity"]) is Verdict.FAIL
    # The twin: the word in a comment or a text makes no sequence.
    ask_sqlite(database, "update sqlite_sequence set seq = 200; create table t (a integer primary key, b text default"
               " 'autoincrement' /* autoincrement */); insert into t values (5, 'x')")  # fmt: skip
    assert captured(database, tmp_path / "again").findings == []


def test_a_foreign_key_that_cannot_be_checked_is_told(
    database: Path, tmp_path: Path, wording: SnapshotAssertion
) -> None:
    ask_sqlite(database, "create table lame (note text references customer (note)); insert into lame values ('-')")
    done = captured(database, tmp_path / "into")
    assert "SQLITE_ERROR" in str(done.findings[0]) and str(done.findings[0]) == wording
    one = looked_at(done, tmp_path / "into", "cdr.sqlite3")["integrity"][1]
    assert one.status is Verdict.PASS and "not checked: lame; as in the source" in one.actual
