"""SQLite: whatever a database holds passes undamaged, and each change of a value is seen."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import captured, looked_at

from ccdr.model.values import Verdict

ZOO = r"""
create table "odd "" name; --" (id integer primary key, "select" text, [b c] int);
insert into "odd "" name; --" values (1, 'x', 2);
create table strict_one (a integer, b any, c real, d blob) strict;
insert into strict_one values (1, '1', 1.0, x'31');
create table clustered (a text, b int, primary key (b desc, a)) without rowid;
insert into clustered values ('x', 1), ('y', 2), ('z', 2);
create index clustered_by_a on clustered (a, b);
create table made (a int, b int generated always as (a * 2) virtual, c int generated always as (a * 3) stored);
insert into made (a) values (1), (2);
create table hides (rowid text, oid text, a int);
insert into hides values ('r', 'o', 1);
create table hides_all (rowid text, oid text, _rowid_ text);
insert into hides_all values ('r', 'o', 'u');
create table anything (v);
insert into anything values (null), (1), (1.0), ('1'), (x'31'), (''), (x''), (-0.0), (9e999), (-9e999), (9007199254740993),
  (-9223372036854775808), (cast(x'ff00fe' as text)), ('a' || char(0) || 'b'), ('NULL'), ('Ștefan'), (zeroblob(100000));
create virtual table words using fts5 (body);
insert into words values ('hello world'), ('goodbye');
create virtual table old_words using fts4 (body);
insert into old_words values ('hello world');
create virtual table box using rtree (id, x0, x1);
insert into box values (1, 0.0, 1.0);
create table self (id integer primary key, up int references self (id));
insert into self values (1, null), (2, 1);
create index some on anything (v) where v is not null;
create index by_expression on made (abs(a));
analyze
"""
WIDEST = f"create table widest ({', '.join(f'c{n}' for n in range(2000))}); insert into widest (c1999) values (1)"


@pytest.fixture(params=["UTF-8", "UTF-16le", "UTF-16be"])
def zoo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "zoo.db"
    pages = {"UTF-8": 4096, "UTF-16le": 512, "UTF-16be": 65536}[request.param]
    ask_sqlite(
        path,
        f"pragma encoding = '{request.param}'; pragma page_size = {pages}; pragma auto_vacuum = 2; {ZOO}; {WIDEST}",
    )
    return path


def test_whatever_a_database_holds_passes_undamaged(zoo: Path, tmp_path: Path) -> None:
    done = captured(zoo, tmp_path / "into")
    assert done.findings == []
    found = looked_at(done, tmp_path / "into", "zoo.db")
    assert [r.status for rs in found.values() for r in rs] == [Verdict.PASS] * 7, found
    tables: Any = done.contents["tables"]
    assert tables["anything"]["rows"] == 17 and tables["clustered"]["rows"] == 3
    assert {"words_content", "box_node", "sqlite_stat1"} <= tables.keys() and "words" not in tables


ZOO_DAMAGE = [
    """update "odd "" name; --" set "select" = 'y'""",
    "update strict_one set b = x'31'",
    "update clustered set a = 'v' where b = 1",
    "update made set a = 3 where a = 2",
    "update hides set rowid = 's'",
    "update hides set _rowid_ = 5",
    "update hides_all set oid = null",
    "update anything set v = 1.0 where v = 1 and typeof(v) = 'integer'",
    "update anything set v = x'31' where v = '1'",
    "update anything set v = '' where v = x''",
    "update anything set v = null where v = 'NULL'",
    "update anything set v = 9007199254740992 where v = 9007199254740993",
    "update anything set v = cast(x'ff00ff' as text) where hex(v) = 'FF00FE'",
    "update anything set v = 'a' where length(hex(v)) = 6 and instr(hex(v), '6100') = 1",
    "update words set body = 'hello wurld' where rowid = 1",
    "update box set x1 = 2.0",
    "update self set up = 2 where id = 2",
]


def test_every_change_of_a_value_is_seen_table_by_table(tmp_path: Path) -> None:
    """The file's digest sees everything; this is about what the tables' digests tell where that differs."""
    zoo = tmp_path / "zoo.db"
    ask_sqlite(zoo, ZOO)
    done = captured(zoo, tmp_path / "into")
    for n, sql in enumerate(ZOO_DAMAGE):
        restored = shutil.copytree(tmp_path / "into", tmp_path / f"r{n}")
        with contextlib.closing(sqlite3.connect(restored / "zoo.db", isolation_level=None)) as con:
            assert con.execute(sql).rowcount == 1, sql
        found = {r.name: r for r in looked_at(done, restored, "zoo.db")["identical"]}
        assert found["tables"].status is Verdict.FAIL and "contents differ" in found["tables"].actual, sql
        assert found["definitions and settings"].status is Verdict.PASS or "page_count" in str(found), sql
