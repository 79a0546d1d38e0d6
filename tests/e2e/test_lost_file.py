"""A database that is one file is lost: what status says leads to it being back."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.harness import Site


@pytest.fixture
def cdr(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    with closing(sqlite3.connect(tmp_path / "cdr.db")) as con:
        con.executescript("create table call (id integer primary key); insert into call values (1), (2);")
    site.plan(f"calls: {{engine: sqlite, path: {tmp_path / 'cdr.db'}}}")
    assert site.run("backup", "p").code == 0
    return site


def test_the_next_step_of_a_lost_database_brings_it_back(cdr: Site) -> None:
    lost = cdr.root / "cdr.db"
    lost.unlink()
    assert cdr.run("backup", "p").code == 1
    (asset,) = cdr.run("status").json["plans"][0]["assets"]
    (gone,) = (p for p in asset["troubles"] if p["code"] == "SOURCE_AWAY")
    restore, _, back = gone["next_step"].partition("if it is lost: ")[2].partition(" && ")
    back, _, again = back.rpartition(" && ")
    done = cdr.run(*shlex.split(restore)[1:], "--yes-i-mean", "calls-restored")
    assert done.code == 0, done
    subprocess.run(["bash", "-c", back], check=True)
    with closing(sqlite3.connect(lost)) as con:
        assert con.execute("select count(*) from call").fetchall() == [(2,)]
    assert cdr.run(*shlex.split(again)[1:]).code == 0
    (asset,) = cdr.run("status").json["plans"][0]["assets"]
    assert [p["code"] for p in asset["troubles"]] == ["NEVER_TESTED"]


def test_a_place_that_is_called_like_the_file_is_no_directory_to_restore_into(cdr: Site) -> None:
    """It would be a directory of that name, which no program opens as the database."""
    to = cdr.root / "other.db"
    done = cdr.run("restore", "p", "--asset", "calls", "--to", str(to), "--dry-run")
    assert done.code == 2 and f"--to {cdr.root / 'other'}" in done.json["hint"], done
    assert not to.exists()
    twin = cdr.run("restore", "p", "--asset", "calls", "--to", str(cdr.root / "other"), "--dry-run")
    assert twin.code == 0, twin
