"""Which tables of a copied MariaDB server are looked at: all of them, also those that grew while they were copied."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ccdr.engines.mariadb.inventory import Objects, read_objects
from ccdr.engines.mariadb.physical import Course, Physical, without_files
from ccdr.model.answers import NO_WORDS
from ccdr.model.errors import BackupFailed
from ccdr.model.values import Verdict
from ccdr.ports.place import Output


def objects(**engines: tuple[str, int]) -> Objects:
    return read_objects([("table", n, "BASE TABLE", e, "2026-11-01", size, "") for n, (e, size) in engines.items()])


def test_a_table_that_grows_while_it_is_copied_is_taken_down() -> None:
    before = objects(customer=("InnoDB", 16384), call=("InnoDB", 16384), altered=("Aria", 1), dropped=("InnoDB", 1))
    after = objects(customer=("InnoDB", 49152), call=("InnoDB", 16384), altered=("InnoDB", 1), made=("InnoDB", 1))
    assert [t.name for t in after.lasting(before)] == ["call", "customer"]


MYISAM, MEMORY, INNODB, PARTITION, ARIA = 9, 6, 12, 20, 42


def laid_out(directory: Path) -> Path:
    """Definitions as MariaDB writes them, by their first bytes, with all that belongs to them."""

    def defined(name: str, engine: int, *files: str) -> None:
        (directory / f"{name}.frm").write_bytes(bytes([254, 1, 10, engine, 18]))
        for file in files:
            (directory / f"{name}{file}").write_bytes(b"")

    (directory / "d").mkdir()
    defined("d/aria", ARIA, ".MAI", ".MAD")
    defined("d/@1idd@0023P@0023x", MYISAM, ".MYI", ".MYD")
    defined("d/fast", MEMORY)
    defined("d/inno", INNODB)
    defined("d/#sql-alter-1-2", ARIA)
    halves = (f"#P#p{p}#SP#p{p}sp{s}.MA{f}" for p in (0, 1) for s in (0, 1) for f in "ID")
    defined("d/halves", PARTITION, *halves)
    (directory / "d/halves.par").write_bytes(bytes(8) + bytes([4, 0, 0, 0, *[ARIA] * 4]) + b"D\0\0\0p0")
    defined("d/mem", PARTITION, ".par")
    (directory / "d/mem.par").write_bytes(bytes(8) + bytes([2, 0, 0, 0, MEMORY, MEMORY, 0, 0]))
    (directory / "d/seen.frm").write_bytes(b"TYPE=VIEW\n")
    (directory / "d/cut.frm").write_bytes(b"")
    return directory


def test_a_table_without_one_of_its_own_files_is_named(tmp_path: Path) -> None:
    copy = laid_out(tmp_path)
    assert without_files(copy) == []
    for file in [path for path in sorted(copy.glob("d/*")) if path.suffix != ".frm"]:
        was = file.read_bytes()
        file.unlink()
        assert without_files(copy) == [f"d/{file.name.split('.')[0].split('#')[0]}"], file
        file.write_bytes(was)


@pytest.mark.parametrize(("told", "number"), [("Innodb_lsn_current\t4711\n", 4711), ("", None)])
def test_a_server_without_innodb_is_no_copy(told: str, number: int | None) -> None:
    course = Course(cast("Any", SimpleNamespace(ask=lambda *_, **__: told)), cast("Any", None))
    with nullcontext() if number else pytest.raises(BackupFailed, match="InnoDB"):
        assert course.logged() == number


@pytest.mark.parametrize("taken_down", [("call", "customer"), ("call",)], ids=["all", "one-is-not"])
@pytest.mark.parametrize("state", ["OK", "Corrupt"])
def test_a_restored_table_is_checked_whether_it_was_taken_down_or_not(taken_down: tuple[str, ...], state: str) -> None:
    def run(_: Any, *, stdin: str, **__: Any) -> Output:
        if "information_schema" in stdin:
            there = [("crm", "call"), ("crm", "customer"), ("mysql", "proc")]
            return Output(0, "".join(f"{json.dumps([*row, 'InnoDB'])}\n" for row in there), NO_WORDS)
        asked = [line.split("`")[1:4:2] for line in stdin.splitlines() if line.startswith("CHECK TABLE")]
        assert len(asked) == 3, stdin
        told = (f"{db}.{t}\tcheck\tstatus\t{state if t == 'customer' else 'OK'}\n" for db, t in asked)
        return Output(0, "".join(told), NO_WORDS)

    tables = {name: {"engine": "InnoDB"} for name in taken_down}
    contents = {"database": "crm", "tables": tables, "definers": {}, "orphans": []}
    manifest = SimpleNamespace(contents=contents)
    context = SimpleNamespace(sandbox=SimpleNamespace(run=run), manifest=manifest, recovered=False)
    found = next(Physical(cast("Any", None)).integrity(cast("Any", context)))
    assert (found.status, found.expected) == (
        Verdict.PASS if state == "OK" else Verdict.FAIL,
        "3 tables without a finding",
    )
