"""Which tablespaces a log creates, by what pg_waldump says of it, and which of its files a recovery reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccdr.engines.postgres.physical.tablespaces import line_of, parse
from ccdr.model.errors import LogStops

RECORD = "rmgr: Tablespace  len (rec/tot):     33/    59, tx:        750, lsn: 0/0195D8E8, prev 0/0195D8B0, desc: {}\n"


def dump(*said: str) -> str:
    return "".join(RECORD.format(one) for one in said)


def test_each_path_has_the_last_tablespace_that_was_made_there() -> None:
    text = dump('CREATE 16400 "/a"', 'CREATE 16401 "/b c/it\\"s"', "DROP 16400", 'CREATE 16402 "/a"', "DROP 16402")
    assert parse(text) == {"/a": "tablespaces/16402", '/b c/it\\"s': "tablespaces/16401"}
    assert parse("") == {}
    assert parse(dump('CREATE 16400 ""')) == {}, "it lies in the server's own directory"


@pytest.mark.parametrize(
    "said", ['CREATE 16400 "/a\nrmgr: b"', 'CREATE 16400 "/a\x1b"', 'CREATE 16400 "/\udcff"', "RENAME 1", ""]
)
def test_what_cannot_be_read_is_refused(said: str) -> None:
    with pytest.raises(LogStops):
        parse(dump('CREATE 16399 "/a"', said))


def segment(timeline: int, number: int) -> str:
    return f"{timeline:08X}{0:08X}{number:08X}"


def read(log: Path, branch: int, *there: tuple[int, int]) -> list[str]:
    for timeline, number in there:
        (log / segment(timeline, number)).touch()
    return [f"{int(file[:8], 16)}:{int(file[16:], 16)}" for name, file in line_of(log, branch, 2) if name[:8] != file]


def test_a_branch_is_read_from_its_own_copy_of_the_segment_in_which_it_began(tmp_path: Path) -> None:
    """As a server does: what the former one holds behind that is of no branch that leads there."""
    (tmp_path / "00000002.history").write_text("1\t0/4000100\tno reason\n")
    (tmp_path / "00000003.history").write_text("1\t0/4000100\tno reason\n2\t0/6000000\tno reason\n")
    there = [(1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 4), (2, 5), (2, 6), (3, 6), (4, 7)]
    assert read(tmp_path, 3, *there) == ["1:2", "1:3", "2:4", "2:5", "3:6"]
    assert read(tmp_path, 1) == ["1:2", "1:3", "1:4", "1:5", "1:6"]
    assert read(tmp_path, 2) == ["1:2", "1:3", "2:4", "2:5", "2:6"], "and not back to what was left"


def test_nothing_is_read_behind_a_gap(tmp_path: Path) -> None:
    assert read(tmp_path, 1, (1, 2), (1, 3), (1, 5)) == ["1:2", "1:3"]
    assert read(tmp_path / ".", 7) == []
