"""Which of the log's changes are left out, since no base has the rows: by table, and no other text is touched."""

from __future__ import annotations

import base64
import struct
import subprocess
from pathlib import Path

import pytest

from ccdr.engines.mariadb.memory_rows import LEAVE_OUT, RENAMED, MemoryRows, counted

MAP, WRITE, UPDATE, COMPRESSED = 19, 23, 24, 166


def event(kind: int, number: int, rest: bytes) -> str:
    """As mariadb-binlog prints it; `number` is the table's, within the file."""
    body = number.to_bytes(6, "little") + b"\1\0" + rest
    head = struct.pack("<IBIIIH", 0, kind, 7, 19 + len(body), 0, 0)
    return base64.encodebytes(head + body).decode()


def map_of(database: str, table: str, number: int) -> str:
    names = [name.encode() for name in (database, table)]
    return event(MAP, number, b"".join(bytes([len(name)]) + name + b"\0" for name in names) + b"\2\3\3\0")


def block(*events: str) -> str:
    told = "#261130 22:33:54 server id 7  end_log_pos 0 CRC32 0x35282377 \tUpdate_rows: table id 27\n\n"
    return f"{told}BINLOG '\n{''.join(events)}'/*!*/;\n# Number of rows: 1\n"


def left_out(log: str, tmp_path: Path, *keys: str) -> tuple[str, dict[str, int]]:
    listed, counts = tmp_path / "listed", tmp_path / "counted"
    listed.write_text("".join(f"{key}\n" for key in keys))
    argv = ["awk", "-v", f"listed={listed}", "-v", f"counted={counts}", LEAVE_OUT]
    env = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    told = subprocess.run(argv, input=log, env=env, capture_output=True, text=True, check=True).stdout
    return told, dict(counted(counts.read_text() if counts.exists() else ""))


def key(database: str, table: str) -> str:
    return f"{database.encode().hex().upper()} {table.encode().hex().upper()}"


HEAD = "/*!50530 SET @@SESSION.PSEUDO_SLAVE_MODE=1*/;\nDELIMITER /*!*/;\n"
LIVE, CALLS = map_of("crm", "live", 27), map_of("crm", "calls", 26)
ROWS = b"\2\3" + bytes(range(256)) * 3  # lines of base64


@pytest.mark.parametrize("kind", [WRITE, UPDATE, COMPRESSED])
@pytest.mark.parametrize("table", ["live", "odd `m`\n", "șir" * 20])
def test_changes_are_left_out_by_the_name_of_their_table(kind: int, table: str, tmp_path: Path) -> None:
    mine, other = map_of("crm", table, 300), map_of("crm", f"{table}2", 300)
    log = HEAD + block(mine, event(kind, 300, ROWS)) + block(other, event(kind, 300, ROWS))
    told, counts = left_out(log, tmp_path, key("crm", table), key("other", f"{table}2"))
    assert told == HEAD + block("x").replace("BINLOG '\nx'/*!*/;\n", "") + block(other, event(kind, 300, ROWS))
    assert counts == {f"crm.{table}": 1}
    assert left_out(log, tmp_path, key("crm", "calls"))[0] == log


def test_of_a_statement_that_changes_two_tables_one_is_left_out(tmp_path: Path) -> None:
    """The number of a table is another's in the next statement."""
    both = block(LIVE, CALLS, event(UPDATE, 26, ROWS), event(UPDATE, 27, ROWS), event(UPDATE, 26, b"x"))
    log = both + block(map_of("crm", "calls", 27), event(UPDATE, 27, ROWS))
    told, counts = left_out(HEAD + log, tmp_path, key("crm", "live"))
    assert told == HEAD + log.replace(event(UPDATE, 27, ROWS), "", 1) and counts == {"crm.live": 1}


def test_a_text_that_looks_like_a_change_is_left_as_it_is(tmp_path: Path) -> None:
    text = f"create procedure p()\nselect '\n{block(LIVE, event(UPDATE, 27, ROWS))}'\n/*!*/;\n"
    text = text.replace("'/*!*/;\n#", "'\n#")  # as none can be, within a statement
    told, counts = left_out(HEAD + text, tmp_path, key("crm", "live"))
    assert told == HEAD + text and not counts


@pytest.mark.parametrize(("text", "ends"), [
    ("rename table live to kept", True), ("/* x */ RENAME TABLE\n`Live` TO `other`.`kept`", True),
    ("rename table a to b, `crm`.live to live2", True), ("rename table other to live", True),
    ("alter table live rename index a to b, rename to kept", True), ("rename table `a``b` to c", True),
    ("/*!50003 rename table live to kept*/", True), ("rename table lives to kept, live_2 to alive", False),
    ("alter table live rename column a to b", False), ("alter table live rename index a to b", False),
    ("create procedure p()\nrename table live to kept", False), ("rename user live to kept", False),
    ("drop table live", False), ("alter table live add column renamed int", False),
])  # fmt: skip
def test_it_ends_where_changes_would_go_by_another_tables_name(text: str, tmp_path: Path, *, ends: bool) -> None:
    log = HEAD + block(LIVE, event(UPDATE, 27, ROWS)) + f"SET TIMESTAMP=1/*!*/;\n{text}\n/*!*/;\n"
    keys = key("crm", "live"), key("crm", "a`b")
    if not ends:
        assert left_out(log, tmp_path, *keys) == (
            log.replace(block(LIVE, event(UPDATE, 27, ROWS)), block("x").replace("BINLOG '\nx'/*!*/;\n", "")),
            {"crm.live": 1},
        )
        return
    with pytest.raises(subprocess.CalledProcessError) as ended:
        left_out(log, tmp_path, *keys)
    assert ended.value.returncode == 9 and RENAMED.search(ended.value.stderr)


@pytest.mark.parametrize(("file", "position", "before"), [
    ("b.000002", 99, False), ("b.000002", 100, True), ("b.000001", 900, False), ("b.1000001", 4, True),
])  # fmt: skip
def test_rows_are_loaded_where_the_log_comes_to_them(file: str, position: int, *, before: bool) -> None:
    assert MemoryRows("b.000002", 100, "", frozenset()).lies_before(file, position) == before


@pytest.mark.parametrize(("gtids", "before"), [
    ("0-7-10", False), ("0-7-11", True), ("1-7-1", True), ("0-7-11,2-9-5", False), ("0-7-11,2-9-6", True),
])  # fmt: skip
def test_rows_are_loaded_where_transactions_lie_behind_them(gtids: str, *, before: bool) -> None:
    assert MemoryRows("b.000002", 100, "0-7-10,2-9-5", frozenset()).lies_before_all(gtids) == before
