"""What is lost or changed between capture and check is a FAIL, whatever the object; the undamaged twin passes.

The sample contact centre is backed up once, with a schema `odd` of values that look alike beside it. Each group of
damages is done in one sandbox, each to objects of its own, and each must be named by the right part of the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import pytest
from tests.support.centre import sample_centre
from tests.support.harness import Site, Source, containers, sql_damage

from ccdr.engines import comparison as compared
from ccdr.jobs.restore_test import RestoreTest
from ccdr.model.values import Verdict

TABLES, OBJECTS, SEQUENCES, ROLES = "tables", "objects (definitions, owners, grants, comments)", "sequences", "roles"
LARGE, LARGE_META = "large objects", "large objects' owners, grants, comments"
DATABASE = "database settings, and what a dump leaves out"
MADE = "what the server and extensions make"

# --- values that look alike: one table each, its first value, and what the damage makes of it ------------------

LOOKALIKES = {
    "null became empty": ("text", "null", "''"),
    "a space at the end": ("text", "'note'", "'note '"),
    "a tab became spaces": ("text", r"E'a\tb'", "'a    b'"),
    "crlf became lf": ("text", r"E'a\r\nb'", r"E'a\nb'"),
    "a backslash n became a newline": ("text", r"E'a\\nb'", r"E'a\nb'"),
    "the text null became null": ("text", r"E'\\N'", "null"),
    "NFC became NFD": ("text", "normalize('Ștefănel é', NFC)", "normalize('Ștefănel é', NFD)"),
    "cedilla became comma": ("text", "'Ţepeş'", "'Țepeș'"),
    "a soft hyphen vanished": ("text", r"U&'re\00ADstore'", "'restore'"),
    "upper became lower": ("text", "'BRAȘOV'", "'brașov'"),
    "citext changed its case": ("public.citext", "'Agent7'", "'agent7'"),
    "one bit of a bytea": ("bytea", r"'\x00ff10'", r"'\x00fe10'"),
    "a zero byte more": ("bytea", r"'\x01'", r"'\x0100'"),
    "a long text's last letter": ("text", "repeat('Alo? ', 40000) || 'a'", "repeat('Alo? ', 40000) || 'b'"),
    "numeric lost its scale": ("numeric", "1.10", "1.1"),
    "numeric's 30th digit": ("numeric", "123456789012345678901234567890.1", "123456789012345678901234567891.1"),
    "a float's last bit": ("float8", "0.1", "0.10000000000000002"),
    "minus zero": ("float8", "'-0'", "0"),
    "NaN became null": ("float8", "'NaN'", "null"),
    "a microsecond": ("timestamptz", "'2026-10-25 00:30:00.000001Z'", "'2026-10-25 00:30:00Z'"),
    "an hour of summer time": ("timestamptz", "'2026-10-25 03:30+03'", "'2026-10-25 03:30+02'"),
    "infinity": ("timestamptz", "'infinity'", "'9999-12-31'"),
    "a time's zone": ("timetz", "'18:30+02'", "'16:30+00'"),
    "a month became 30 days": ("interval", "'1 month'", "'30 days'"),
    "json lost a double key": ("json", """'{"a": 1, "a": 2}'""", """'{"a": 2}'"""),
    "json's spaces": ("json", """'{"a":  1}'""", """'{"a": 1}'"""),
    "jsonb null became sql null": ("jsonb", "'null'", "null"),
    "an empty array became null": ("int[]", "'{}'", "null"),
    "an array's lower bound": ("int[]", "'[0:1]={1,2}'", "'{1,2}'"),
    "a range's bound": ("int4range", "'empty'", "'[1,2)'"),
    "an address's mask": ("inet", "'192.0.2.1/28'", "'192.0.2.1'"),
    "a bit string's length": ("varbit", "B'01'", "B'010'"),
    "blanks of a char became text": ("char(5)", "'ro'", "'ro_'"),
    "true became false": ("bool", "true", "false"),
    "one row twice, another lost": ("text", "unnest(array['a', 'a', 'b'])", "case when v = 'a' then 'b' else 'a' end"),
    "two columns' values swapped": ("point", "'(1,2)'", "'(2,1)'"),
}


def lookalike(name: str) -> str:
    return name.replace(" ", "_")


ODD = "create schema odd;\n" + "".join(
    f'create table odd."{lookalike(name)}" (v {kind}); insert into odd."{lookalike(name)}" select {first};\n'
    for name, (kind, first, _) in LOOKALIKES.items()
)
# Two tables of one shape, with as many rows and bytes.
ODD += """
create table odd.mono_left (id int, v text); insert into odd.mono_left select n, 'left ' || n from generate_series(1, 9) n;
create table odd.mono_rite (id int, v text); insert into odd.mono_rite select n, 'rite ' || n from generate_series(1, 9) n;
create table odd.wide (id int primary key, filler text); insert into odd.wide select n, repeat('x', n) from generate_series(1, 900) n;
"""
SWAP = """
create temp table kept as table odd.mono_left;
delete from odd.mono_left; insert into odd.mono_left table odd.mono_rite;
delete from odd.mono_rite; insert into odd.mono_rite table kept;
"""


class Damage(NamedTuple):
    group: str
    sql: str
    result: str
    named: str  # what the result must say


def rows(group: str, sql: str, table: str) -> Damage:
    return Damage(group, sql, TABLES, f"{table}: ")


def changed(group: str, sql: str, what: str) -> Damage:
    return Damage(group, sql, OBJECTS, f"not in the backup: {what}")


def missing(group: str, sql: str, what: str) -> Damage:
    return Damage(group, sql, OBJECTS, f"missing: {what}")


DAMAGE = {
    name: rows("values", f'update odd."{lookalike(name)}" set v = {then}', f"odd {lookalike(name)} postgres")
    for name, (_, _, then) in LOOKALIKES.items()
}
DAMAGE |= {
    "two tables' contents swapped": rows("values", SWAP, "odd mono_left postgres"),
    "one row changed": rows("values", "update call set cost = cost + 0.000001 where id = 46", "public call_2026_05 crm_owner"),
    "one row gone": rows("values", "delete from callback where id = 77", "public callback crm_owner"),
    "one row more": rows("values", "insert into survey values (1, now(), 3)", "public survey crm_owner"),
    "a row without columns gone": rows("values", 'delete from placeholder where ctid = \'(0,1)\'', "public placeholder crm_owner"),
    "an unlogged row gone": rows("values", "delete from dialler_session where agent_id = 100", "public dialler_session crm_owner"),
    "a row moved to another partition": rows(
        "values", "set session_replication_role = replica; update call set started_at = started_at - interval '40 days' where id = 299",
        "public call_2026_11 crm_owner"),
    "a bytea in a table with replica identity": rows(
        "values", r"update voicemail set audio = audio || '\x00' where id = (select id from voicemail order by id limit 1)", "public voicemail crm_owner"),
    "an inherited child's row more": rows(
        "values", """insert into archive."E-mail" (id, at) values (999, now())""", "archive E-mail crm_owner"
    ),
    # --- large objects, sequences
    "large object's byte": Damage("values", r"select lo_put(4100000015, 3, '\x00')", LARGE, "4100000015"),
    "large object truncated": Damage(
        "values", "begin; select lo_truncate(lo_open(4100000002, x'60000'::int), 1000); commit", LARGE, "4100000002"),
    "large object's hole filled": Damage("values", r"select lo_put(4100000003, 90000, '\x01')", LARGE, "4100000003"),
    "large object gone": Damage("values", "select lo_unlink(4100000020)", LARGE, "4100000020"),
    "large object more": Damage("values", "select lo_from_bytea(4100009999, 'x')", LARGE, "4100009999"),
    "large objects swapped": Damage(
        "values", "create temp table l as select lo_get(4100000021) a, lo_get(4100000022) b;"
        " select lo_unlink(4100000021), lo_unlink(4100000022);"
        " select lo_from_bytea(4100000021, b), lo_from_bytea(4100000022, a) from l", LARGE, "4100000021"),
    "large object's owner": Damage(
        "values", "alter large object 4100000008 owner to postgres", LARGE_META, "ALTER LARGE OBJECT 4100000008 OWNER TO postgres"),
    "large object's grant": Damage(
        "values", "revoke all on large object 4100000004 from crm_app", LARGE_META, "GRANT ALL ON LARGE OBJECT 4100000004"),
    "large object's grant to public": Damage(
        "values", "revoke all on large object 4100000006 from public", LARGE_META, "4100000006 TO PUBLIC"),
    "large object's grant option": Damage(
        "values", "revoke grant option for all on large object 4100000005 from crm_app", LARGE_META, "4100000005 TO crm_app WITH GRANT OPTION"),
    "large object's comment": Damage(
        "values", "comment on large object 4100000007 is null", LARGE_META, "COMMENT ON LARGE OBJECT 4100000007"),
    "identity set back": Damage("values", "select setval('call_id_seq', 1)", SEQUENCES, "call_id_seq', 1, true"),
    "sequence one step back": Damage(
        "values", "select setval('ticket_number', (select last_value - 7 from ticket_number))", SEQUENCES, "ticket_number', 30690"),
    "sequence was called": Damage("values", "select nextval('untouched')", SEQUENCES, "untouched', 1, true"),
    "cycling sequence": Damage("values", """select nextval('"Shift Wheel"')""", SEQUENCES, 'Shift Wheel"\', 1'),
    "negative sequence": Damage("values", "select setval('countdown', -1234, true)", SEQUENCES, "countdown', -1234, true"),
    # --- what is there
    "table missing": rows("gone", 'drop table "Do Not Call"', "public Do Not Call crm_owner"),
    "empty table missing": rows("gone", "drop table survey", "public survey crm_owner"),
    "partition missing": rows("gone", "drop table call_2026_12 cascade", "public call_2026_12 crm_owner"),
    "partition detached": missing("gone", "alter table call_leg detach partition call_leg_0", "TABLE ATTACH public.call_leg_0"),
    "column missing": missing("gone", "alter table transcript drop column words", "TABLE public.transcript"),
    "index dropped": missing("gone", "drop index customer_folded", "INDEX public.customer_folded"),
    "index of a materialised view dropped": missing("gone", "drop index queue_day_key", "INDEX public.queue_day_key"),
    "partition's own index dropped": missing("gone", """drop index "oldest partition's own index" """, "INDEX public.oldest partition's own index"),
    "unique made plain": missing(
        "gone", "alter table queue drop constraint queue_code_key; create index queue_code_key on queue (code)",
        "CONSTRAINT public.queue queue_code_key"),
    "index made partial": changed("gone", "drop index customer_created; create index customer_created on customer using brin (created_at)"
                                  " where vip", "INDEX public.customer_created"),
    "primary key dropped": missing("gone", "alter table voicemail drop constraint voicemail_pkey", "CONSTRAINT public.voicemail voicemail_pkey"),
    "foreign key dropped": missing("gone", "alter table call drop constraint call_queue", "FK CONSTRAINT public.call call_queue"),
    "foreign key no longer cascades": changed(
        "gone", "alter table consent drop constraint consent_customer_id_fkey, add foreign key (customer_id) references customer",
        "FK CONSTRAINT public.consent consent_customer_id_fkey"),
    "exclusion dropped": missing("gone", "alter table agent_shift drop constraint agent_shift_once", "CONSTRAINT public.agent_shift agent_shift_once"),
    "not valid constraint gone": missing("gone", "alter table customer drop constraint customer_plausible_birth",
                                         "CHECK CONSTRAINT public.customer customer_plausible_birth"),
    "trigger dropped": missing("gone", "drop trigger consent_logged on consent", "TRIGGER public.consent consent_logged"),
    "event trigger dropped": missing("gone", "drop event trigger note_dropped_tables", "EVENT TRIGGER -.note_dropped_tables"),
    "rule dropped": missing("gone", 'drop rule leave on "Agenți activi"', "RULE public.Agenți activi leave"),
    "policy dropped": missing("gone", "drop policy no_vip on customer", "POLICY public.customer no_vip"),
    "row-level security off": missing("gone", "alter table customer disable row level security", "ROW SECURITY public.customer"),
    "statistics object dropped": missing("gone", "drop statistics call_queue_disposition", "STATISTICS public.call_queue_disposition"),
    "publication's table dropped": missing("gone", "alter publication warehouse drop table disposition", "PUBLICATION TABLE public.warehouse disposition"),
    "publication's schema dropped": missing("gone", "alter publication old_things drop tables in schema archive", "PUBLICATION TABLES IN SCHEMA"),
    "extension missing": missing("gone", "drop extension pg_trgm cascade", "EXTENSION -.pg_trgm"),
    "view dropped": missing("gone", "drop view archive.stale", "VIEW archive.stale"),
    "function dropped": missing("gone", "drop procedure withdraw", "PROCEDURE public.withdraw"),
    "aggregate replaced by none": missing("gone", "drop materialized view queue_week; drop materialized view queue_day cascade; drop aggregate longest(interval)",
                                          "AGGREGATE public.longest(interval)"),
    "type dropped": missing("gone", "drop type call_state_unused", "TYPE public.call_state_unused"),
    "text search mapping": changed("gone", "alter text search configuration crm_ro drop mapping for word", "TEXT SEARCH CONFIGURATION public.crm_ro"),
    "comment on a column lost": missing("gone", "comment on column customer.note is null", "COMMENT public.COLUMN customer.note"),
    "comment on a schema lost": missing("gone", "comment on schema archive is null", "COMMENT -.SCHEMA archive"),
    "foreign table dropped": missing("gone", "drop foreign table archive.invoice", "FOREIGN TABLE archive.invoice"),
    "cast dropped": missing("gone", "drop cast (text as odd_pair)", "CAST -.CAST (text AS public.odd_pair)"),
    "operator dropped": missing("gone", "drop operator public.=~~= (text, text)", "OPERATOR public.=~~="),
    # --- how it is
    "view not filled": missing("how", "refresh materialized view queue_week with no data", "MATERIALIZED VIEW DATA public.queue_week"),
    "view wrongly filled": changed("how", "refresh materialized view archive.forecast", "MATERIALIZED VIEW DATA archive.forecast"),
    "foreign key validated": changed("how", "delete from callback where agent_id = 7; alter table callback validate constraint callback_agent",
                                     "FK CONSTRAINT public.callback callback_agent"),
    "trigger disabled": changed("how", "alter table consent disable trigger consent_logged", "TRIGGER public.consent consent_logged"),
    "trigger enabled": changed("how", "alter table agent enable trigger agent_updated", "TRIGGER public.agent agent_updated"),
    "event trigger disabled": changed("how", "alter event trigger note_dropped_tables disable", "EVENT TRIGGER -.note_dropped_tables"),
    "function's body": changed("how", "create or replace function tidy_note() returns trigger language plpgsql as $$begin return new; end$$",
                               "FUNCTION public.tidy_note()"),
    "function made definer": changed("how", "alter function keep_updated_at() security definer", "FUNCTION public.keep_updated_at()"),
    "function lost its search path": changed("how", "alter function log_consent() reset search_path", "FUNCTION public.log_consent()"),
    "view redefined": changed("how", "create or replace view customer_open with (security_barrier = true) as select id, given_name,"
                              " family_name, region, vip, note from customer", "VIEW public.customer_open"),
    "view's security option lost": changed("how", "alter view customer_mine reset (security_invoker)", "VIEW public.customer_mine"),
    "policy widened": changed("how", "alter policy own_region on customer using (true)", "POLICY public.customer own_region"),
    "policy's role": changed("how", "alter policy reporting on customer to public", "POLICY public.customer reporting"),
    "row-level security not forced": changed("how", "alter table consent no force row level security", "TABLE public.consent"),
    "generated column's expression": changed("how", "alter table call alter column talk_seconds set expression as (0)", "TABLE public.call"),
    "identity by default": changed("how", "alter table queue alter column id set generated by default", "SEQUENCE public.queue_id_seq"),
    "column's default lost": changed("how", "alter table campaign alter column dial_ratio drop default", "TABLE public.campaign"),
    "column's not null lost": changed("how", "alter table agent alter column given_name drop not null", "TABLE public.agent"),
    "column's collation": changed("how", 'alter table script alter column id type bigint', "TABLE public.script"),
    "column's collation is C": changed("how", 'alter table disposition alter column label type text collate "C"', "TABLE public.disposition"),
    "column's length": changed("how", "alter table call_leg alter column channel type varchar(99)", "TABLE public.call_leg"),
    "columns' order": changed("how", "alter table odd.mono_left drop column id; alter table odd.mono_left add id int", "TABLE odd.mono_left"),
    "column's storage": changed("how", "alter table transcript alter column body set storage external", "TABLE public.transcript"),
    "column's statistics target": changed("how", "alter table customer alter column region set statistics -1", "TABLE public.customer"),
    "table's fill factor": changed("how", "alter table odd.mono_rite set (fillfactor = 50)", "TABLE odd.mono_rite"),
    "unlogged became logged": changed("how", "alter table dialler_session set logged", "TABLE public.dialler_session"),
    "replica identity": changed("how", "alter table voicemail replica identity default", "TABLE public.voicemail"),
    "cluster mark": changed("how", "alter table agent_shift set without cluster", "CONSTRAINT public.agent_shift agent_shift_pkey"),
    "constraint's deferral": changed("how", "alter table script alter constraint script_campaign not deferrable", "FK CONSTRAINT public.script script_campaign"),
    "enum value renamed": changed("how", "alter type agent_status rename value 'left' to 'gone'", "TYPE public.agent_status"),
    "enum value more": changed("how", "alter type call_direction add value 'fax'", "TYPE public.call_direction"),
    "domain's check dropped": changed("how", "alter domain e164 drop constraint e164_form", "DOMAIN public.e164"),
    "domain's default": changed("how", "alter domain percentage drop default", "DOMAIN public.percentage"),
    "sequence's step": changed("how", "alter sequence ticket_number increment by 1", "SEQUENCE public.ticket_number"),
    "sequence's owner column": missing("how", "alter sequence callback_id_seq owned by none", "SEQUENCE OWNED BY public.callback_id_seq") ,
    "statistics object's target": changed("how", "alter statistics call_queue_disposition set statistics -1", "STATISTICS public.call_queue_disposition"),
    "publication's column list": changed("how", "alter publication warehouse set table customer (id), disposition, call", "PUBLICATION TABLE public.warehouse customer"),
    "publication's operations": changed("how", "alter publication warehouse set (publish = 'insert')", "PUBLICATION -.warehouse"),
    "foreign server's option": changed("how", "alter server billing options (set host 'other.example.com')", "SERVER -.billing"),
    "extension's schema": changed("how", "alter extension unaccent set schema odd", "EXTENSION -.unaccent"),
    "comment changed": changed("how", """comment on table "Do Not Call" is 'x'""", 'COMMENT public.TABLE "Do Not Call"'),
    # --- who owns it, who may use it
    "table's owner": rows("who", "alter table callback owner to postgres", "public callback postgres"),
    "partition's owner": rows("who", "alter table call_default owner to postgres", "public call_default postgres"),
    "view's owner": changed("who", "alter view archive.stale owner to crm_owner", "VIEW archive.stale"),
    "function's owner": changed("who", "alter function fold(text) owner to postgres", "FUNCTION public.fold(text)"),
    "type's owner": changed("who", "alter type agent_status owner to postgres", "TYPE public.agent_status"),
    "schema's owner": changed("who", "alter schema archive owner to postgres", "SCHEMA -.archive"),
    "table's grant lost": changed("who", "revoke select on call from crm_readonly", "ACL public.TABLE call"),
    "column's grant lost": missing("who", "revoke select (region) on customer from crm_readonly", "ACL public.COLUMN customer.region"),
    "column's grant option lost": changed("who", "revoke grant option for update (note) on customer from \"i.țăranu\" cascade",
                                          "ACL public.COLUMN customer.note"),
    "grant option lost": changed("who", "revoke grant option for execute on function seconds(timestamptz, timestamptz, int[]) from crm_readonly",
                                 "ACL public.FUNCTION seconds("),
    "one grant too many": changed("who", "grant select on customer to public", "ACL public.TABLE customer"),
    "sequence's grant": changed("who", "grant all on sequence ticket_number to public", "ACL public.SEQUENCE ticket_number"),
    "type's grant": missing("who", "grant usage on type postal_address to public", "ACL public.TYPE postal_address"),
    "domain's grant": missing("who", "revoke usage on type e164 from crm_app", "ACL public.TYPE e164"),
    "foreign server's grant": missing("who", "revoke usage on foreign server billing from crm_owner", "ACL -.FOREIGN SERVER billing"),
    "default privileges lost": changed("who", "alter default privileges for role crm_owner in schema public revoke select on tables from crm_readonly",
                                       "DEFAULT ACL public.DEFAULT PRIVILEGES FOR TABLES"),
    "global default privileges lost": missing("who", "alter default privileges for role crm_owner grant execute on functions to public",
                                              "DEFAULT ACL -.DEFAULT PRIVILEGES FOR FUNCTIONS"),
    "public schema's grant": changed("who", "grant create on schema public to public", "ACL -.SCHEMA public"),
    "extension function's grant": changed("who", "grant execute on function pgp_sym_decrypt(bytea, text) to public", "ACL public.FUNCTION pgp_sym_decrypt(bytea, text)"),
    "system function's grant": missing("who", "revoke execute on function pg_catalog.pg_ls_waldir() from crm_owner", "ACL pg_catalog.FUNCTION pg_ls_waldir("),
    "database's grant": changed("the database's grant alone", "grant connect on database crm to public", "ACL -.DATABASE crm"),
    "database's comment": changed("the database's comment alone", "comment on database crm is 'x'", "COMMENT -.DATABASE crm"),
    "database's setting lost": Damage("who", "alter database crm reset timezone", DATABASE, "database_settings"),
    "database's connection limit": Damage("who", "alter database crm connection limit 3", DATABASE, "connection_limit"),
    "publication's owner": changed("who", "alter publication warehouse owner to postgres", "PUBLICATION -.warehouse"),
    "extension's object lost": Damage("who", "alter extension unaccent drop function unaccent(text)", MADE, "other members of extension unaccent"),
    "foreign key for replicas only": Damage(
        "who", "do $$ declare t text; begin for t in select tgname from pg_trigger where tgisinternal and tgrelid = 'callback'::regclass"
        " loop execute format('alter table callback enable replica trigger %I', t); end loop; end $$", DATABASE, "disabled_constraints"),
    "role's setting lost": Damage("who", "alter role crm_report reset default_transaction_read_only", ROLES, "ALTER ROLE crm_report"),
    "role's setting in the database": changed("who", "alter role crm_app in database crm reset lock_timeout", "DATABASE PROPERTIES -.crm"),
    "role became superuser": Damage("who", "alter role crm_app superuser", ROLES, "ALTER ROLE crm_app"),
    "role lost bypassrls": Damage("who", "alter role ccdr_backup nobypassrls", ROLES, "ALTER ROLE ccdr_backup"),
    "role's validity": Damage("who", "alter role \"i.țăranu\" valid until 'infinity'", ROLES, 'ALTER ROLE "i.țăranu"'),
    "role's comment": Damage("who", "comment on role crm_owner is 'x'", ROLES, "COMMENT ON ROLE"),
    "role more": Damage("who", "create role intruder login superuser", ROLES, "CREATE ROLE intruder"),
    "membership lost": Damage("who", "revoke crm_readonly from crm_report", ROLES, "GRANT crm_readonly TO"),
    "parameter's grant": Damage("who", "revoke set on parameter log_min_duration_statement from crm_owner", ROLES, "GRANT SET ON"),
    "database's owner": changed("owner", "alter database crm owner to postgres", "DATABASE -.crm"),
    "role missing": Damage("owner", "reassign owned by \"i.țăranu\" to postgres; drop owned by \"i.țăranu\"; drop role \"i.țăranu\"",
                           ROLES, 'CREATE ROLE "i.țăranu"'),
    "membership's option": Damage("owner", "grant crm_readonly to crm_report with set true", ROLES, "GRANT crm_readonly TO"),
    "role's password": Damage("owner", "alter role crm_app password 'another'", ROLES, "ALTER ROLE crm_app"),
}  # fmt: skip

# Nothing of this changes what a user of the database sees: order of rows, dead ones, statistics, reindexed indexes.
HARMLESS = """
cluster agent_shift; update odd.wide set filler = filler; delete from odd.wide where id = 3; insert into odd.wide values (3, 'xxx');
vacuum analyze; reindex table customer; refresh materialized view queue_day; checkpoint; set timezone = 'Asia/Tokyo';
"""

MORE = """
create type call_state_unused as enum ('a', 'b');
create type odd_pair as (a int, b int);
create function odd_of(text) returns odd_pair language sql immutable as 'select row (1, 2)::public.odd_pair';
create cast (text as odd_pair) with function odd_of(text);
create operator public.=~~= (function = pg_catalog.texteq, leftarg = text, rightarg = text);
"""


@pytest.fixture(scope="module")
def centre(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The sample contact centre, small, backed up once."""
    with sample_centre(source, ODD + MORE) as name:
        site = Site(tmp_path_factory.mktemp("centre"))
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
        site.backed_up()
        yield site


