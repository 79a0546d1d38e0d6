"""In which order segments and positions of a log are, and from where on a base needs it."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tests.support.batches import WAL, base, segment

from ccdr.engines.postgres.segments import SEGMENT_BYTES, lsn, number


def test_segments_follow_one_another_across_files_and_timelines() -> None:
    assert WAL.follows(segment(1), segment(2)) and WAL.follows(segment(255), segment(256))
    assert not WAL.follows(segment(1), segment(3)) and not WAL.follows(segment(2), segment(1))
    assert not WAL.follows(segment(1), segment(1))
    # A new timeline begins within the segment that the old one ended in, or right behind it.
    assert WAL.follows(segment(7), segment(7, 2)) and WAL.follows(segment(7), segment(8, 2))
    assert not WAL.follows(segment(7), segment(9, 2)) and not WAL.follows(segment(7, 2), segment(8, 1))
    assert not WAL.follows("00000002.history", segment(1))


@given(st.integers(0, 2**20), st.integers(0, 2**20))
def test_a_log_covers_what_does_not_lie_before_it(first: int, needed: int) -> None:
    assert WAL.covers(segment(first), segment(needed)) == (first <= needed)


@given(st.integers(0, 2**63))
def test_positions_are_read_as_they_are_written(position: int) -> None:
    assert number(lsn(position)) == position


def test_the_spool_is_read_in_the_logs_order(tmp_path: Path) -> None:
    for name in (f"{segment(3)}.partial", segment(2), segment(256), "00000002.history", "x.tmp", segment(1)):
        (tmp_path / name).touch()
    found = WAL.segments(tmp_path)
    assert [(s.name, s.whole, s.beside) for s in found] == [
        ("00000002.history", True, True),
        (segment(1), True, False),
        (segment(2), True, False),
        (segment(3), False, False),
        (segment(256), True, False),
    ]
    (tmp_path / segment(3)).touch()  # renamed while we looked
    assert all(s.whole for s in WAL.segments(tmp_path))


@given(st.integers(0, 2**20), st.integers(1, SEGMENT_BYTES), st.integers(1, 9))
def test_a_position_lies_in_the_segment_that_was_written_last_before_it(n: int, bytes_: int, timeline: int) -> None:
    position = lsn((n << 24) + bytes_)
    assert WAL.lies_in(position, segment(n, timeline)) and not WAL.lies_in(position, segment(n + 1, timeline))
    assert not WAL.lies_in(position, "00000002.history")


def test_a_base_needs_the_log_from_where_its_own_ends() -> None:
    _, manifest = base(0, 300)
    assert WAL.needed_from(manifest) == segment(300)
    assert WAL.goes_on_from(manifest) and not WAL.goes_on_from(base(0, 1, "dump")[1])
