"""Restoring a database for real, onto another server: it is the source, whatever it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.centre import sample_centre
from tests.support.harness import Site, Source, small_database
from tests.support.restored_database import end, go
from tests.support.stored import assert_clean, with_repository
from tests.support.target import PASSWORD, Target

FACTS = """
select count(*), sum(hashtext(c::text)::bigint) from call c;
select tableowner from pg_tables where tablename = 'call';
select has_table_privilege('restored_reader', 'call', 'select');
select pg_get_userbyid(datdba), datconnlimit, (select array_agg(a::text order by a::text) from unnest(datacl) a),
  shobj_description(oid, 'pg_database') from pg_database where datname = current_database();
select coalesce(r.rolname, '-'), setconfig from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole
  where setdatabase = (select oid from pg_database where datname = current_database()) order by 1;
select rolname, rolpassword, rolcanlogin, rolvaliduntil, shobj_description(oid, 'pg_authid') from pg_authid where rolname like 'restored%' order by 1;
select roleid::regrole, member::regrole, admin_option from pg_auth_members where roleid::regrole::text ~ 'restored';
select convert_from(lo_get(oid), 'UTF8') from pg_largeobject_metadata;
select last_value from call_id_seq;
select extowner::regrole from pg_extension where extname = 'pgcrypto';
"""


def test_restored_database_is_the_source(site: Site, source: Source, target: Target) -> None:
    done = go(site, target.url("crm"))
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    assert target.databases == {"postgres", "template0", "template1", "crm"}
    assert target.psql(FACTS, "crm") == source.psql(FACTS, "restored")
    found = {(c["kind"], c["status"]) for c in done.json["checks"]}
    # What is written for the sandbox is not run against a server of people.
    assert found == {*((k, "PASS") for k in ("identical", "integrity", "rows", "freshness")), ("command", "SKIPPED")}
    assert {c["name"] for c in done.json["checks"]} >= {"tables", "sequences", "large objects", "roles"}
    record = end(site)
    assert record["target"] == {"kind": "server", "name": f"postgresql://dba@/crm?host={target.sockets}"}
    assert set(record["phases"]) == {"fetch", "load", "check", "finish"} and record["tools"]["target"].startswith("17")
    assert target.psql("select count(*) from pg_extension where extname = 'amcheck'", "crm") == "0"
    assert target.psql("select count(*) > 0 from pg_statistic where starelid = 'call'::regclass", "crm") == "t"
    text = "".join(p.read_text("utf-8", "replace") for p in (site.state / "ledger").glob("*.jsonl"))
    assert "secret" not in text and "SCRAM" not in text and "tefan" not in text
    assert_clean(site)


def test_everything_that_a_schema_can_hold_comes_back(source: Source, target: Target, tmp_path: Path) -> None:
    """The sample contact centre, with the corners of real schemas."""
    with sample_centre(source) as name:
        site = with_repository(Site(tmp_path))
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
        site.backed_up()
        done = go(site, target.url("crm"))
        assert done.code == 0, done
        assert {c["status"] for c in done.json["checks"]} == {"PASS"} and len(done.json["checks"]) == 10
        assert_clean(site)


# Views that other servers fill, or may: through a view, another materialised view, a function.
REACHING = """
create extension postgres_fdw; create extension dblink;
create server away foreign data wrapper postgres_fdw options (host '/nowhere');
create foreign table far (i int) server away;
create view between as select i from far; create materialized view "From far" as select i from between with no data;
create materialized view upon as select i from "From far" with no data;
create function reach() returns text language sql as $$
  select public.dblink_exec('host=/nowhere', 'insert into audit values (1)') $$;
