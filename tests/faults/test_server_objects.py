"""What initdb or CREATE EXTENSION makes and somebody has changed since is in no dump: `identical` names each of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.harness import Site, Source
from tests.support.inside import inside
from tests.support.target import PASSWORD, server

from ccdr.engines.postgres.dump.identity import as_recorded, same_settings
from ccdr.engines.postgres.dump.server_objects import CHANGED, OF_MAJOR, OF_SERVER, differing, every_sql, read_objects
from ccdr.engines.postgres.inventory import INVENTORY, read_inventory
from ccdr.model.values import Verdict

ROLE = "objects_somebody"
# An extension with an object of each kind, and one for each that happens to it.
OURS = f"""
{"".join(f"create table t{n} (id int primary key, note text); insert into t{n} values (1, 'a');" for n in range(12))}
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
    'function pg_catalog."l\'é \\:name"(pg_catalog.text)': (
        'alter function pg_catalog.initcap(text) rename to "l\'é \\:name"'
    ),
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
    "other members of extension ours": "alter extension ours drop function f3(int); drop function f3(int)",
    "other members of extension hstore": "create table customers (id int); alter extension hstore add table customers",
    "other members of extension seg": "begin; create extension seg; alter function seg_in(cstring) cost 9; commit",
    # Grants, policies, publications and comments where pg_dump does not look.
    "view information_schema.columns": "revoke select on information_schema.columns from public",
    "view information_schema.domains": f"grant select (domain_name) on information_schema.domains to {ROLE}",
    "schema information_schema": f"alter default privileges in schema information_schema grant select on tables to {ROLE}",
    "schema pg_toast": f"grant usage on schema pg_toast to {ROLE}",
    "table public.t9": f"create policy p on t9 to {ROLE} using (id > 1)",
    "table public.t10": "create publication pub for table t10 where (id > 1), t11",
    "table public.t11": "comment on constraint t11_pkey on t11 is 'ours'",
    "grants of function public.myr(bigint,bigint)": (
        "create type myr as range (subtype = int8); revoke execute on function myr(int8, int8) from public"
    ),
    "grants of type public.owned": "create table owned (i int); revoke usage on type owned from public",
    "comment on type public.owned": "comment on type owned is 'ours'",
    "comment on type public.owned[]": "comment on type owned[] is 'ours'",
    "comment on function public.myr(bigint,bigint)": "comment on function myr(int8, int8) is 'ours'",
    "definition of function public.myr(bigint,bigint,pg_catalog.text)": "alter function myr(int8, int8, text) cost 777",
    "definition of function public.myr_multirange()": f"alter function myr_multirange() owner to {ROLE}",
    "comment on table constraint c on public.part": (
        "create table parted (i int constraint c check (i > 0)) partition by list (i);"
        "create table part partition of parted for values in (1); comment on constraint c on part is 'ours'"
    ),
    'collation pg_catalog."C"': "comment on collation \"C\" is 'ours'",
    "extension plpgsql": "comment on extension plpgsql is 'ours'",
    OF_MAJOR[0]: "alter domain information_schema.yes_or_no drop constraint yes_or_no_check",
    "function pg_catalog.to_timestamp(double precision)": (
        "do $$ begin execute 'create or replace view information_schema.user_mappings as '"
        " || pg_get_viewdef('information_schema.user_mappings'::regclass); end $$;"
        "create or replace function pg_catalog.to_timestamp(float8) returns timestamptz language sql as 'select now()'"
    ),
    # Own objects among those of the server.
    "function pg_catalog.mine()": "create function pg_catalog.mine() returns int language sql as 'select 1'",
    "function pg_toast.mine()": "create function pg_toast.mine() returns int language sql as 'select 1'",
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
# What else a load changes, by the inventory's key: a detaching that was stopped, columns unlike their parent's.
LOADED_OTHERWISE = {
    "detaching": (
        "create table parts (i int) partition by range (i); create table leaving partition of parts default;"
        "update pg_inherits set inhdetachpending = true where inhrelid = 'leaving'::regclass"
    ),
    "unlike_parent": (
        "create table parent (a int not null, t text); alter table parent alter t set storage external;"
        "create table child () inherits (parent);"
        "alter table child alter a drop not null, alter t set storage extended"
    ),
}
# What a dump brings back, or what is as it was made.
HEALTHY = f"""
alter function lower(text) cost 17; alter function lower(text) cost 1;
alter text search configuration english alter mapping for word with simple;
alter text search configuration english alter mapping for word with english_stem;
alter text search dictionary unaccent (rules = 'unaccent');
alter function f0(int) volatile; comment on function f1(int) is 'ours'; comment on function f1(int) is null;
grant select on t0, pg_catalog.pg_class to {ROLE}; grant select on information_schema.tables to {ROLE};
revoke select on information_schema.tables from {ROLE}; create policy p on t1; drop policy p on t1;
create type myr as range (subtype = int8); revoke execute on function myr(int8, int8) from public;
grant execute on function myr(int8, int8) to public; create table owned (i int); grant usage on type owned to public;
comment on type myr is 'ours'; create type pair as (a int); comment on type pair is 'ours';
alter function myr(int8, int8) cost 7; alter function myr(int8, int8) cost 1;
create publication pub for table owned; revoke select on t1 from postgres;
grant execute on function f0(int), pg_read_file(text) to {ROLE};
insert into mixed values (9, true); update kept set at = at + interval '1 day'; update t0 set note = 'a';
insert into t1 values (2, 'b'); delete from t1 where id = 2;
select pg_import_system_collations('pg_catalog') \\g /dev/null
begin; create extension cube; grant execute on function cube_in(cstring) to {ROLE}; commit;
create table parent (a int, t text); create table child () inherits (parent);
alter table child alter a set not null, alter t set storage external, alter t set compression pglz;
create table parts (i int not null) partition by range (i); create table part partition of parts default;
alter schema public owner to {ROLE}; comment on schema public is 'ours'; comment on extension ours is 'ours';
vacuum full; vacuum freeze; reindex (verbose off) database objects_healthy; analyze;
"""