@pytest.fixture(scope="module")
def harmed(centre: Site) -> Callable[[str], RestoreTest]:
    """The restore test in which all damages of a group were done; done once for each group."""

    @cache
    def harm(group: str) -> RestoreTest:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compared, "NAMED", 10_000)  # a result names a few differences; here they all count
            sql = "".join(f"{d.sql};\nreset all;\n" for d in DAMAGE.values() if d.group == group)
            return centre.damaged_test(sql_damage(sql, "crm"))

    return harm


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_after_restore_fails(harmed: Callable[[str], RestoreTest], name: str) -> None:
    damage = DAMAGE[name]
    done = harmed(damage.group)
    assert done.checks, done.reason
    assert (done.verdict, int(done.exit_code)) == (Verdict.FAIL, 1)
    result = next(c for c in done.checks if c.name == damage.result)
    assert result.status is Verdict.FAIL, result
    assert re.search(re.escape(damage.named.rstrip(": (")) + r"(?!\w)", result.actual), result.actual


def test_undamaged_twin_passes(centre: Site) -> None:
    done = centre.damaged_test(sql_damage(HARMLESS, "crm"))
    assert done.verdict is Verdict.PASS, (done.reason, done.checks)
    assert {c.status for c in done.checks} == {Verdict.PASS}
    tables = next(c for c in done.checks if c.name == TABLES)
    assert "in another row order" in tables.actual


