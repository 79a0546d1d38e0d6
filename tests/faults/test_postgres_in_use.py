"""PostgreSQL servers as people run them: somebody truncates, refreshes, locks, sets odd settings, writes past the rules.
A healthy one is backed up and passes; what it holds amiss is told with its name."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.cluster import cluster
from tests.support.harness import Quiet, Ran, Site, Source, eventually, small_database, texts
from tests.support.inside import inside
from tests.support.stored import LIMITS, again, pristine

from ccdr.engines.postgres.dump.capture import Dumper, redefined
from ccdr.jobs.backup import backup
from ccdr.plans.job import Job

IDENTICAL = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
BIG = 20_000  # rows, some kilobyte each: a dump takes long enough to be waited for


@pytest.fixture(scope="module")
def used(source: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, Path, str]]:
    with small_database(source, "used") as name:
        source.psql(
            f"create table big as select g, repeat(md5(g::text), 32) v from generate_series(1, {BIG}) g;"
            "create table staging as select generate_series(1, 7) g;"
            "create materialized view busy as select count(*) from call",
            name,
        )
        site = Site(tmp_path_factory.mktemp(name))
        site.crm(source, name, LIMITS, checks=IDENTICAL)
        yield site, pristine(site), name


@pytest.fixture
def crm(used: tuple[Site, Path, str]) -> Site:
    site, kept, _ = used
    return again(site, kept)


@pytest.fixture
def dbname(used: tuple[Site, Path, str]) -> str:
    return used[2]


def manifest(site: Site) -> dict[str, Any]:
    catalogue = site.services().catalogue
    return dict(catalogue.manifest(catalogue.snapshots("p", "crm")[-1]).contents)


def checked(site: Site) -> Ran:
    """A backup and its test, which must both be good."""
    site.backed_up()
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"])
    return done


# --- who works there meanwhile ------------------------------------------------------------------------------------

# As soon as a dump has its lock on the table, somebody wants to truncate it, and waits for the dump to end; again
# and again.
WAITS = """
do $$ begin
  while not exists (select from pg_locks where relation = 'staging'::regclass and mode = 'AccessShareLock'
                      and pid <> pg_backend_pid()) loop
    perform pg_sleep(0.002);
  end loop;
end $$;
refresh materialized view busy;
begin; truncate staging; insert into staging select generate_series(1, 7); commit;
"""


@contextlib.contextmanager
def truncating(source: Source, database: str) -> Iterator[None]:
    argv = [*inside(source.container), "psql", "-XqAt", "-h", "/sockets", "-U", "postgres", "-d", database, "-f", "-"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stdin
        process.stdin.write("set application_name = truncating;" + WAITS * 9)
        process.stdin.flush()
        try:
            yield
        finally:
            left = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'truncating'"
            source.psql(left)
            process.kill()


@pytest.mark.parametrize("method", ["dump", "stream"])
def test_who_waits_for_the_dump_to_end_does_not_spoil_it(crm: Site, source: Source, dbname: str, method: str) -> None:
    """TRUNCATE commits as soon as the dump's locks go, a REFRESH at any time: the dump holds what it should. A worker of
    a parallel dump is not given its lock behind one who waits: then one connection alone dumps all."""
    crm.crm(source, dbname, f"method: {method}\n{LIMITS}", checks=IDENTICAL)
    with truncating(source, dbname):
        crm.backed_up()
    tables: Any = manifest(crm)["tables"]
    assert tables["public staging postgres"]["rows"] == 7


# Each is open when the dump begins, and is committed once the dump waits for its locks: by name, in its old snapshot.
COLUMNS = """
alter table moved add note2 text; update moved set note2 = upper(note);
alter table moved drop note; alter table moved rename note2 to note;
"""
NAMES = """
insert into moved_next select g, 'NEW' from generate_series(1, 400) g;
alter table moved rename to moved_old; alter table moved_next rename to moved; alter table moved_old rename to moved_next;
"""
MOVED = """
create table moved as select g, 'old' as note from generate_series(1, 300) g;
create table moved_next (g int, note text);
"""
NEW = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: sql, name: new, query: "select count(*) > 0 and bool_and(note = upper(note)) from moved", expect: t}
"""


