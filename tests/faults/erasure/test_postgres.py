"""Erasing from a PostgreSQL whose tables are made of others: whoever is erased is in none of them, nor in what the
server has stored of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.support.harness import Source

from ccdr.engines.postgres.erasing import erase
from ccdr.host.processes import Host
from ccdr.model.erasure import Erased, Replayed, Rows, Selector, Wanted
from ccdr.model.errors import TestBroken

_numbers = count(1)


class Database:
    def __init__(self, source: Source, name: str) -> None:
        self.source, self.name = source, name

    def psql(self, sql: str) -> str:
        return self.source.psql(sql, self.name)

    def erase(self, *rows: Rows) -> Erased:
        (found,) = self.replay(Wanted("e-000001", Selector("crm", rows=rows))).entries
        return found

    def replay(self, *wanted: Wanted) -> Replayed:
        env = {"PGHOST": str(self.source.sockets), "PGUSER": "postgres", "PGDATABASE": self.name, "PGOPTIONS": ""}
        return erase(Host(), env, wanted, in_part=False)


@pytest.fixture
def database(source: Source) -> Iterator[Database]:
    name = f"erased_{next(_numbers)}"
    source.psql(f"create database {name} template template0")
    yield Database(source, name)
    source.psql(f"drop database {name} with (force)")


def row(table: str, *, may_lack: bool = False, **key: object) -> Rows:
    return Rows(table, tuple(sorted((column, str(value)) for column, value in key.items())), may_lack)


def counts(found: Erased) -> tuple[int, int, int]:
    return found.before, found.beside, found.after


# --- what the server has stored of rows ----------------------------------------------------------------------------

STORED = """
create table customer (id int primary key, name text);
create table note (id int primary key, customer_id int references customer on delete set null, author text);
insert into customer values (1, 'Ana'), (2, 'Dan');
insert into note select n, n, 'x' from generate_series(1, 2) n;
create materialized view noted as select customer_id from note;
create view shown as select customer_id from noted;
create materialized view again as select customer_id from shown;
create function names() returns setof text language plpgsql as $$ begin return query select name from public.customer; end $$;
create materialized view called as select * from names() n;
create materialized view later as select name from customer with no data;
"""


def test_stored_views_hold_nobody_however_they_come_by_them(database: Database) -> None:
    """Of rows whose reference alone is set to NULL; of each other; by a function that the server does not look into."""
    database.psql(STORED)
    assert counts(database.erase(row("customer", id=1))) == (1, 1, 0)
    assert database.psql("select count(*) from note") == "2"
    for view in ("noted", "again", "called"):
        assert "Ana" not in database.psql(f"select * from {view}") and "1" not in database.psql(f"select * from {view}")
        assert database.psql(f"select count(*) from {view}") == ("1" if view == "called" else "2")
    assert database.psql("select relispopulated from pg_class where relname = 'later'") == "f"


def test_a_stored_view_that_came_to_be_made_of_a_younger_one_is_made_after_it(database: Database) -> None:
    database.psql(
        "create table customer (id int primary key); insert into customer values (1), (2);"
        "create view between_ as select id from customer;"
        "create materialized view older as select id from between_;"
        "create materialized view younger as select id from customer;"
        "create or replace view between_ as select id from younger;"
        "refresh materialized view older;"
    )
    database.erase(row("customer", id=1))
    assert database.psql("select * from older") == "2"


# --- tables that are made of others --------------------------------------------------------------------------------

PARTED = """
create table call (id int, customer int, primary key (id)) partition by range (id);
create table call_a partition of call for values from (1) to (100);
create table call_b partition of call for values from (100) to (200) partition by range (id);
create table call_b1 partition of call_b for values from (100) to (200);
create table voice (id int primary key, call_id int references call (id));
create table mark (id int primary key, call_id int references call_a (id));
create table gone (customer int);
create function remember() returns trigger language plpgsql as $$ begin insert into gone values (old.customer); return old; end $$;
create trigger remember before delete on call_b1 for each row execute function remember();
create materialized view one as select customer from call_a;
insert into call select n, n % 2 from generate_series(1, 199) n;
insert into voice select n, n from generate_series(1, 199) n;
insert into mark select n, n from generate_series(1, 99) n;
refresh materialized view one;
"""


def test_the_whole_of_a_partitioned_table_is_erased_from_and_what_refers_to_one_partition(database: Database) -> None:
    database.psql(PARTED)
    assert counts(database.erase(row("call", customer=1))) == (100, 150, 0)
    left = "select (select count(*) from call), (select count(*) from voice), (select count(*) from mark)"
    assert database.psql(left) == "99|99|49", "nobody else is gone"
    assert database.psql("select count(*) from gone") == "0", "a partition's own trigger copies nobody"
    assert database.psql("select tgenabled from pg_trigger where tgname = 'remember'") == "O"
    assert database.psql("select count(*) from one where customer = 1") == "0"


def test_of_one_partition_what_refers_to_the_whole_goes_too(database: Database) -> None:
    database.psql(PARTED)
    assert counts(database.erase(row("call_b1", id=101))) == (1, 1, 0)
    assert counts(database.erase(row("call_a", id=3), row("call", id=3))) == (2, 4, 0), "named twice, counted twice"
    assert database.psql("select count(*) from voice where id in (3, 101)") == "0"


HEIRS = """
create table person (id int, name text);
create table employee (primary key (id)) inherits (person);
create table customer (primary key (id)) inherits (person);
create table badge (id int primary key, employee_id int not null references employee (id));
create table call (id int primary key, customer_id int not null references customer (id));
insert into person values (1, 'Ana');
insert into employee values (2, 'Ana'), (3, 'Dan');
insert into customer values (3, 'Ana'), (4, 'Eve');
insert into badge values (1, 2), (2, 3);
insert into call values (1, 3), (2, 4);
"""


def test_heirs_of_a_table_are_erased_from_with_what_refers_to_them(database: Database) -> None:
    """And nobody who has the same number in another heir."""
    database.psql(HEIRS)
    assert counts(database.erase(row("person", name="Ana"))) == (3, 2, 0)
    assert database.psql("select tableoid::regclass, name from person order by 1, 2") == "employee|Dan\ncustomer|Eve"
    assert database.psql("select (select id from badge), (select id from call)") == "2|2"


def test_old_partitions_by_inheritance_have_no_keys_of_their_own_and_are_erased_from(database: Database) -> None:
    database.psql(
        "create table customer (id int primary key); insert into customer values (1), (2);"
        "create table call (id int, customer_id int references customer);"
        "create table call_2025 () inherits (call); insert into call_2025 values (1, 1), (2, 2);"
    )
    assert counts(database.erase(row("customer", id=1))) == (1, 1, 0)
    assert database.psql("select id from call") == "2"


# --- composite keys, rules -----------------------------------------------------------------------------------------


def test_a_circle_of_composite_keys_is_cut_where_it_may_be(database: Database) -> None:
    """The tenant is part of every key, and never NULL."""
    database.psql(
        "create table call (tenant int, id int, parent int, primary key (tenant, id),"
        " foreign key (tenant, parent) references call (tenant, id));"
        "insert into call values (1, 1, null), (1, 2, 1), (2, 1, null), (2, 2, 1);"
    )
    assert counts(database.erase(row("call", tenant=1, id=1))) == (1, 1, 0)
    assert database.psql("select * from call order by 1, 2") == "1|2|\n2|1|\n2|2|1"


def test_a_rule_of_the_owner_copies_nobody_meanwhile_and_stands_again_after_it(database: Database) -> None:
    database.psql(
        "create table customer (id int, name text); create table gone (name text);"
        "insert into customer values (1, 'Ana'), (2, 'Dan');"
        "create rule remember as on delete to customer do also insert into gone values (old.name);"
    )
    assert counts(database.erase(row("customer", id=1))) == (1, 0, 0)
    assert database.psql("select count(*) from gone") == "0"
    database.psql("delete from customer")
    assert database.psql("select name from gone") == "Dan"


# --- which table is meant ------------------------------------------------------------------------------------------

TWO = """
create schema a; create schema b;
create table a.customer (id int); create table b.customer (id int); create table public."Agent" (id int);
insert into a.customer values (1); insert into b.customer values (1); insert into "Agent" values (1);
"""


@pytest.mark.parametrize("more", ["", "create table public.customer (id int);"])
@pytest.mark.parametrize("may_lack", [False, True])
def test_of_several_tables_of_one_name_none_is_left_out_unsaid(database: Database, more: str, may_lack: bool) -> None:
    database.psql(TWO + more)
    with pytest.raises(TestBroken, match=r"a\.customer, b\.customer"):
        database.erase(row("customer", may_lack=may_lack, id=1))
    assert counts(database.erase(row("a.customer", id=1), row("b.customer", id=1))) == (2, 0, 0)


def test_a_table_is_found_as_people_write_it_and_one_that_lacks_is_told(database: Database) -> None:
    database.psql(TWO)
    for name in ('public."Agent"', "Agent", "PUBLIC.agent"):
        database.psql('insert into "Agent" values (1)')
        assert database.erase(row(name, ID=1, may_lack=True)).before >= 1
    assert database.replay(Wanted("e", Selector("crm", rows=(row("c.customer", may_lack=True, id=1),)))).lacking == 1
    with pytest.raises(TestBroken, match=r"c\.customer, which is not there"):
        database.erase(row("c.customer", id=1))
