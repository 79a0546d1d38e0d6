"""What initdb or CREATE EXTENSION makes and somebody has changed since is in no dump: `identical` names each of it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.harness import Source
from tests.support.inside import inside

from ccdr.engines.postgres.dump.server_objects import CHANGED, EVERY, differing, read_objects
from ccdr.engines.postgres.inventory import INVENTORY, read_inventory

ROLE = "objects_somebody"
# An extension with an object of each kind, and one for each that happens to it.
OURS = f"""
{"".join(f"create table t{n} (id int primary key, note text); insert into t{n} values (1, 'a');" for n in range(9))}
{"".join(f"create function f{n}(i int) returns int language sql as 'select {n} * i';" for n in range(4))}
{"".join(f"create domain d{n} as int check (value <= 100);" for n in range(2))}
{"".join(f"create sequence s{n};" for n in range(2))}
create table mixed (id int primary key, mine bool not null);
insert into mixed values (1, false), (2, false);
select pg_extension_config_dump('mixed', 'where mine');
create table kept (id int, at timestamptz);
select pg_extension_config_dump('kept', '');
create type mood as enum ('well', 'ill');
create view seen as select id from t1;
create aggregate total (int) (sfunc = int4pl, stype = int);
create text search dictionary plain (template = simple);
create foreign data wrapper remote;
create cast (mood as xml) with inout;
"""
EXTENSIONS = f"""
create extension ours; create extension hstore; create extension unaccent; create extension isn; create role {ROLE};
insert into mixed values (7, true); insert into kept values (1, '2026-11-30 22:00+00');
"""
# How each is named that somebody has changed, and what was done to it.
DAMAGES = {
    "text search configuration pg_catalog.english": (
        "alter text search configuration english alter mapping for asciiword with simple"
    ),
    "text search configuration pg_catalog.german": "alter text search configuration german drop mapping for word",
    "text search dictionary pg_catalog.english_stem": "alter text search dictionary english_stem (stopwords = '')",
    "objects that initdb makes": "drop text search configuration danish",
    "function pg_catalog.lower(pg_catalog.text)": "alter function lower(text) cost 17",
    "function information_schema._pg_char_octet_length(pg_catalog.oid,integer)": (
        "create or replace function information_schema._pg_char_octet_length(typid oid, typmod integer) returns int "
        "language sql immutable as 'select 0'"
    ),
    "function pg_catalog.upper(pg_catalog.text)": "comment on function upper(text) is 'ours'",
    "view information_schema.tables": "create rule r as on insert to information_schema.tables do instead nothing",
    "operator public.@>(public.hstore,public.hstore)": "alter operator @> (hstore, hstore) set (restrict = neqsel)",
    "text search dictionary public.plain": "alter text search dictionary plain (stopwords = english)",
    "foreign-data wrapper remote": "alter foreign data wrapper remote options (a 'b')",
    "extension pg_trgm": f"set role {ROLE}; create extension pg_trgm; reset role",
    "rows of public.t0": "update t0 set note = 'edited'",
    "rows of public.mixed": "insert into mixed values (3, false)",
    "table public.t1": "alter table t1 add column more int",
    "table public.t2": "alter table t2 alter note set default 'x'",
    "table public.t3": "create index on t3 (note)",
    "table public.t4": "alter table t4 add check (id > 0)",
    "table public.t5": (
        "create trigger t before update on t5 for each row execute function suppress_redundant_updates_trigger()"
    ),
    "table public.t6": f"alter table t6 owner to {ROLE}",
    "table public.t7": "create rule r as on delete to t7 do instead nothing",
    "table public.t8": "alter table t8 drop constraint t8_pkey",
    "view public.seen": "create or replace view seen as select id from t1 where id > 1",
    "function public.f0(integer)": "create or replace function f0(i int) returns int language sql as 'select 9 * i'",
    "function public.f1(integer)": "alter function f1(int) security definer",
    "function public.f2(integer)": f"alter function f2(int) owner to {ROLE}",
    "type public.mood": "alter type mood add value 'gone'",
    "type public.d0": "alter domain d0 drop constraint d0_check",
    "type public.d1": "alter domain d1 set default 5",
    "sequence public.s0": "alter sequence s0 increment 10",
    "rows of public.s1": "select nextval('s1') \\g /dev/null\n",
    "members of extension ours": "alter extension ours drop function f3(int); drop function f3(int)",
    "members of extension hstore": "create table customers (id int); alter extension hstore add table customers",
    # Own objects among those of the server.
    "function pg_catalog.mine()": "create function pg_catalog.mine() returns int language sql as 'select 1'",
    "table pg_catalog.mine": "create table pg_catalog.mine (i int)",
    "text search configuration pg_catalog.mine": "create text search configuration pg_catalog.mine (copy = english)",
    "text search dictionary pg_catalog.mine": "create text search dictionary pg_catalog.mine (template = simple)",
    "type pg_catalog.tone": "create type pg_catalog.tone as enum ('a')",
    "operator pg_catalog.===(integer,integer)": (
        "create operator pg_catalog.=== (leftarg = int, rightarg = int, function = int4eq)"
    ),
    "collation information_schema.mine": (
        "create collation information_schema.mine (provider = icu, locale = 'de', deterministic = false)"
    ),
}
# What a dump brings back, or what is as it was made.
HEALTHY = f"""
alter function lower(text) cost 17; alter function lower(text) cost 1;
alter text search configuration english alter mapping for word with simple;
alter text search configuration english alter mapping for word with english_stem;
alter text search dictionary unaccent (rules = 'unaccent');
alter function f0(int) volatile; comment on function f1(int) is 'ours'; comment on function f1(int) is null;
grant select on t0, pg_catalog.pg_class, information_schema.tables to {ROLE}; revoke select on t1 from postgres;
grant execute on function f0(int), pg_read_file(text) to {ROLE};
insert into mixed values (9, true); update kept set at = at + interval '1 day'; update t0 set note = 'a';
insert into t1 values (2, 'b'); delete from t1 where id = 2;
select pg_import_system_collations('pg_catalog') \\g /dev/null
alter schema public owner to {ROLE}; comment on schema public is 'ours'; comment on extension ours is 'ours';
vacuum full; vacuum freeze; reindex (verbose off) database objects_healthy; analyze;
"""


def run(source: Source, script: str) -> None:
    subprocess.run([*inside(source.container), "bash", "-c", f"set -eo pipefail; {script}"], check=True)


@pytest.fixture(scope="module")
def pristine(source: Source) -> Iterator[str]:
    """A database with extensions that nobody has changed."""
    where = "cd $(pg_config --sharedir)/extension"
    script = f"{where}; echo \"default_version = '1'\" > ours.control; cat > ours--1.sql"
    subprocess.run(["docker", "exec", "-i", "-u", "root", source.container, "bash", "-c", script], input=OURS, text=True,
                   check=True)  # fmt: skip
    source.psql("create database objects_pristine template template0")
    source.psql(EXTENSIONS, "objects_pristine")
    yield "objects_pristine"
    source.psql("drop database objects_pristine")
    source.psql(f"drop role {ROLE}")


@contextmanager
def brought_back(source: Source, pristine: str, sql: str, name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """What is told of a copy of the database after `sql`, and of what a dump of that brings back."""
    back = f"{name}_back"
    for one, template in ((name, pristine), (back, "template0")):
        source.psql(f"create database {one} template {template}")
        source.psql(f"grant create on database {one} to {ROLE}")
    try:
        source.psql("grant create on schema public to public; set allow_system_table_mods = on;\n" + sql, name)
        run(source, f"at='-h /sockets -U postgres'; pg_dump $at -Fc {name} | pg_restore $at -e -d {back}")
        yield facts(source, name), facts(source, back)
    finally:
        source.psql(f"drop database {back} with (force)")
        source.psql(f"drop database {name} with (force)")


def facts(source: Source, database: str) -> dict[str, Any]:
    asked = f"set search_path = pg_catalog;\n{INVENTORY}{EVERY}{CHANGED}"
    inventory, every, changed = source.psql(asked, database).splitlines()
    return {**read_inventory(inventory).facts, "every": read_objects(every), "server_objects": read_objects(changed)}


def wrong(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return differing(before, after["every"], after["server_objects"], after["extensions"])


Told = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def damaged(source: Source, pristine: str) -> Iterator[Told]:
    sql = ";\n".join(DAMAGES.values())
    with brought_back(source, pristine, sql, "objects_damaged") as told:
        yield told


@pytest.mark.parametrize("name", DAMAGES)
def test_change_that_no_dump_holds_is_named(damaged: Told, name: str) -> None:
    assert name in wrong(*damaged)


def test_nothing_else_is_named(damaged: Told) -> None:
    """But a table that is a member no more, the rows of one with another column, and what was dropped."""
    others = {"table public.customers", "rows of public.customers", "rows of public.t1"}
    others.add("text search configuration pg_catalog.danish")
    assert {*wrong(*damaged)} == {*DAMAGES, *others}


def test_change_in_the_restored_database_alone_is_named(damaged: Told) -> None:
    before, after = damaged
    there = {**after, "every": before["server_objects"], "server_objects": before["server_objects"]}
    assert {"function public.f1(integer)", "text search dictionary public.plain"} <= {*wrong(after, there)}


def test_what_a_dump_brings_back_is_no_change(source: Source, pristine: str) -> None:
    with brought_back(source, pristine, HEALTHY, "objects_healthy") as (before, after):
        assert wrong(before, after) == []