@pytest.mark.parametrize(
    ("method", "migration", "rows"), [("dump", COLUMNS, 300), ("dump", NAMES, 400), ("stream", NAMES, 400)]
)
def test_names_that_pass_to_others_while_the_dump_waits(
    crm: Site, source: Source, dbname: str, method: str, migration: str, rows: int
) -> None:
    """Neither the column that is NULL in every old row is dumped, nor the table that was filled after the snapshot: it
    is dumped again. Done before the backup begins, it is dumped once."""
    crm.crm(source, dbname, f"method: {method}\nlimits: {{lock_wait: 1m}}", checks=NEW)
    source.psql(MOVED, dbname)
    waiting = "select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())"
    try:
        with source.session(f"begin; {migration}", dbname) as holder:
            backup = crm.start("backup", "p", "--json")
            assert eventually(lambda: source.psql(waiting, dbname).strip() != "0", 60)
            assert holder.stdin
            holder.stdin.write("commit;\n")
            holder.stdin.flush()
            said, errors = backup.communicate(timeout=120)
        assert backup.returncode == 0, (said, errors)
        tables: Any = manifest(crm)["tables"]
        assert tables["public moved postgres"]["rows"] == rows
        done = crm.run("test", "p")
        assert done.json["verdict"] == "PASS", (done.json["reason"], done.json["checks"])
        checked(crm)
    finally:
        source.psql("drop table moved, moved_next", dbname)


# What pg_dump reads of each object is what that is at present, though it lists them in its snapshot.
MADE = """
create table guarded (id int primary key, v int, note text);
create function watch() returns trigger language plpgsql as 'begin return new; end';
create trigger guard before update on guarded for each row execute function watch();
create index guarded_v on guarded (v);
create function priced(n int default 1) returns int language sql as 'select n';
create type level as enum ('low', 'high');
create table levels as select 'low'::level as l;
create view seen as select id from guarded; create view seen_too as select v as id from guarded;
create view of_seen as select id from seen;
create statistics guarded_s on id, v from guarded; alter table guarded add constraint positive check (v > 0);
create domain cents as int check (value > 0);
"""
UNMADE = """
drop view of_seen, seen, seen_too; drop table guarded, levels; drop function watch, priced; drop type level;
drop domain cents;
"""
REDEFINED = {
    "trigger": (
        "drop trigger guard on guarded;"
        "create trigger guard before update on guarded for each row execute function watch()"
    ),
    "index": "drop index guarded_v; create index guarded_v on guarded (v)",
    "function": "create or replace function priced(n int default 2) returns int language sql as 'select n * 2'",
    "labels": (
        "alter type level rename value 'low' to 'x'; alter type level rename value 'high' to 'low';"
        "alter type level rename value 'x' to 'high'"
    ),
    "view": "drop view of_seen; create view of_seen as select id from seen",
    "views' names": (
        "alter view seen rename to x; alter view seen_too rename to seen; alter view x rename to seen_too"
    ),
    "statistics": "drop statistics guarded_s; create statistics guarded_s on id, v from guarded",
    "constraint": ("alter table guarded drop constraint positive, add constraint positive check (v > 0) not valid"),
    "domain": "alter domain cents drop constraint cents_check; alter domain cents add check (value > 1)",
}
# What goes on at any server, and alters nothing that a dump holds.
BUSY = """
begin; drop trigger guard on guarded; drop view of_seen; rollback;
drop table pg_temp.work cascade; vacuum guarded; analyze; refresh materialized view busy; reindex index guarded_v;
create table new_one (id serial primary key); drop table new_one; grant select on guarded to postgres;
create temp table more (id int primary key); drop table more;
"""
TEMPORARY = """
create temp table work (id serial primary key, v int check (v > 0));
create index on pg_temp.work (v); create view pg_temp.v as select * from work;
create trigger t before update on pg_temp.work for each row execute function watch();
create function pg_temp.f() returns int language sql as 'select 1';
"""


def attempts(monkeypatch: pytest.MonkeyPatch, meanwhile: Iterator[Callable[[], object]]) -> list[Path]:
    """The dumps that are begun; between each one's snapshot and pg_dump the next of these is done."""
    really, begun = Dumper._written, list[Path]()

    def written(dumper: Dumper, argv: Any, dump: Path, env: Any) -> Any:
        begun.append(dump)
        next(meanwhile, lambda: None)()
        return really(dumper, argv, dump, env)

    monkeypatch.setattr(Dumper, "_written", written)
    return begun


@pytest.fixture
def guarded(crm: Site, source: Source, dbname: str) -> Iterator[Site]:
    crm.crm(source, dbname, LIMITS, checks=IDENTICAL)
    source.psql(MADE, dbname)
    yield crm
    source.psql(UNMADE, dbname)


def stored(site: Site) -> None:
    result = backup(Job(site.loaded(), "crm"), site.services(), Quiet())
    assert result.result == "STORED", result


