"""A database that is one file is lost: what status says leads to it being back."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

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


def way_back(site: Site) -> str:
    """What `status` says to type."""
    (asset,) = site.run("status").json["plans"][0]["assets"]
    (gone,) = (p for p in asset["troubles"] if p["code"] == "SOURCE_AWAY")
    return str(gone["next_step"].partition("end what uses it, then: ")[2])


def pasted(line: str, site: Site, **more: Any) -> subprocess.CompletedProcess[str]:
    """With a `ccdr` that has this site's directories, and whose question is answered."""
    own = shlex.join(site.argv())
    answered = f'ccdr() {{ local m=(); [ "$1" = restore ] && m=(--yes-i-mean "$(basename "${{!#}}")"); {own} "$@" "${{m[@]}}"; }}'
    argv = ["bash", "-c", f"{answered}\n{line}"]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2], **more)


@pytest.mark.parametrize("damage", ["lost", "torn", "overwritten"])
def test_the_next_step_of_a_database_that_is_lost_or_damaged_brings_it_back(cdr: Site, damage: str) -> None:
    """Pasted as it stands; what was damaged is kept, and its log is not replayed into what came back."""
    lost, log = cdr.root / "cdr.db", cdr.root / "cdr.db-journal"
    if damage == "lost":
        lost.unlink()
    elif damage == "torn":
        lost.write_bytes(lost.read_bytes()[:4096] + b"\xff" * 4096)
    else:
        lost.write_bytes(b"no database any more" * 500)
    done = cdr.plainly("backup", "p")
    assert done.returncode == 1 and str(lost) in done.stdout, done
    line = way_back(cdr)
    assert f"  → is the file system of {lost} mounted?" in done.stdout
    log.write_bytes(b"of what was lost")
    there = pasted(line, cdr)
    assert there.returncode == 0, there
    with closing(sqlite3.connect(lost)) as con:
        assert con.execute("select count(*) from call").fetchall() == [(2,)]
    assert lost.with_name("cdr.db.lost").exists() is (damage != "lost") and not log.exists()
    assert log.with_name("cdr.db-journal.lost").read_bytes() == b"of what was lost"
    (asset,) = cdr.run("status").json["plans"][0]["assets"]
    assert [p["code"] for p in asset["troubles"]] == ["NEVER_TESTED"]


def test_the_same_line_goes_on_where_its_restore_was_done_already(cdr: Site) -> None:
    (cdr.root / "cdr.db").unlink()
    assert cdr.run("backup", "p").code == 1
    line = way_back(cdr)
    restore = line.partition(" && ")[0].partition(" || ")[2]
    assert pasted(restore, cdr).returncode == 0
    assert pasted(line, cdr).returncode == 0 and (cdr.root / "cdr.db").exists()
    (cdr.root / "cdr.db").unlink()
    assert cdr.run("backup", "p").code == 1
    assert pasted(way_back(cdr), cdr).returncode == 0 and (cdr.root / "cdr.db").exists(), "and a second loss"


def test_a_second_loss_is_not_acknowledged_by_a_word_on_the_first(cdr: Site) -> None:
    def standing() -> dict[str, bool]:
        (asset,) = cdr.run("status").json["plans"][0]["assets"]
        return {p["code"]: p["acknowledged"] for p in asset["troubles"] if p["code"] != "NEVER_TESTED"}

    lost = {"SOURCE_AWAY", "BACKUP_FAILED"}
    (cdr.root / "cdr.db").rename(cdr.root / "away")
    assert cdr.run("backup", "p").code == 1
    for code in lost:
        assert cdr.run("ack", code, "p", "--until", "9d", "--why", "it moves").code == 0
    assert cdr.run("backup", "p").code == 1 and standing() == dict.fromkeys(lost, True), "the same one"
    (cdr.root / "away").rename(cdr.root / "cdr.db")
    assert cdr.run("backup", "p").code == 0 and standing() == {}
    (cdr.root / "cdr.db").unlink()
    assert cdr.run("backup", "p").code == 1 and standing() == dict.fromkeys(lost, False)


def test_a_place_that_is_called_like_the_file_is_no_directory_to_restore_into(cdr: Site) -> None:
    """It would be a directory of that name, which no program opens as the database."""
    to = cdr.root / "other.db"
    done = cdr.run("restore", "p", "--asset", "calls", "--to", str(to), "--dry-run")
    assert done.code == 2 and f"--to {cdr.root / 'other'}" in done.json["hint"], done
    assert not to.exists()
    twin = cdr.run("restore", "p", "--asset", "calls", "--to", str(cdr.root / "other"), "--dry-run")
    assert twin.code == 0, twin
