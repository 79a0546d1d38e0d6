"""Points that are named in the log: found before a server is asked, whatever page or segment they lie across."""

from __future__ import annotations

import struct
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ccdr.engines.mariadb.logfile import MAGIC, directories_in, transactions
from ccdr.engines.postgres.points import named
from ccdr.model.errors import LogStops

PAGE, SEGMENT = 8192, 4 * 8192
RECORD = b"\xff\x48" + b"whenever"  # what comes right before a name


def segments(stream: bytes, root: Path) -> list[tuple[int, Path]]:
    """A log of that content, from segment 7 on, as a server writes it: in pages, each with its header."""
    found, number, at = [], 7, 0
    while at < len(stream) or not found:
        raw = b""
        for page in range(SEGMENT // PAGE):
            header = struct.pack("=36xI", PAGE) if page == 0 else bytes(24)
            room = PAGE - len(header)
            raw += header + stream[at : at + room].ljust(room, b"\0")
            at += room
        path = root / f"{number}"
        path.write_bytes(raw)
        found.append((number, path))
        number += 1
    return found


def place(offset: int) -> int:
    """Where in the log the stream's byte lies, page by page."""
    number, position = 7, 0
    while True:
        for page in range(SEGMENT // PAGE):
            header = 40 if page == 0 else 24
            if offset < position + PAGE - header:
                return number * SEGMENT + page * PAGE + header + offset - position
            position += PAGE - header
        number += 1


@example(before=4 * 8192 - 40 - 3 * 24 - 40, name="whole, and right at a segment's end"[:15])
@given(
    before=st.integers(0, 2 * SEGMENT),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15),
)
def test_a_point_is_found_wherever_it_lies(tmp_path_factory: pytest.TempPathFactory, before: int, name: str) -> None:
    root = tmp_path_factory.mktemp("log")
    stream = b"x" * before + RECORD + (name.encode() + b"\0").ljust(64, b"?") + b"y" * 100
    log = segments(stream, root)
    (at,) = named(log, name, SEGMENT)
    assert abs(at - place(before + len(RECORD))) <= 64 + 40 + len(RECORD), (
        "to some bytes: it may begin a segment earlier"
    )
    assert not list(named(log, f"{name}!", SEGMENT))


def test_a_row_that_says_the_same_is_no_point(tmp_path: Path) -> None:
    stream = b"a note about before-migration" + bytes(64) + b"\xff\x48whenever" + b"before-migrations".ljust(64, b"\0")
    assert not list(named(segments(stream, tmp_path), "before-migration", SEGMENT))
    assert not list(named(segments(stream, tmp_path), "x" * 64, SEGMENT)), "no point has such a name"


def test_what_has_not_come_yet_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(SEGMENT))
    (tmp_path / "short").write_bytes(b"")
    assert not list(named([(1, tmp_path / "zeros"), (2, tmp_path / "short")], "p", SEGMENT))


def event(kind: int, body: bytes, server: int = 7) -> bytes:
    return struct.pack("<IBIIIH", 1, kind, server, 19 + len(body), 0, 0) + body


def test_transactions_are_read_in_order_up_to_where_the_log_ends(tmp_path: Path) -> None:
    gtid = [event(162, struct.pack("<QI", n, 3) + bytes(7), server) for n, server in ((5, 7), (6, 8))]
    whole = MAGIC + event(15, bytes(60)) + gtid[0] + event(2, b"\xa2" * 50) + gtid[1]
    path = tmp_path / "binlog.000001"
    for log, expected in (
        (whole, ["3-7-5", "3-8-6"]),
        (whole + bytes(100), ["3-7-5", "3-8-6"]),
        (whole[:-8], ["3-7-5"]),
        (MAGIC, []),
        (b"", []),
    ):
        path.write_bytes(log)
        assert list(transactions(path)) == expected


@pytest.mark.parametrize(
    ("kind", "statement", "expected"),
    [
        (2, b"create table t (a int) data directory='/far' index  DIRECTORY = \"/it's\"", ["/far", "/it's"]),
        (2, b"alter table t add partition (partition b values less than (9) DATA\nDIRECTORY '/p')", ["/p"]),
        (2, b"create table t (a int)", []),
        (2, b"create table t (a int) data /* at */ directory='/far'", None),
        (165, b"\x78\x9c", None),  # compressed
        (23, b"data directory='/of a row'", []),
    ],
)
def test_paths_that_the_log_names_are_told_or_it_is_said_that_they_are_not_known(
    tmp_path: Path, kind: int, statement: bytes, expected: list[str] | None
) -> None:
    before = event(2, b"create table old (a int) data directory='/old'")
    path = tmp_path / "binlog.000001"
    path.write_bytes(MAGIC + before + event(kind, bytes(13) + statement + bytes(4)))
    with nullcontext() if expected is not None else pytest.raises(LogStops):
        assert list(directories_in(path, len(MAGIC) + len(before))) == expected