def asked(session: subprocess.Popen[str], sql: str) -> str:
    assert session.stdin and session.stdout
    session.stdin.write(f"{sql}\n\\echo over\n")
    session.stdin.flush()
    return "".join(iter(session.stdout.readline, "over\n"))


def test_what_is_defined_anew_while_the_dump_begins_is_dumped_again(
    guarded: Site, source: Source, dbname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a trigger or an index that is dropped and made again pg_dump would write an empty statement."""
    changes = (REDEFINED[which] for which in ("trigger", "index", "view"))
    begun = attempts(monkeypatch, (partial(source.psql, f"begin; {sql}; commit", dbname) for sql in changes))
    stored(guarded)
    assert len(begun) == 4
    done = guarded.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"])


def test_each_object_that_is_defined_anew_is_named(guarded: Site, source: Source, dbname: str) -> None:
    named = {}
    for which, sql in REDEFINED.items():
        with source.session("begin isolation level repeatable read; select 1 \\g /dev/null", dbname) as snapshot:
            source.psql(f"begin; {sql}; commit", dbname)
            named[which] = redefined(partial(asked, snapshot), lambda sql: source.psql(sql, dbname))
    assert named == {
        "trigger": {"guard"},
        "index": {"guarded_v"},
        "function": {"priced"},
        "labels": {"level"},
        "view": {"of_seen", "_of_seen", "_RETURN"},
        "views' names": {"seen", "_seen", "seen_too", "_seen_too"},
        "statistics": {"guarded_s"},
        "constraint": {"positive"},
        "domain": {"cents_check"},
    }


def test_busy_server_is_dumped_once(
    guarded: Site, source: Source, dbname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with source.session(TEMPORARY, dbname) as other:
        begun = attempts(monkeypatch, iter([partial(asked, other, BUSY)]))
        stored(guarded)
    assert len(begun) == 1


def test_who_keeps_a_lock_is_named_and_what_it_asks_is_not(crm: Site, source: Source, dbname: str) -> None:
    # However busy the machine is, who keeps it is looked for before it is given up.
    crm.crm(source, dbname, "limits: {lock_wait: 8s, no_progress: 1m}", checks=IDENTICAL)
    asks = "select 'Ionescu 0722000001' from customer"
    with source.session(f"set application_name = 'night job'; begin; lock table call; {asks};", dbname):
        done = crm.run("backup", "p")
    assert (done.code, done.json["result"]) == (1, "FAILED"), done
    said = done.json["reason"]
    assert "public.call" in said and "role postgres, night job" in said and "since 20" in said and "process " in said
    assert "Ionescu" not in json.dumps(crm.records()) + done.stdout


# --- how it is set -----------------------------------------------------------------------------------------------


def test_settings_names_and_comments_that_look_like_something_else(crm: Site, source: Source, dbname: str) -> None:
    """Names are compared, not lines, also names with Unicode's ends of lines in them; nobody's time limits hold for us.
    The sandbox takes an extension's settings."""
    settings = {
        "statement_timeout": 1,
        "idle_session_timeout": 300,
        "quote_all_identifiers": "on",
        "client_encoding": "latin1",
        "standard_conforming_strings": "off",
    }
    for name, value in settings.items():  # not all names of its customers are Latin-1
        source.psql(f"alter database {dbname} set {name} = {value}")
    source.psql(
        "alter role all set work_mem = '8MB'; alter role all set ccdr.tenant = 'x y\u2028\x85z';"
        'create role "next\u2028line"; create table "next\x85line" ("of\u2029it" int);'
        "create role commented; comment on role commented is "
        """E'a\nCREATE ROLE postgres;\nALTER ROLE ALL SET "work_mem" TO ''8MB'';\nit''s'"""
    )
    try:
        more = '\nserver_settings: {pg_stat_statements.max: "1000"}'
        crm.crm(source, dbname, LIMITS + more, checks=IDENTICAL)
        checked(crm)
    finally:
        source.psql(f"alter role all reset all; drop role commented; alter database {dbname} reset all")
        source.psql('drop role "next\u2028line"; drop table if exists "next\x85line"', dbname)


def test_first_superuser_that_is_named_by_a_keyword(tmp_path: Path) -> None:
    """As `POSTGRES_USER=user` makes it: pg_dumpall quotes that name, quote_ident does not."""
    with cluster(tmp_path / "server") as server:
        server.psql(
            "create role other superuser login; create table t as select 1 a; grant select on t to other", "postgres"
        )
        server.run(
            "psql", "-X", "-q", "-h", "/sockets", "-U", "other", "-d", "postgres", "-c", 'alter role postgres rename to "user"'
        )  # fmt: skip
        site = Site(tmp_path)
        site.crm(server, "postgres", LIMITS, checks=IDENTICAL)
        plan = site.root / "plans" / "p.yaml"
        plan.write_text(plan.read_text().replace("user: postgres", "user: user"))
        checked(site)


# --- who backs it up ----------------------------------------------------------------------------------------------

OWNERS = """
create role used_owner; create role used_backup login noinherit;
create schema hidden authorization used_owner; revoke all on schema public from public;
set role used_owner;
create table hidden.secret (id serial primary key, v text); insert into hidden.secret (v) values ('x'), ('y');
alter table hidden.secret enable row level security; alter table hidden.secret force row level security;
create policy nobody on hidden.secret using (false);
select lo_from_bytea(4711, 'voice') \\g /dev/null
reset role;
"""


def test_what_init_prints_is_enough_at_once(site: Site, source: Source, database: str) -> None:
    """For a role that inherits nothing by itself, and a database of several owners."""
    source.psql(OWNERS, database)
    try:
        url = f"postgresql://used_backup@/{database}?host={source.sockets}"
        made = site.run("init", url, "--repository", str(site.repo), "--name", "p")
        assert made.code == 1 and len(made.json["findings"]) == 3, made
        for said in made.json["findings"]:
            source.psql(said.partition("as a superuser in that database: ")[2], database)
        done = site.run("backup", "p")
        assert done.code == 0, done
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (0, "PASS"), (done.json["reason"], done.json["checks"])
        again = site.run("init", url, "--repository", str(site.repo), "--name", "p", "--force")
        assert (again.code, again.json["findings"]) == (0, []), again
    finally:
        source.psql("drop owned by used_owner, used_backup cascade", database)
        source.psql("drop role used_owner, used_backup")


# --- what it holds amiss -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dump", "stream"])
def test_rows_that_break_a_foreign_key_at_the_source(crm: Site, source: Source, dbname: str, method: str) -> None:
    """Told when they are backed up, and the test that cannot load them says whose they are. Mended, all is well."""
    crm.crm(source, dbname, f"method: {method}\n{LIMITS}", checks=IDENTICAL)
    source.psql(
        "set session_replication_role = replica;"
        "insert into call (id, customer_id, state, started_at) values (-1, 722000019, 'lost', now()), (-2, 888, 'lost', now())",
        dbname,
    )
    try:
        done = crm.run("backup", "p")
        assert (done.code, done.json["result"]) == (1, "STORED"), done
        (said,) = texts(done.json["findings"])
        assert "the source itself holds 2 rows" in said and "call_customer_id_fkey of public.call" in said
        done = crm.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
        assert "the source itself held 2 rows" in done.json["reason"] and "call_customer_id_fkey" in done.json["reason"]
        assert "722000019" not in json.dumps(crm.records()), "a row's values are nobody's business"
    finally:
        source.psql("delete from call where id < 0", dbname)
    if method == "dump":
        checked(crm)


def test_rows_that_break_a_foreign_key_after_the_snapshot_are_none_of_the_dumps(
    crm: Site, source: Source, dbname: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm.crm(source, dbname, LIMITS, checks=IDENTICAL)
    really = Dumper._beside
    broken = (
        "set session_replication_role = replica;"
        "insert into call (id, customer_id, state, started_at) values (-3, 777, 'lost', now())"
    )

    def meanwhile(*args: Any) -> Any:
        source.psql(broken, dbname)
        return really(*args)

    monkeypatch.setattr(Dumper, "_beside", meanwhile)
    try:
        stored(crm)
        assert manifest(crm)["broken_keys"] == {}
    finally:
        source.psql("delete from call where id < 0", dbname)


def test_rows_that_a_constraint_does_not_vouch_for_are_none_that_break_it(
    crm: Site, source: Source, dbname: str
) -> None:
    """NOT VALID says so itself, and comes back so; marked valid by hand it does not load."""
    source.psql(
        "create table old (customer_id int); insert into old values (777), (null), (1);"
        "alter table old add constraint old_customer foreign key (customer_id) references customer not valid",
        dbname,
    )
    try:
        crm.backed_up()
        source.psql("update pg_constraint set convalidated = true where conname = 'old_customer'", dbname)
        done = crm.run("backup", "p")
        assert done.code == 1 and "1 row against the foreign key" in texts(done.json["findings"])[0], done
    finally:
        source.psql("drop table old", dbname)
