"""SQLite: what storage may do to a backup is seen and named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import cut_short, has_dbstat, in_place, looked_at, scribbled, without_index

from ccdr.model.values import Verdict, verdict_of
from ccdr.ports.capture import Capture


def byte(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def swapped(path: Path) -> None:
    """Two tables of the same shape, their contents exchanged: neither a count nor the set of all rows tells."""
    ask_sqlite(
        path, "alter table call rename to x; alter table customer rename to call; alter table x rename to customer"
    )


# name → what is done, the check that fails for it, and what that says
DAMAGE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a row is missing": (in_place("delete from call where id = 7"), "tables", "call: 3000 rows captured, 2999 restored"),
    "a row too many": (in_place("insert into call select 4000, 1, 'lost', '2026', 1, null"), "tables", "3001 restored"),
    "a value changed": (in_place("update call set seconds = 5 where id = 7"), "tables", "3000 restored, contents differ"),
    "text became a blob": (in_place("pragma ignore_check_constraints = on", "update call set state = cast(state as blob) where id = 7"), "tables", ""),
    "a row has another number": (in_place("update call set id = 9999 where id = 7"), "tables", "contents differ"),
    "two tables' names exchanged": (swapped, "tables", "call: 3000 rows captured, 200 restored"),
    "a table is missing": (in_place("drop view answered; drop table call"), "tables", "call: missing"),
    "a table too many": (in_place("create table x (a)"), "tables", "x: not in the backup"),
    "an index is missing": (in_place("drop index call_by_customer"), "definitions and settings", "index 2 → 1"),
    "a trigger is missing": (in_place("drop trigger stamp"), "definitions and settings", "trigger 1 → 0"),
    "a view is another": (
        in_place("drop view answered; create view answered as select * from call"), "definitions and settings", "differ"),
    "user_version": (in_place("pragma user_version = 13"), "definitions and settings", "user_version: 12 captured, 13"),
    "application_id": (in_place("pragma application_id = 1"), "definitions and settings", "application_id"),
    "no log any more": (in_place("pragma journal_mode = delete"), "definitions and settings", "wal: True captured"),
    "a sequence set back": (in_place("update sqlite_sequence set seq = 5"), "tables", "sqlite_sequence: 1 row captured"),
    "a sequence is lost": (in_place("delete from sqlite_sequence"), "tables", "sqlite_sequence"),
    "only repacked": (in_place("pragma journal_mode = delete; pragma journal_mode = wal; vacuum"), "file", "another SHA-256"),
    "one bit of the header": (lambda p: byte(p, 75, b"\1"), "file", "another SHA-256"),
    "the end is missing": (cut_short, "contents", "malformed"),
    "a table's page overwritten": (lambda p: scribbled(p, "call"), "contents", "table call: the database is malformed"),
    "an index's page overwritten": (lambda p: scribbled(p, "call_by_customer"), "integrity_check", "1 line of findings"),
    "no database any more": (lambda p: p.write_bytes(b"gone " * 1000), "contents", "it is no database"),
    "empty": (lambda p: p.write_bytes(b""), "tables", "call: missing"),
    "another mode": (lambda p: p.chmod(0o666), "mode and owner", "0666"),
    "a row that its index lacks": (
        lambda p: without_index(p, "update call set customer_id = 9 where id = 7"), "integrity_check", "1 line of findings"),
    "a CHECK that does not hold": (
        in_place("pragma ignore_check_constraints = on", "update call set state = 'gone' where id = 7"),
        "integrity_check", "rows break a CHECK of their table: call (1)"),
    "a foreign key that leads nowhere": (
        in_place("delete from customer where id = 9"), "foreign keys", "15 lead nowhere, 0 did when captured: call → customer"),
    "a sequence behind its rows": (
        in_place("update sqlite_sequence set seq = 5"), "sequences", "AUTOINCREMENT of customer is behind the rows"),
    "a sequence that was lost": (
        in_place("delete from sqlite_sequence"), "sequences", "AUTOINCREMENT of customer is behind the rows"),
    "a sequence at its end": (
        in_place("update sqlite_sequence set seq = 9223372036854775807"), "sequences", "so that the next insert fails"),
}  # fmt: skip
if os.geteuid() == 0:
    DAMAGE["another owner"] = (lambda p: os.chown(p, 1234, -1), "mode and owner", "1234:0")


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_seen_and_named(kept: tuple[Capture, Path], tmp_path: Path, name: str) -> None:
    if "overwritten" in name and not has_dbstat():
        pytest.skip("this SQLite cannot tell where its pages are")
    done, into = kept
    harm, check, said = DAMAGE[name]
    restored = shutil.copytree(into, tmp_path / "restored")
    if os.geteuid() == 0:
        os.chown(restored / "cdr.sqlite3", 0, 0)
    harm(restored / "cdr.sqlite3")
    found = looked_at(done, restored, "cdr.sqlite3")
    results = {r.name: r for rs in found.values() for r in rs}
    assert results[check].status is Verdict.FAIL and said in results[check].actual, results
    assert verdict_of(found["identical"]) is Verdict.FAIL, "whatever it is, the file is another"
    assert "tefan" not in str([r.as_json() for r in results.values()])


def test_the_undamaged_twin_passes(kept: tuple[Capture, Path], tmp_path: Path) -> None:
    done, into = kept
    found = looked_at(done, shutil.copytree(into, tmp_path / "restored"), "cdr.sqlite3")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    assert found["identical"][2].actual == "3 tables, 3201 rows, equal by SHA-256"