# By ALTER SYSTEM: in force, and waiting for a restart.
SYSTEM = {
    "session_preload_libraries": "'auto_explain'", "my.setting": r"'x''y\z'", "default_tablespace": "pg_default",
    "statement_timeout": "'5min'", "maintenance_work_mem": "'90MB'", "jit": "no", "checkpoint_timeout": "'1h'",
    "track_commit_timestamp": "on", "wal_log_hints": "on",
}  # fmt: skip

IDENTICAL = "restore_test: crm\nchecks:\n  - {kind: identical}\n"


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
        before = facts(source, name)
        yield before, facts(source, back, before)
    finally:
        source.psql(f"drop database {back} with (force)")
        source.psql(f"drop database {name} with (force)")


def facts(source: Source, database: str, before: dict[str, Any] | None = None) -> dict[str, Any]:
    every = every_sql(before["server_objects"][""] if before else ())
    asked = f"set search_path = pg_catalog;\n{INVENTORY}{every}{CHANGED}"
    inventory, every, changed = source.psql(asked, database).splitlines()
    return {
        **read_inventory(inventory).facts,
        "left_out": [],
        "every": read_objects(every),
        "server_objects": read_objects(changed),
    }


def wrong(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return differing(before, after["every"], after["extensions"])


Told = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def damaged(source: Source, pristine: str) -> Iterator[Told]:
    sql = ";\n".join([*DAMAGES.values(), *LOADED_OTHERWISE.values()])
    with brought_back(source, pristine, sql, "objects_damaged") as told:
        yield told


@pytest.mark.parametrize("name", DAMAGES)
def test_change_that_no_dump_holds_is_named(damaged: Told, name: str) -> None:
    assert name in wrong(*damaged)


@pytest.mark.parametrize("key", LOADED_OTHERWISE)
def test_what_a_load_makes_otherwise_fails(damaged: Told, key: str) -> None:
    before, after = damaged
    contents = as_recorded(before) | {"left_out": []}
    assert same_settings(contents, before, whole_server=True).status is Verdict.PASS, "the twin"
    assert same_settings(contents, before | {key: after[key]}, whole_server=True).status is Verdict.FAIL, after[key]


def test_nothing_else_is_named(damaged: Told) -> None:
    """But a table that is a member no more, the rows of one with another column, and what was dropped."""
    others = {"table public.customers", "rows of public.customers", "rows of public.t1"}
    assert {*wrong(*damaged)} == {*DAMAGES, *others}


def test_what_a_dump_brings_back_is_no_change(source: Source, pristine: str) -> None:
    with brought_back(source, pristine, HEALTHY, "objects_healthy") as (before, after):
        assert wrong(before, after) == []
        assert same_settings(before, after, whole_server=True).status is Verdict.PASS
        assert before["unlike_parent"] != {}


def test_what_was_dropped_is_named_and_what_the_server_s_roles_are_members_of(source: Source) -> None:
    sql = "drop schema public; drop extension plpgsql; comment on function now() is null; create schema own"
    with brought_back(source, "template0", sql, "objects_dropped") as (before, after):
        assert wrong(before, after) == [OF_MAJOR[0], "extension plpgsql", "schema public"]
        roles = [OF_SERVER, *wrong(before, after)]
        for change, back in (
            ("grant pg_read_all_data to pg_monitor", "revoke pg_read_all_data from pg_monitor"),
            ("revoke pg_stat_scan_tables from pg_monitor", "grant pg_stat_scan_tables to pg_monitor"),
            ("comment on role pg_monitor is 'ours'", "comment on role pg_monitor is null"),
        ):
            source.psql(change)
            try:
                there = facts(source, "objects_dropped_back", before)
                assert wrong(before, there) == sorted(roles)
                assert OF_SERVER not in differing(before, there["every"], there["extensions"], [OF_SERVER])
            finally:
                source.psql(back)
        assert wrong(before, facts(source, "objects_dropped_back", before)) == wrong(before, after)


def test_database_of_a_changed_server_fails_until_the_plan_leaves_it_out(
    site: Site, source: Source, database: str
) -> None:
    """An extension comes back as its own: whoever made it makes it again."""
    changes = {
        "text search configuration pg_catalog.english": DAMAGES["text search configuration pg_catalog.english"],
        "function public.similarity(pg_catalog.text,pg_catalog.text)": "alter function similarity(text, text) cost 7",
        "type pg_catalog.tone": DAMAGES["type pg_catalog.tone"],
        "table public.customers": "create table customers (id int); insert into customers values (7)",
        "rows of public.customers": "alter extension citext add table customers",
        "other members of extension citext": "",
    }
    owner = f"{database}_reader"
    source.psql(
        f"grant create on database {database} to {owner}; create schema ours authorization {owner}; create extension citext;"
        f"set role {owner}; create extension pg_trgm; reset role;"
        f"set role {owner}; create extension fuzzystrmatch with schema ours; reset role",
        database,
    )
    site.crm(source, database, checks=IDENTICAL)
    site.backed_up()
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("PASS", 0), done
    source.psql(f"set allow_system_table_mods = on; {';'.join(changes.values())}", database)
    site.backed_up()
    done = site.run("test", "p")
    told = "; ".join(c["actual"] for c in done.json["checks"] if c["status"] == "FAIL")
    assert done.json["verdict"] == "FAIL" and all(name in told for name in changes), told
    site.crm(source, database, f"leave_out: {json.dumps([*changes])}", checks=IDENTICAL)
    assert site.backed_up().json["left_out"] == [*changes]
    done = site.run("test", "p")
    assert (done.json["verdict"], done.json["left_out"]) == ("PASS", [*changes]), done


def test_unchanged_server_of_another_superuser_and_locale_passes(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its prepared transaction is in no dump, and told."""
    with server(tmp_path_factory.mktemp("other")) as other:
        other.psql("create database crm template template0 locale_provider icu icu_locale 'ro' "
                   "icu_rules '&V << w <<< W' locale 'C'")  # fmt: skip
        other.psql("create extension hstore; create extension unaccent; create table call (id int)", "crm")
        other.psql("begin; insert into call values (1); prepare transaction 'waits'", "crm")
        # Whatever its role has set for itself, the server's own settings are told, also those that wait.
        other.psql("create function came() returns event_trigger language plpgsql as 'begin end';"
                   "create event trigger seen on login execute function came()", "crm")  # fmt: skip
        quoted = PASSWORD.replace("'", "''")
        other.psql(f"create role adm superuser login password '{quoted}'; create role bob; alter role adm set role = 'bob';"
                   "alter role adm set statement_timeout = '1ms'")  # fmt: skip
        other.psql("\n".join(f"alter system set {name} = {value};" for name, value in SYSTEM.items()))
        other.psql("select pg_reload_conf()")
        other.psql("alter system set work_mem = '77MB'")
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.write("restore_tests/crm.yaml", IDENTICAL)
        site.plan(
            "crm:\n  engine: postgres\n"
            f"  connection: {{host: {other.sockets}, user: adm, database: crm, password_file: {site.root}/pw}}\n"
            '  backup: {schedule: "*/30 * * * *"}\n  restore_test: {schedule: "0 3 * * *", checks: [crm]}'
        )
        notes = site.backed_up().json["notes"]
        other.psql("alter role adm set event_triggers = off")
        assert "login event trigger seen" in str(notes) and "login" not in str(site.backed_up().json["notes"])
    assert any(note.startswith("1 transaction prepared") for note in notes), notes
    done = site.run("test", "p")
    assert (done.json["verdict"], done.code) == ("PASS", 0), done
    manifest = next((site.state / "catalogue" / "p" / "crm").glob("*.json")).read_text("utf-8")
    assert json.loads(json.loads(manifest)["manifest"])["contents"]["prepared"] == 1
    settings = json.loads(json.loads(manifest)["manifest"])["contents"]["settings"]
    assert {*SYSTEM, "work_mem"} <= {*settings} and "bytea_output" not in settings
    assert settings["session_preload_libraries"] == "auto_explain" and settings["statement_timeout"] is None
    assert settings["maintenance_work_mem"] == "92160" and settings["jit"] == "off"
    to = str(site.root / "files")
    assert site.run("restore", "p", "--asset", "crm", "--to", to, "--yes-i-mean", "files").code == 0
    words = json.loads((site.root / "files" / "settings.json").read_text("utf-8"))
    waits = {"work_mem": "77MB", "track_commit_timestamp": "on", "wal_log_hints": "on", "statement_timeout": "5min"}
    assert {**words, **waits, "my.setting": "x'y\\z", "default_tablespace": "pg_default"} == words
    assert not {"maintenance_work_mem", "jit", "checkpoint_timeout"} & {*words}, "what is in force has its value"


def test_a_name_that_is_not_utf_8_is_told_as_the_cause(site: Site, source: Source) -> None:
    """Of rows, in its healthy twin, the bytes are kept."""
    source.psql("create database bytes template template0 encoding 'SQL_ASCII' locale 'C'")
    try:
        site.crm(source, "bytes", checks=IDENTICAL)
        source.psql(r"create table t as select E'caf\xe9' as v", "bytes")
        site.backed_up()
        source.psql(r"do $$ begin execute format('create table %I (i int)', E'caf\xe9'); end $$", "bytes")
        done = site.run("backup", "p")
        assert done.json["result"] == "FAILED" and "not UTF-8" in done.json["reason"], done
    finally:
        source.psql("drop database bytes")


@pytest.fixture(scope="module")
def holding(source: Source) -> Iterator[str]:
    source.psql("create database objects_money template template0")
    source.psql(
        "create domain worth as money; create type price as range (subtype = money); create type one as (a int);"
        "create domain worths as worth[]",
        "objects_money",
    )
    yield "objects_money"
    source.psql("drop database objects_money")


@pytest.mark.parametrize(
    "column", ["money", "money[]", "worth", "worth[]", "worths", "price", "price_multirange", "text", "int[]", "one"]
)
def test_whatever_type_holds_money_has_the_locale_that_it_is_written_in(
    source: Source, holding: str, column: str
) -> None:
    source.psql(f"create table t (v {column})", holding)
    try:
        assert (facts(source, holding)["lc_monetary"] is None) == (column in ("text", "int[]", "one"))
    finally:
        source.psql("drop table t", holding)


def test_a_database_whose_name_breaks_a_line_is_refused_by_its_cause(site: Site, source: Source) -> None:
    source.psql('create database "two\nlines"')
    try:
        site.crm(source, '"two\\nlines"')
        done = site.run("backup", "p")
        assert done.json["result"] == "FAILED" and "line break" in str(done.json), done
    finally:
        source.psql('drop database "two\nlines"')


@pytest.mark.parametrize("method", ["dump", "stream"])
def test_database_without_a_table_is_backed_up_and_comes_back(site: Site, source: Source, method: str) -> None:
    """An empty one, its twin, is none that anybody wants."""
    source.psql("create database objects_alone template template0")
    try:
        site.crm(source, "objects_alone", f"method: {method}", checks=IDENTICAL)
        assert site.run("backup", "p").json["result"] == "FAILED"
        source.psql("create function ours() returns int language sql as 'select 1'; create view v as select ours()",
                    "objects_alone")  # fmt: skip
        site.backed_up()
        done = site.run("test", "p")
        assert (done.json["verdict"], done.code) == ("PASS", 0), done
    finally:
        source.psql("drop database objects_alone with (force)")