create function own() returns int language sql as 'select 1';
create function opaque() returns bigint language plpgsql as 'begin return (select count(*) from public.far); end';
create materialized view through as select opaque() as n with no data;
create materialized view called as select reach() as a with no data;
create materialized view perhaps as select own() as i; create materialized view plain as select id from call;
create index on called (a);
set allow_system_table_mods = on;
update pg_class set relispopulated = true where relkind = 'm';
"""
FILLED = "select string_agg(relname, ' ' order by relname) from pg_class where relkind = 'm' and relispopulated"


def test_views_that_other_servers_fill_come_back_unfilled(source: Source, target: Target, tmp_path: Path) -> None:
    """On a real server what fills them would read, or write, what lives there; a sandbox reaches none."""
    with small_database(source, "reaching") as name:
        source.psql(REACHING, name)
        site = with_repository(Site(tmp_path))
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        filled = "{kind: sql, query: 'select count(*) > 0 from perhaps, plain', expect: true}"
        site.crm(source, name, checks=f"restore_test: crm\nchecks:\n  - {{kind: identical}}\n  - {filled}\n")
        assert "REFRESH" in str(site.backed_up().json["notes"])
        tested = site.run("test", "p")
        assert (tested.json["verdict"], tested.code) == ("PASS", 0), tested
        (objects,) = [c["actual"] for c in tested.json["checks"] if c["name"].startswith("objects")]
        assert objects.endswith(": public.From far, public.called, public.through, public.upon"), (
            "and not perhaps, plain"
        )
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
        site.backed_up()
        done = go(site, target.url("crm"))
        assert done.code == 0 and done.json["result"] == "RESTORED", done
        assert target.psql(FILLED, "crm") == ""
        notes = str(done.json["notes"])
        assert notes.count("REFRESH MATERIALIZED VIEW") == 6 and "away" in notes and 'public."From far"' in notes
        assert_clean(site)


# Views whose fill may write where the server runs, seen or through another function; and what surely does not.
OUTWARD = """
create function export() returns int language plpgsql as $$
  begin copy (select 1) to '/tmp/ccdr-exported'; return 1; end $$;