def test_one_damage_among_many_objects_is_enough(centre: Site) -> None:
    """The first six differences are named in the record, and how many more there are."""
    done = centre.damaged_test(sql_damage("drop schema odd cascade", "crm"))
    tables = next(c for c in done.checks if c.name == TABLES)
    assert done.verdict is Verdict.FAIL and f"and {len(LOOKALIKES) + 3 - compared.NAMED} more" in tables.actual
    assert done.reason and "tables" in done.reason


def test_after_all_of_it_nothing_is_left_and_the_ledger_holds(centre: Site) -> None:
    centre.ledger_holds()
    assert not {r["run"] for r in centre.records("restore_test.end")} & {
        name.removeprefix("ccdr-") for name in containers()
    }
    assert not list((centre.state / "scratch").glob("run-*"))
    assert all(r["disposal"]["left_behind"] == [] for r in centre.records("restore_test.end"))


@pytest.mark.parametrize("added", [True, False], ids=["added to an extension", "of its own"])
def test_what_no_dump_holds_of_an_extension_is_missed(source: Source, site: Site, database: str, added: bool) -> None:
    source.psql("create extension citext; create function ours() returns int language sql as 'select 1'", database)
    if added:
        source.psql("alter extension citext add function ours()", database)
    site.crm(source, database, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
    site.backed_up()
    done = site.run("test", "p")
    assert done.json["verdict"] == ("FAIL" if added else "PASS"), done
    (found,) = [c for c in done.json["checks"] if c["name"] == MADE]
    assert (found["actual"] == "differs: function public.ours()") is added, found
