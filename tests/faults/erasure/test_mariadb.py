"""Erasing from a MariaDB: as its columns compare, as its keys lead, and from what ANALYZE has kept of values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from tests.support.inside import inside
from tests.support.mariadb_source import MariaSource

from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.erasing import erase
from ccdr.host.processes import Host
from ccdr.model.erasure import Erased, Rows, Selector, Wanted
from ccdr.model.errors import TestBroken
from ccdr.ports.place import Output

NAME = "erased_here"
LOGIN = Login(("--no-defaults", "--socket=/sockets/mysqld.sock", "--user=root"))


class Inside(Host):
    """The server's container, entered as root does it."""

    def of(self, container: str) -> Inside:
        made = Inside()
        object.__setattr__(made, "container", container)
        return made

    def run(self, argv: Sequence[str], **more: Any) -> Output:
        return super().run([*inside(self.container), *argv], **more)  # type: ignore[attr-defined]


class Database:
    def __init__(self, server: MariaSource) -> None:
        self.server = server

    def sql(self, sql: str) -> str:
        return self.server.sql(sql, NAME)

    def erase(self, table: str, *, may_lack: bool = False, **key: object) -> tuple[int, int, int]:
        rows = Rows(table, tuple(sorted((column, str(value)) for column, value in key.items())), may_lack)
        wanted = [Wanted("e-000001", Selector("crm", rows=(rows,)))]
        place = Inside().of(self.server.container)
        found: Erased = erase(place, LOGIN, NAME, wanted, called="crm", in_part=False).entries[0]
        return found.before, found.beside, found.after


@pytest.fixture
def database(maria: MariaSource) -> Iterator[Database]:
    maria.sql(f"create database {NAME} character set utf8mb4 collate utf8mb4_general_ci")
    yield Database(maria)
    maria.sql(f"drop database {NAME}")


def test_a_table_is_found_as_the_source_calls_it_and_a_text_as_its_column_compares(database: Database) -> None:
    database.sql(
        "create table customer (Id int primary key, name varchar(20), exact varchar(20) collate utf8mb4_bin);"
        "insert into customer values (1, 'Ana', 'Ana'), (2, 'ANA ', 'ANA'), (3, 'Dan', 'ana'), (4, 'Eve', 'Eve'), (5, 'x', 'x')"
    )
    assert database.erase("crm.customer", may_lack=True, name="ana") == (2, 0, 0)
    assert database.erase("Customer", may_lack=True, exact="ANA") == (0, 0, 0)
    assert database.erase("customer", exact="ana") == (1, 0, 0)
    assert database.erase(f"{NAME}.customer", ID=4) == (1, 0, 0)
    assert database.sql("select id from customer") == "5"
    with pytest.raises(TestBroken, match="not there"):
        database.erase("other.customer", id=5)


def test_of_tables_that_differ_in_case_alone_none_is_left_out_unsaid(database: Database) -> None:
    database.sql("create table Agent (id int); create table AGENT (id int); insert into Agent values (1)")
    with pytest.raises(TestBroken, match=r"erased_here\.AGENT, erased_here\.Agent"):
        database.erase("agent", may_lack=True, id=1)
    assert database.erase("Agent", id=1) == (1, 0, 0)


def test_a_circle_of_composite_keys_is_cut_where_it_may_be(database: Database) -> None:
    database.sql(
        "create table `call` (tenant int not null, id int not null, parent int, primary key (tenant, id),"
        " foreign key (tenant, parent) references `call` (tenant, id));"
        "insert into `call` values (1, 1, null), (1, 2, 1), (2, 1, null), (2, 2, 1)"
    )
    assert database.erase("call", tenant=1, id=1) == (1, 1, 0)
    assert database.sql("select * from `call` order by 1, 2") == "1\t2\tNULL\n2\t1\tNULL\n2\t2\t1"


def test_what_analyze_has_kept_of_values_goes_with_them(database: Database) -> None:
    """Of the tables that somebody was erased from, and of those whose reference was set to NULL."""
    database.sql(
        "create table customer (id int primary key, name varchar(20)); create table other (name varchar(20));"
        "create table note (customer int, foreign key (customer) references customer (id) on delete set null);"
        "insert into customer values (1, 'Ana'), (2, 'Dan'); insert into other values ('Ana'); insert into note values (1);"
        "analyze table customer persistent for all; analyze table other persistent for all;"
        "analyze table note persistent for all"
    )
    assert database.erase("customer", id=1) == (1, 1, 0)
    kept = f"select distinct table_name from mysql.column_stats where db_name = '{NAME}' order by 1"
    assert database.sql(kept) == "other"
    database.sql(f"delete from mysql.column_stats where db_name = '{NAME}'")
