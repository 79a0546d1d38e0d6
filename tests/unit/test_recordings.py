"""Recordings of the sample contact centre: the same every time, told truly, and safe inside SQL."""

from __future__ import annotations

import hashlib
import time
from datetime import date
from pathlib import Path

import pytest

from ccdr.demo.centre import AGE_S, PACKAGE, Recording, attach_sql, place
from ccdr.model.errors import CcdrError

DAY = date(2026, 11, 24)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """Three voices, one of them in a folder of its own, and something that is none."""
    root = tmp_path / "sounds"
    (root / "digits").mkdir(parents=True)
    for name, content in (("hello.wav", b"RIFF hello"), ("bye.wav", b"RIFF bye!"), ("digits/1.wav", b"RIFF one")):
        (root / name).write_bytes(content)
    (root / "README.txt").write_text("no voice")
    return root


def test_names_are_numbered_and_dated_and_sources_cycle(sounds: Path, tmp_path: Path) -> None:
    placed = place(sounds, tmp_path / "spool", first=1, count=4, day=DAY)
    assert [r.path for r in placed] == [
        "2026/11/24/0001-bye.wav",
        "2026/11/24/0002-1.wav",
        "2026/11/24/0003-hello.wav",
        "2026/11/24/0004-bye.wav",
    ]


def test_the_same_arguments_give_the_same_recordings(sounds: Path, tmp_path: Path) -> None:
    at_once = place(sounds, tmp_path / "one", first=1, count=5, day=DAY)
    in_parts = place(sounds, tmp_path / "two", first=1, count=2, day=DAY)
    in_parts += place(sounds, tmp_path / "two", first=3, count=3, day=DAY)
    assert at_once == in_parts


def test_bytes_and_digest_are_those_of_the_file(sounds: Path, tmp_path: Path) -> None:
    for recording in place(sounds, tmp_path / "spool", first=7, count=3, day=DAY):
        content = (tmp_path / "spool" / recording.path).read_bytes()
        assert (recording.bytes, recording.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_recordings_are_settled_and_older_ones_have_lower_numbers(sounds: Path, tmp_path: Path) -> None:
    placed = place(sounds, tmp_path / "spool", first=1, count=3, day=DAY)
    times = [(tmp_path / "spool" / r.path).stat().st_mtime for r in placed]
    assert times == sorted(times)
    assert times[-1] <= time.time() - AGE_S


def test_no_voices_names_the_package_to_install(tmp_path: Path) -> None:
    with pytest.raises(CcdrError) as caught:
        place(tmp_path / "nowhere", tmp_path / "spool", first=1, count=1, day=DAY)
    assert caught.value.hint is not None
    assert PACKAGE in caught.value.hint


def test_sql_has_one_numbered_row_for_each_recording(sounds: Path, tmp_path: Path) -> None:
    placed = place(sounds, tmp_path / "spool", first=1, count=2, day=DAY)
    rows = _copied(attach_sql(placed))
    assert rows == [f"{n}\t{r.path}\t{r.bytes}\t{r.sha256}" for n, r in enumerate(placed, start=1)]


def test_sql_escapes_what_ends_a_field_or_the_data() -> None:
    nasty = "2026/\\.\n'; drop table call; --\t\r.wav"
    (row,) = _copied(attach_sql([Recording(nasty, 1, "0" * 64)]))
    assert row == "1\t2026/\\\\.\\n'; drop table call; --\\t\\r.wav\t1\t" + "0" * 64


def test_sql_of_no_recordings_is_still_whole() -> None:
    assert _copied(attach_sql([])) == []


def _copied(sql: str) -> list[str]:
    """The lines between COPY and its terminator."""
    _, _, after = sql.partition("COPY placed FROM stdin;\n")
    data, terminator, _ = after.partition("\\.\nCREATE TEMPORARY TABLE chosen")
    assert terminator
    return data.split("\n")[:-1]
