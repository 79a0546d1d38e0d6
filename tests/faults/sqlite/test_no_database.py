"""SQLite: what is no database is a failed backup."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import captured, cut_short, has_dbstat, refused, scribbled

from ccdr.model.answers import NO_WORDS

NO_DATABASE: dict[str, tuple[Callable[[Path], object], str]] = {
    "not there": (Path.unlink, "is not there"),
    "a link": (lambda p: (p.rename(p.with_name("real")), p.symlink_to("real")), "is a link"),
    "two names": (lambda p: os.link(p, p.with_name("other")), "has 2 names"),
    "a directory": (lambda p: (p.unlink(), p.mkdir()), "is not a file"),
    "a pipe": (lambda p: (p.unlink(), os.mkfifo(p)), "is not a file"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "no table": (lambda p: ask_sqlite(p, "drop view answered; drop table call; drop table customer"), "holds no table"),
    "text": (lambda p: p.write_text("calldate,src,dst\n" * 500), "is no SQLite database, or an encrypted one"),
    "encrypted": (lambda p: p.write_bytes(random.Random(1).randbytes(p.stat().st_size)), "or an encrypted one"),
    "encrypted but for its header": (
        lambda p: p.write_bytes(p.read_bytes()[:100] + random.Random(1).randbytes(p.stat().st_size - 100)),
        "",
    ),
    "cut short": (cut_short, "is damaged"),
    "a table's page overwritten": (lambda p: scribbled(p, "call"), "cannot be read to its end: table call"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_DATABASE)
def test_what_is_no_database_is_a_failed_backup(database: Path, tmp_path: Path, name: str) -> None:
    if "overwritten" in name and not has_dbstat():
        pytest.skip("this SQLite cannot tell where its pages are")
    harm, said = NO_DATABASE[name]
    harm(database)
    error = refused(database, tmp_path / "into")
    assert said in str(error)
    assert database.name not in f"{error}{error.hint}" and database.name in (error.words or NO_WORDS), "for who looks"


ODD_NAMES = ["ccdr ?#%20&mode=memory.db", "notă „x”.db", "-dash.db", "'quote\".db", "line\nbreak.db"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_the_names_of_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / "made.db"
    ask_sqlite(path, "create table t (a); insert into t values (1)")
    path = path.rename(tmp_path / name)
    captured(path, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == [name]