create function harmless_name() returns int language plpgsql as 'begin return public.export(); end';
create materialized view outward as select export() as n with no data;
create materialized view hidden as select harmless_name() as n with no data;
create extension hstore;
create materialized view plain as select count(*) as n from call;
create materialized view trusted as select 'a=>1'::hstore -> 'a' as a;
set allow_system_table_mods = on;
update pg_class set relispopulated = true where relkind = 'm';
"""


def test_views_whose_functions_may_write_elsewhere_come_back_unfilled(
    source: Source, target: Target, tmp_path: Path
) -> None:
    with small_database(source, "outward") as name:
        source.psql(OUTWARD, name)
        site = with_repository(Site(tmp_path))
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
        site.backed_up()
        done = go(site, target.url("crm"))
        assert done.code == 0 and done.json["result"] == "RESTORED", done
        assert target.psql("select pg_stat_file('/tmp/ccdr-exported', true) is null") == "t"
        assert target.psql(FILLED, "crm") == "plain trusted"
        assert str(done.json["notes"]).count("REFRESH MATERIALIZED VIEW") == 2
        assert site.run("test", "p").json["verdict"] == "PASS", "a sandbox is thrown away: there they are filled"


PAID = """
create table paid (amount money);
alter database {name} set lc_monetary = 'de_DE.utf8';
set lc_monetary = 'de_DE.utf8'; insert into paid values ('1.234,56 €');
grant alter system on parameter ccdr.thing to public;
"""


def test_money_is_read_as_it_was_written_and_what_all_may_set_is_told(
    source: Source, target: Target, tmp_path: Path
) -> None:
    with small_database(source, "paid") as name:
        source.psql(PAID.format(name=name), name)
        try:
            site = with_repository(Site(tmp_path))
            site.write("pw", f"{PASSWORD}\n", mode=0o600)
            site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n")
            site.backed_up()
        finally:
            source.psql("revoke alter system on parameter ccdr.thing from public", name)
        done = go(site, target.url("crm"))
        assert done.code == 0 and done.json["result"] == "RESTORED", done
        assert target.psql("select amount::numeric from paid", "crm") == "1234.56"
        assert any("PUBLIC" in note and "ccdr.thing" in note for note in done.json["notes"]), done.json["notes"]
        assert target.psql("select count(*) from pg_parameter_acl where parname = 'ccdr.thing'") == "0", (
            "the server is not this database's alone"
        )


def test_an_odd_name_in_place_of_an_empty_database(site: Site, target: Target) -> None:
    name = "a \"b\" 'c' $d/e\\f ; drop"
    quoted = '"' + name.replace('"', '""') + '"'
    target.psql(f"create database {quoted}")
    done = go(site, target.url(name), name=name)
    assert done.code == 0, done
    assert target.databases == {"postgres", "template0", "template1", name}
    assert target.psql(f"\\c {quoted.replace(chr(92), chr(92) * 2)}\nselect count(*) from call", check=False) in (
        "3000",
        "",
    )
    target.psql(f"alter database {quoted} rename to crm")
    assert target.psql("select count(*) from call", "crm") == "3000"


def test_roles_of_the_server_are_left_as_they_are(site: Site, target: Target) -> None:
    target.psql(
        "create role restored_owner login password 'their own' connection limit 3; alter role restored_owner set work_mem = '8MB'"
    )
    asked = "select a.rolpassword, r.rolconnlimit, r.rolconfig from pg_authid a join pg_roles r on r.oid = a.oid where a.rolname = 'restored_owner'"
    before = target.psql(asked)
    shown = go(site, target.url("crm"), "--dry-run").json["would_restore"]
    assert any("creates the roles" in said and "restored_owner" not in said for said in shown["will"]), shown
    done = go(site, target.url("crm"))
    assert done.code == 0 and target.psql(asked) == before, done
    (roles,) = [c for c in done.json["checks"] if c["name"] == "roles"]
    assert "restored_owner" in roles["actual"] and roles["status"] == "PASS"


def test_the_client_of_an_image_serves_where_the_host_has_none(site: Site, target: Target) -> None:
    bins = site.root / "bin"
    bins.mkdir()
    for program in ("restic", "sh", "sha256sum", "wc", "sort", "bash", "cat", "chmod", "sync"):
        (bins / program).symlink_to(str(shutil.which(program)))
    done = go(site, target.url("crm"), env={"PATH": str(bins)})
    assert done.code == 0, done
    assert target.psql("select count(*) from call", "crm") == "3000"
    assert_clean(site)


def test_the_dump_itself_into_a_directory(site: Site) -> None:
    done = go(site, str(site.root / "dump"), name="dump")
    assert done.code == 0, done
    assert {p.name for p in (site.root / "dump").iterdir()} == {
        "dump", "roles.sql", "globals.sql", "settings.json", "toc.list", "ccdr-manifest.json",
    }  # fmt: skip
    assert "TABLE DATA public call" in (site.root / "dump" / "toc.list").read_text()
    assert (site.root / "dump").stat().st_mode & 0o777 == 0o700
    assert {c["status"] for c in done.json["checks"]} == {"PASS", "SKIPPED"}
    assert_clean(site)


def test_what_a_new_database_has_by_itself_goes_where_the_source_had_dropped_it(
    source: Source, target: Target, tmp_path: Path
) -> None:
    """In a sandbox as on a server; what nobody dropped stays."""
    there = "select to_regnamespace('public') is null, (select count(*) from pg_extension where extname = 'plpgsql')"
    with small_database(source, "dropped") as name:
        source.psql(
            "create schema own; alter table call set schema own; drop schema public cascade; drop extension plpgsql",
            name,
        )
        site = with_repository(Site(tmp_path))
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.crm(source, name, checks="restore_test: crm\nchecks:\n  - {kind: identical}\n  - {kind: integrity}\n")
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), done
        done = go(site, target.url("crm"))
        assert done.code == 0 and target.psql(there, "crm") == source.psql(there, name) == "t|0", done
