"""Erasing from a SQLite file: a row is a person's where SQLite takes it for theirs, by the column's own comparison. What
is looked for, what goes and what is looked for again are the same."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest
from tests.support.harness import ask_sqlite
from tests.support.sqlite_source import Near, captured, engine, manifest_of

from ccdr.host.digests import Digest
from ccdr.host.processes import Host
from ccdr.model.erasure import Erased, Rows, Selector, Wanted
from ccdr.model.errors import TestBroken
from ccdr.ports.check import CheckContext


class Restored:
    def __init__(self, root: Path, sql: str) -> None:
        self.path, self.into, self.out = root / "cdr.db", root / "into", root / "out"
        ask_sqlite(self.path, sql)
        self.out.mkdir()
        done = captured(self.path, self.into)
        near = Near().beside(self.into / "cdr.db")
        self.manifest = manifest_of(done, root)
        self.context = CheckContext(self.manifest, self.into, self.into, self.out, near, Host(), Digest(Host()))

    def erase(self, table: str, *, may_lack: bool = False, **key: object) -> tuple[int, int, int]:
        rows = Rows(table, tuple(sorted((column, str(value)) for column, value in key.items())), may_lack)
        wanted = [Wanted("e-000001", Selector("cdr", rows=(rows,)))]
        found: Erased = engine(self.path).erase(self.context, wanted).entries[0]
        return found.before, found.beside, found.after

    def asked(self, sql: str) -> list[tuple[object, ...]]:
        with contextlib.closing(sqlite3.connect(self.into / "cdr.db")) as con:
            return con.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("column", "values", "key", "left"),
    [
        ("name text collate nocase", "('Ana'), ('ANA'), ('Dan')", "ana", [("Dan",)]),
        ("name text collate rtrim", "('Ana'), ('Ana  '), ('Dan')", "Ana ", [("Dan",)]),
        ("name text", "('Ana'), ('ANA'), ('Ana ')", "Ana", [("ANA",), ("Ana ",)]),
        ("name", "(123), ('123'), (x'313233'), (124)", "123", [(124,)]),
        ("name blob", "(123), ('123'), (x'313233'), ('x')", "123", [("x",)]),
        ("name", "(1.5), ('1.5'), (2.5)", "1.5", [(2.5,)]),
        ("name int", "(123), ('0123'), ('x')", "123", [("x",)]),
        ("name int", "(40721), ('+40721'), ('40 721')", "+40721", [("40 721",)]),
        ("name text", "(123), ('123'), ('0123')", "123", [("0123",)]),
        ("name decimal(10,2)", "(1.50), ('1.5'), ('x')", "1.50", [("x",)]),
    ],
)
def test_who_is_found_is_whom_the_column_takes_for_them(
    tmp_path: Path, column: str, values: str, key: str, left: list[tuple[object, ...]]
) -> None:
    restored = Restored(tmp_path, f"create table t ({column}); insert into t values {values}")
    before, _, after = restored.erase("t", name=key)
    assert after == 0
    assert restored.asked("select name from t order by 1") == left
    every = restored.asked("select name from t")
    assert before == restored.manifest.contents["tables"]["t"]["rows"] - len(every), "each row once"  # type: ignore[index]


def test_a_column_of_any_type_keeps_numbers_and_texts_apart_where_the_table_is_strict(tmp_path: Path) -> None:
    restored = Restored(tmp_path, "create table t (name any) strict; insert into t values (1), ('1'), ('2')")
    assert restored.erase("t", name=1) == (2, 0, 0)
    assert restored.asked("select name from t") == [("2",)]


def test_what_refers_to_a_row_is_told_as_a_foreign_key_tells_it(tmp_path: Path) -> None:
    """By the parent's comparison, whatever the child's is."""
    restored = Restored(
        tmp_path,
        "create table c (name text collate nocase primary key, v);"
        "create table call (id integer primary key, name text references c (NAME));"
        "create table untyped (id integer primary key, name references c);"
        "insert into c values ('Ana', 1), ('Dan', 2);"
        "insert into call values (1, 'ANA'), (2, 'dan'); insert into untyped values (1, 'aNa'), (2, 'Dan')",
    )
    assert restored.erase("c", name="ana") == (1, 2, 0)
    assert restored.asked("select id from call union all select id from untyped") == [(2,), (2,)]


def test_a_number_refers_to_a_number_that_is_kept_as_a_text(tmp_path: Path) -> None:
    restored = Restored(
        tmp_path,
        "create table c (id integer primary key, name text); create table call (id int, c text references c (id));"
        "insert into c values (17, 'x'), (18, 'y'); insert into call values (1, '17'), (2, '18')",
    )
    assert restored.erase("c", name="x") == (1, 1, 0)
    assert restored.asked("select c from call") == [("18",)]


def test_a_circle_of_composite_keys_is_cut_where_it_may_be(tmp_path: Path) -> None:
    restored = Restored(
        tmp_path,
        "create table call (tenant int not null, id int not null, parent int, primary key (tenant, id),"
        " foreign key (tenant, parent) references call (tenant, id));"
        "insert into call values (1, 1, null), (1, 2, 1), (2, 1, null), (2, 2, 1)",
    )
    assert restored.erase("call", tenant=1, id=1) == (1, 1, 0)
    assert restored.asked("select * from call order by 1, 2") == [(1, 2, None), (2, 1, None), (2, 2, 1)]


def test_what_only_the_application_compares_is_no_proof(tmp_path: Path) -> None:
    path = tmp_path / "cdr.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.create_collation("phone", lambda a, b: (a > b) - (a < b))
        con.execute("create table t (id integer primary key, name text collate phone, note text)")
        con.execute("insert into t values (1, 'Ana', 'x'), (2, 'Dan', 'y')")
    restored = Restored(tmp_path, "select 1")
    with pytest.raises(TestBroken, match="as only the application does"):
        restored.erase("t", name="Ana")


def test_a_table_is_found_as_sqlite_finds_it_and_one_that_lacks_is_told(tmp_path: Path) -> None:
    restored = Restored(tmp_path, "create table Customer (Id int); insert into customer values (1), (2), (3), (4)")
    for number, name in enumerate(("Customer", "main.customer", "CUSTOMER", '"main"."Customer"'), 1):
        assert restored.erase(name, id=number, may_lack=True) == (1, 0, 0)
    with pytest.raises(TestBroken, match="not there"):
        restored.erase("client", id=1)
    assert restored.erase("client", id=1, may_lack=True) == (0, 0, 0)


def test_a_reference_to_a_table_without_a_key_is_none(tmp_path: Path) -> None:
    restored = Restored(
        tmp_path,
        "create table c (id int, name text); create table d (c references c); create table e (x int primary key);"
        "insert into e values (1), (2)",
    )
    assert restored.erase("e", x=1) == (1, 0, 0)


def test_what_analyze_has_kept_of_them_goes_too(tmp_path: Path) -> None:
    """Samples that a SQLite with STAT4 takes; the one that is here need not be one."""
    restored = Restored(
        tmp_path,
        "create table T (name text); insert into t values ('Ana'), ('Dan'); create table u (name text);"
        "create table kept (tbl, idx, neq, nlt, ndlt, sample); insert into kept values ('T', 'i', '', '', '', x'416e61'),"
        " ('u', 'i', '', '', '', x'416e61');"
        "pragma writable_schema = on; update sqlite_master set name = 'sqlite_stat4', tbl_name = 'sqlite_stat4',"
        " sql = replace(sql, 'kept', 'sqlite_stat4') where name = 'kept'",
    )
    assert restored.erase("t", name="Ana") == (1, 0, 0)
    assert restored.asked("select tbl from sqlite_stat4") == [("u",)]
