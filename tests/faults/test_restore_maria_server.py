"""Restoring a MariaDB database for real, onto another server: never the source, never over anything, all or nothing.

One target server for this file, its event scheduler on; each test drops its databases and users there again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.erased import added
from tests.support.harness import Quiet, Ran, Site, eventually
from tests.support.mariadb_source import (
    CHECKS,
    PASSWORD,
    USER,
    ZONES,
    MariaSource,
    _text,
    crm,
    mariadb_server,
    small_database,
)
from tests.support.sites import copy_of
from tests.support.stored import assert_clean, settled_file, with_repository
from tests.support.stored import copy_of as with_own_repository

from ccdr.engines.mariadb.dump.fitness import UNFINISHED
from ccdr.engines.mariadb.dump.load import Writer
from ccdr.engines.mariadb.dump.target import MariaDBTarget as Restoration
from ccdr.jobs.restore import Request, restoring
from ccdr.model.values import Verdict
from ccdr.plans.job import Job
from ccdr.ports.place import Source

SYSTEM = {"information_schema", "mysql", "performance_schema", "sys"}
OURS = {"dba@localhost", "mariadb.sys@localhost"}
# What names its own database; what must not fire; a table whose load a test can hold up; tables that are views of others.
MORE = r"""
create table numbered (id int primary key default nextval(ticket), x int, at datetime default now());
insert into numbered (x) values (1), (2);
create view named as select restored.minutes_of(seconds) as m, c.id from restored.`call` c;
create view across as select c.id, t.name as zone from restored.`call` c left join mysql.time_zone_name t on false;
create view yesterdays as select count(*) as n from a_last;
create event busy on schedule every 1 second do insert into agent_log (event) values ('fired');
alter event tick disable;
create table part1 (id int) engine=myisam; create table part2 (id int) engine=myisam;
insert into part1 values (1); insert into part2 values (2);
create table both_parts (id int) engine=merge union=(part1, part2);
create user restored_admin@'%' identified by 'x'; grant all privileges on *.* to restored_admin@'%' with grant option;
create definer=restored_admin@'%' view admins as select id from customer;
create table debt (id int primary key, paid int check (paid >= 0));
set session check_constraint_checks = 0; insert into debt values (1, -5); set session check_constraint_checks = 1;
create table slow (id int, filler varchar(2000));
insert into slow select seq, repeat('x', 2000) from seq_1_to_2000;
"""


@pytest.fixture(scope="module")
def target() -> Iterator[MariaSource]:
    with mariadb_server("--event-scheduler=ON", "--skip-log-bin", "--sql-mode=") as made:
        made.sql(f"create user dba@localhost identified by {_text(PASSWORD)}")
        made.sql("grant all privileges on *.* to dba@localhost with grant option")
        yield made


def databases(server: MariaSource) -> set[str]:
    return set(server.sql("select schema_name from information_schema.schemata").splitlines()) - SYSTEM


def users(server: MariaSource) -> set[str]:
    return set(server.sql("select concat(user, '@', host) from mysql.user where user <> 'root'").splitlines()) - OURS


@pytest.fixture(autouse=True)
def clean(target: MariaSource) -> Iterator[None]:
    """The target as it was: nothing of a test stays."""
    yield
    for database in databases(target):
        target.sql("drop database `{}`".format(database.replace("`", "``")))
    for account in users(target):
        user, _, host = account.rpartition("@")
        quoted = "`{}`".format(user.replace("`", "``"))
        target.sql(f"drop user {quoted}@`{host}`" if host else f"drop role {quoted}")


@pytest.fixture(scope="module")
def stored(maria: MariaSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with small_database(maria, "restored") as name:
        maria.sql(MORE, name)
        maria.sql("create procedure by_another() select 1\r\n/* written\r\nelsewhere */;", name)
        site = with_repository(Site(tmp_path_factory.mktemp(name)))
        crm(site, maria, name)
        maria.sql(f"{ZONES}\nset global block_encryption_mode = 'aes-256-cbc', init_connect = 'do 0', read_only = off")
        site.backed_up()
        maria.sql("set global block_encryption_mode = default, init_connect = default")
        maria.sql("".join(f"truncate mysql.time_zone{t};" for t in ("", "_name", "_transition", "_transition_type")))
        yield site
        maria.sql("drop user restored_admin@'%'")


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    made = copy_of(stored, tmp_path / "site")
    made.write("pw", f"{PASSWORD}\n", mode=0o600)
    return made


def url(server: MariaSource, database: str, user: str = "dba") -> str:
    return f"mysql://{user}@/{quote(database, safe='')}?socket={server.sockets}"


def go(site: Site, to: str, *args: str, name: str = "restored", env: dict[str, str] | None = None) -> Ran:
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", name]
    return site.run("restore", "p", "--asset", "crm", "--to", to, *login, *args, env=env)


def end(site: Site) -> dict[str, Any]:
    assert len(site.records("restore.start")) == len(site.records("restore.end"))
    return site.records("restore.end")[-1]


def untouched(target: MariaSource) -> None:
    assert (databases(target), users(target)) == (set(), set())
    assert target.sql("select count(*) from mysql.db where db like '%ccdr%' or db like 'restored%'") == "0"


# --- it restores ----------------------------------------------------------------------------------------------------

FACTS = """
select count(*), sum(crc32(concat_ws('|', id, customer_id, state, started_at, ended_at, seconds, cost, ratio))) from `call`;
select count(*), sum(crc32(concat_ws('|', id, name, hex(voice), settings, token, hidden, note))) from customer;
select * from live_agent order by 1; select count(*) from agent_log_archive; select * from `odd ``name``; 'ș'`;
select *, row_start < row_end from rule for system_time all order by 1, 2;
select count(*) from both_parts; select count(*), sum(m) from named; select count(*) from across;
select * from a_last; select * from yesterdays; select count(*) from admins; select * from debt;
select table_name, engine, table_collation, table_comment from information_schema.tables
  where table_schema = database() order by 1;
select event_name, definer, status, event_definition, interval_value from information_schema.events
  where event_schema = database() order by 1;
select trigger_name, definer, action_order, action_statement, sql_mode from information_schema.triggers
  where trigger_schema = database() order by 1;
select routine_name, definer, routine_definition, sql_mode from information_schema.routines
  where routine_schema = database() order by 1;
select default_character_set_name, default_collation_name, schema_comment from information_schema.schemata
  where schema_name = database();
"""
GRANTS = "show grants for restored_user@'10.%'; show grants for restored_reader; show create user restored_user@'10.%';"


def test_restored_database_is_the_source(site: Site, maria: MariaSource, target: MariaSource) -> None:
    done = go(site, url(target, "restored"))
    assert done.code == 0 and done.json["result"] == "RESTORED", done.stdout + done.stderr
    assert databases(target) == {"restored"}
    events = dict(row.split("\t") for row in target.sql(
        "select event_name, status from information_schema.events where event_schema = 'restored'").splitlines())  # fmt: skip
    assert events and set(events.values()) == {"DISABLED"}
    for note in (note for note in done.json["notes"] if note.startswith("silenced: event ")):
        target.sql(note.partition("`")[2].removesuffix("`"))
    assert eventually(lambda: target.sql("select count(*) from agent_log where event = 'fired'", "restored") != "0")
    target.sql("drop event busy", "restored")
    expected = maria.sql(
        FACTS.replace(
            "  where event_schema = database()", "  where event_schema = database() and event_name <> 'busy'"
        ),
        "restored",
    )
    found = target.sql(
        FACTS.replace(
            "  where event_schema = database()", "  where event_schema = database() and event_name <> 'busy'"
        ),
        "restored",
    )
    assert found == expected
    assert sorted(target.sql(GRANTS).splitlines()) == sorted(maria.sql(GRANTS).splitlines())
    assert users(target) == {"restored_user@10.%", "restored odd'user@%", "restored_reader@", "restored_boss@",
                             "restored_admin@%", f"{USER}_restored@localhost"}  # fmt: skip
    assert "*.*" not in target.sql("show grants for restored_admin@'%'").replace("USAGE ON *.*", ""), "no power beyond"
    target.sql("insert into numbered (x) values (3)", "restored")
    assert target.sql("select count(*) from mysql.db where db like '%ccdr%'") == "0"
    kinds = {(c["kind"], c["status"]) for c in done.json["checks"]}
    assert kinds == {(k, "PASS") for k in ("identical", "integrity", "rows", "freshness", "sql")}
    assert {c["name"] for c in done.json["checks"]} >= {"tables", "definitions", "definers", "CHECK TABLE … EXTENDED"}
    for told in (
        "set at the source, and otherwise there: block_encryption_mode;",
        "to what only the backup holds (ccdr-variables.json): init_connect",
        "its time zones by name are not the source's",
    ):
        assert any(told in note for note in done.json["notes"]), done.json["notes"]
    assert target.sql("select @@global.block_encryption_mode") == "aes-128-ecb"
    record = end(site)
    assert record["target"] == {"kind": "server", "name": url(target, "restored")}
    assert set(record["phases"]) == {"fetch", "load", "check", "finish"} and record["tools"]["target"].startswith(
        "11.8"
    )
    text = "".join(p.read_text("utf-8", "replace") for p in (site.state / "ledger").glob("*.jsonl"))
    assert PASSWORD not in text and "app secret" not in text
    assert_clean(site)


WITH_FILES = """restore_test: crm
checks:
  - {{kind: rows, table: customer, at_least: 202}}
  - kind: reconcile
    with: recordings
    query: select concat(id, '{end}') from customer where id <= 9  # one row a file
    match: ["*.wav"]
"""
TREE = """
  recordings:
    engine: files
    paths: [{tree}]
    settle: 1s
    backup: {{schedule: "15 * * * *"}}
    restore_test: {{schedule: "0 3 * * 0", checks: [recordings]}}
"""


def test_rows_that_a_recovery_brings_there_are_compared_with_the_files(
    stored: Site, target: MariaSource, tmp_path: Path
) -> None:
    """Where they do not fit they have no name; where they do, also once they have it."""
    (tmp_path / "own").mkdir()
    own = with_own_repository(stored, tmp_path / "own")
    for number in range(1, 10):
        settled_file(tmp_path / "calls" / f"{number}.wav", bytes([number]) * 300, 1_700_000_000)
    plan = own.root / "plans/p.yaml"
    plan.write_text(plan.read_text().rstrip("\n") + TREE.format(tree=tmp_path / "calls"))
    own.write("restore_tests/recordings.yaml", "restore_test: recordings\nchecks:\n  - {kind: identical}\n")
    own.write("restore_tests/crm.yaml", WITH_FILES.format(end=".mp3"))
    own.write("pw", f"{PASSWORD}\n", mode=0o600)
    targets = own.write(
        "targets.yaml",
        f"targets:\n  recordings: {{directory: {own.root}/back}}\n"
        f"  crm: {{server: '{url(target, 'restored')}', password_file: pw}}\n",
    )
    own.backed_up(asset="recordings")
    bad = own.run("recover", "p", "--to", str(targets), "--yes-i-mean", "p")
    assert (bad.code, bad.json["state"]) == (1, "failed") and reconciled(bad)[:2] == ["PASS", "FAIL"], bad
    assert "restored" not in databases(target) and (own.root / "back").is_dir()
    own.write("restore_tests/crm.yaml", WITH_FILES.format(end=".wav"))
    done = own.run("recover", "--resume", "p")
    assert (done.code, done.json["state"], reconciled(done)) == (0, "done", ["PASS"] * 3), done
    again = own.run("recover", "check", "p")
    assert (again.code, reconciled(again)) == (0, ["PASS"] * 3), again


def reconciled(done: Ran) -> list[str]:
    return [c["status"] for step in done.json["steps"] for c in step["checks"] if c["kind"] == "reconcile"]


def test_a_view_on_another_database_needs_that_there(
    stored: Site, maria: MariaSource, target: MariaSource, tmp_path: Path
) -> None:
    own = crm(with_own_repository(stored, tmp_path / "own"), maria, "restored")
    own.write("pw", f"{PASSWORD}\n", mode=0o600)
    maria.sql("create database tariffs; create table tariffs.rate (id int)")
    try:
        maria.sql("create view rated as select c.id from `call` c join tariffs.rate using (id)", "restored")
        own.backed_up()
        maria.sql("drop view rated", "restored")
    finally:
        maria.sql("drop database tariffs")
    done = go(own, url(target, "restored"))
    assert done.code == 3 and "view rated reads the database tariffs" in done.json["reason"], done
    untouched(target)
    target.sql("create database tariffs; create table tariffs.rate (id int)")
    done = go(own, url(target, "restored"))
    assert done.code == 0 and databases(target) == {"restored", "tariffs"}, done


def test_under_another_name_in_place_of_an_empty_database(site: Site, target: MariaSource) -> None:
    name = "odd `name'_%"
    quoted = "`{}`".format(name.replace("`", "``"))
    target.sql(f"create database {quoted} comment 'theirs'; create user restored_user@'10.%' identified by 'their own'")
    before = target.sql("show create user restored_user@'10.%'")
    done = go(site, url(target, name), name=name)
    assert done.code == 0, done
    assert databases(target) == {name}
    asked = "select count(*) from `call`; select count(*) from named; select count(*) from across; insert into numbered (x) values (9)"
    assert target.sql(asked, name).split() == ["3000", "3000", "3000"]
    assert target.sql("show create user restored_user@'10.%'") == before, "who was there is left as he was"
    assert any("still name it so" in note for note in done.json["notes"])


def test_dry_run_does_nothing(site: Site, target: MariaSource) -> None:
    records = len(site.records())
    done = go(site, url(target, "restored"), "--dry-run")
    assert done.code == 0 and any("a new restored at the end" in said for said in done.json["would_restore"]["will"]), (
        done
    )
    untouched(target)
    assert len(site.records()) == records
    assert_clean(site)


def test_a_table_comes_back_without_the_others(site: Site, target: MariaSource) -> None:
    done = go(site, url(target, "restored"), "--part", "call", "--part", "numbered")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    there = "select group_concat(table_name order by 1) from information_schema.tables where table_schema = 'restored'"
    assert target.sql(there) == "call,numbered,ticket"
    assert target.sql("select count(*) from `call`; select count(*), min(x) from numbered", "restored") == "3000\n2\t1"
    assert target.sql("insert into numbered (x) values (3) returning id > 2", "restored") == "1"
    record = end(site)
    assert record["parts"]["tables"] == ["call", "numbered"] and record["parts"]["rows"] == 3002
    assert any("foreign key" in note and "of call" in note for note in record["notes"]), record["notes"]
    (tables,) = (check for check in record["checks"] if check["status"] == "PASS")
    assert tables["name"] == "tables" and tables["expected"].startswith("2 tables, 3002 rows")
    assert {check["status"] for check in record["checks"]} == {"PASS", "SKIPPED"}
    assert_clean(site)


def test_a_row_of_a_part_that_is_missing_is_a_failure(
    site: Site, target: MariaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Restoration.load

    def lossy(self: Restoration, *args: Any) -> Any:
        loaded = load(self, *args)
        target.sql("delete from `call` limit 1", self.working)
        return loaded

    monkeypatch.setattr(Restoration, "load", lossy)
    request = Request(to=url(target, "restored"), password_file=site.root / "pw", parts=("call",))
    with restoring(Job(site.loaded(), "crm"), request, site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "restored" not in databases(target)
    (tables,) = (check for check in one.result.checks if check.name == "tables")
    assert tables.status is Verdict.FAIL and "2999 restored" in tables.actual, tables


def test_a_directory_holds_a_dump_of_these_tables_alone(site: Site, target: MariaSource) -> None:
    done = go(site, str(site.root / "part"), "--part", "call", name="part")
    assert done.code == 0, done
    assert [path.name for path in (site.root / "part/rows").iterdir()] == ["call.sql"]
    script = (site.root / "part/tables.sql").read_text()
    assert script.count("CREATE TABLE") == 1 and "FOREIGN KEY" not in script
    target.sql("create database part")
    target.sql(script, "part")
    target.sql((site.root / "part/rows/call.sql").read_text(), "part")
    assert target.sql("select count(*) from `call`", "part") == "3000"
    assert go(site, str(site.root / "no"), "--part", "cal", name="no").json["hint"] == "did you mean call?"


# --- it refuses -----------------------------------------------------------------------------------------------------


def refused(done: Ran, said: str, site: Site) -> None:
    assert done.code == 2 and said in done.json["error"] and done.json["hint"], done
    assert end(site)["result"] == "REFUSED" and end(site)["phases"] == {}
    assert_clean(site)


@pytest.fixture
def at_source(site: Site, maria: MariaSource) -> Iterator[str]:
    maria.sql(f"create user dba@localhost identified by {_text(PASSWORD)}")
    maria.sql("grant all privileges on *.* to dba@localhost with grant option")
    yield url(maria, "restored")
    maria.sql("drop user dba@localhost; drop database if exists another")


def test_the_source_is_refused_whatever_its_address(
    site: Site, maria: MariaSource, at_source: str, tmp_path: Path
) -> None:
    (tmp_path / "alias").symlink_to(maria.sockets)
    before = databases(maria)
    for to in (at_source, f"{at_source}/mysqld.sock", at_source.replace(str(maria.sockets), f"{tmp_path}/alias")):
        for more in ([], ["--onto-source-server"]):
            refused(go(site, to, *more), "is the source of crm", site)
    refused(go(site, url(maria, "another"), name="another"), "on the server that crm is backed up from", site)
    assert databases(maria) == before


def test_another_name_on_the_sources_server_if_wanted(site: Site, maria: MariaSource, at_source: str) -> None:
    before = users(maria)
    done = go(site, url(maria, "another"), "--onto-source-server", name="another")
    assert done.code == 0, done
    asked = "select count(*) from `call`; select count(*) from named"
    assert maria.sql(asked, "another").split() == ["3000", "3000"]
    assert users(maria) == before
    assert "ccdr" not in maria.sql("show databases") and maria.sql("select count(*) from `call`", "restored") == "3000"


# Objects called like their database, each beside something that names the database itself; and a key to a table that
# is not there.
NAMESAKES = """
create database stats; create database tariffs; create table tariffs.rate (n int); use stats;
create sequence sq; create table t (stats bigint default nextval(sq) primary key, x int);
create view stats as select nextval(sq); create table u (id int primary key, name int);
create view v as select u.name as stats, r.n from u join tariffs.rate r on r.n = u.id;
create view w as select stats.name, r.n from u stats join tariffs.rate r on r.n = stats.id;
set foreign_key_checks = 0;
create table k (id int, constraint `to ``gone` foreign key (id) references gone (id) on delete cascade) engine = innodb;
insert into tariffs.rate values (1); insert into u values (1, 1); insert into t (x) values (1);
"""


@pytest.fixture
def namesakes(stored: Site, maria: MariaSource, tmp_path: Path) -> Iterator[Site]:
    site = crm(with_own_repository(stored, tmp_path / "own"), maria, "stats", checks=ALIKE)
    site.write("pw", f"{PASSWORD}\n", mode=0o600)
    user = f"{USER}_stats@localhost"
    maria.sql(f"{NAMESAKES} create user {user} identified by {_text(PASSWORD)}; grant all on *.* to {user}")
    try:
        site.backed_up()
        yield site
    finally:
        maria.sql(f"drop database stats; drop database tariffs; drop user {user}")


ALIKE = "restore_test: crm\nchecks: [{kind: identical}]\n"
STANDS = (
    "select count(*) from stats.k; select lastval(stats.sq), next_not_cached_value from stats.sq; select * from stats.u"
)


def test_what_is_called_like_its_database_is_the_copys_own(
    namesakes: Site, maria: MariaSource, at_source: str, target: MariaSource
) -> None:
    before = maria.sql(STANDS)
    done = go(namesakes, at_source.replace("restored", "another"), "--onto-source-server", name="another")
    assert done.code == 0 and done.json["result"] == "RESTORED", done
    maria.sql(
        "insert into t (x) values (2); select * from stats; update v set stats = 7; update w set name = 8", "another"
    )
    assert maria.sql(STANDS) == before, "the source is as it was"
    assert maria.sql("select count(*) from t; select name from u", "another").split() == ["2", "8"]
    assert any("stats in the definition of w:" in note for note in done.json["notes"]), done.json["notes"]
    maria.sql(
        "set foreign_key_checks = 0; create table gone (id int primary key); insert into gone values (1)", "another"
    )
    maria.sql("insert into k values (1)", "another")
    target.sql("create database tariffs; create table tariffs.rate (n int)")
    done = go(namesakes, url(target, "stats"), name="stats")
    assert done.code == 0 and not any("still named" in note for note in done.json["notes"]), done
    target.sql("insert into t (x) values (2); select * from stats, v, w", "stats")
    assert "REFERENCES `gone` (`id`) ON DELETE CASCADE" in target.sql("show create table k", "stats")


THEIRS = {
    "table": "create table t (id int)",
    "view": "create view v as select 1",
    "routine": "create function f() returns int return 1",
    "event": "create event e on schedule every 1 day disable do select 1",
    "sequence": "create sequence s",
}


@pytest.mark.parametrize("what", THEIRS)
def test_not_empty_is_refused(site: Site, target: MariaSource, what: str) -> None:
    target.sql("create database restored")
    target.sql(THEIRS[what], "restored")
    refused(go(site, url(target, "restored")), "not empty", site)
    assert (databases(target), users(target)) == ({"restored"}, set())


def test_whoever_is_no_administrator_is_refused(site: Site, target: MariaSource) -> None:
    target.sql(f"create user mere@localhost identified by {_text(PASSWORD)}")
    target.sql("grant all privileges on *.* to mere@localhost")
    refused(go(site, url(target, "restored", "mere")), "no administrator", site)
    target.sql("grant all privileges on *.* to mere@localhost with grant option")
    assert go(site, url(target, "restored", "mere")).code == 0


def test_in_use_and_read_only_are_refused(site: Site, target: MariaSource) -> None:
    target.sql("create database restored")
    with target.session("select 1", "restored"):
        refused(go(site, url(target, "restored")), "sessions use", site)
    target.sql("set global read_only = 1")
    try:
        refused(go(site, url(target, "restored")), "read-only", site)
    finally:
        target.sql("set global read_only = 0")


def test_an_event_whose_time_is_up_is_told_and_stops_nothing(
    maria: MariaSource, target: MariaSource, tmp_path: Path
) -> None:
    """It was to come when it was captured. A test, later, has it as it was; a server drops or disables it at once."""
    with small_database(maria, "lapsing") as name:
        maria.sql(
            "set timestamp = 86400; create event soon on schedule at '2020-01-01 00:00:00' do do 1;"
            "create event ending on schedule every 1 hour ends '2020-01-01 00:00:00' do do 1;"
            "create event kept on schedule at '2020-01-01 00:00:00' on completion preserve do do 1;"
            "create event off on schedule every 1 day disable do do 1;"
            "create event past on schedule at '2020-01-01 00:00:00' disable do do 1",
            name,
        )
        site = with_repository(Site(tmp_path))
        crm(site, maria, name)
        site.write("pw", f"{PASSWORD}\n", mode=0o600)
        site.backed_up()
        tested = site.run("test", "p")
        assert tested.json["verdict"] == "PASS", tested
        done = go(site, url(target, "lapsing"), name="lapsing")
    assert (done.code, done.json["result"]) == (0, "RESTORED"), done
    told = "its time is up: event ending is left out, event past is left out, event soon is left out"
    assert told in done.json["notes"], done.json["notes"]
    found = target.sql("select name, status from mysql.event where db = 'lapsing' order by 1").split()
    assert found == ["kept", "DISABLED", "off", "DISABLED", "tick", "DISABLED"]


# --- it fails -------------------------------------------------------------------------------------------------------


def test_a_failing_check_keeps_the_final_name_from_it(site: Site, target: MariaSource) -> None:
    site.write("restore_tests/crm.yaml", CHECKS.replace("at_least: 3000", "at_least: 3001"))
    done = go(site, url(target, "restored"))
    assert done.code == 1 and done.json["result"] == "FAILED", done
    (kept,) = databases(target)
    assert kept.startswith("restored_ccdr_restore_") and kept in done.json["left_behind"][0]
    assert target.sql(f"select count(*) from {kept}.agent_log where event = 'fired'") == "0", "no event fires there"
    done = go(site, url(target, "restored"), "--despite-failed-checks")
    assert (done.code, done.json["result"]) == (1, "RESTORED") and "restored" in databases(target), done
    assert any(kept in note for note in done.json["notes"]), "what the first one left is told"


def test_rows_changed_under_it_are_seen(site: Site, target: MariaSource, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came back is compared, not what was sent."""
    real = Restoration._load

    def load(self: Restoration, source: Source, *rest: Any) -> None:
        real(self, source, *rest)
        target.sql("update unkeyed set a = a + 1 limit 1", self.working)

    monkeypatch.setattr(Restoration, "_load", load)
    with restoring(Job(site.loaded(), "crm"), request(site, target), site.services(), Quiet()) as one:
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "tables" in str(one.result.reason)
    assert "restored" not in databases(target)


def request(site: Site, target: MariaSource, name: str = "restored") -> Request:
    return Request(to=url(target, name), password_file=site.root / "pw")


STEPS = ("making triggers and routines", "making views and grants", "making events", "naming it")


@pytest.mark.parametrize("empty", [False, True])
def test_what_fails_at_the_end_is_taken_back(
    site: Site, target: MariaSource, monkeypatch: pytest.MonkeyPatch, empty: bool
) -> None:
    """Its tables have moved already; an error in the server's words. Each restore begins where the one before was taken
    back to, and the last, which nothing makes fail, succeeds."""
    if empty:
        target.sql("create database restored character set latin1 comment 'theirs'")
    failing: list[str] = []
    real = Writer.run

    def run(self: Writer, script: str, what: str, *rest: Any) -> str:
        if what == step and "restored" in databases(target) and target.sql("show tables", "restored"):
            failing.append(what)
            script = f"select nothing from nowhere;\n{script}"
        return real(self, script, what, *rest)

    monkeypatch.setattr(Writer, "run", run)
    for step in STEPS:
        with restoring(Job(site.loaded(), "crm"), request(site, target), site.services(), Quiet()) as one:
            one.carry_out(Quiet())
        assert one.result.result == "FAILED" and failing[-1:] == [step], (step, one.result)
        (kept,) = databases(target) - {"restored"}
        assert ("restored" in databases(target)) == empty and kept in one.result.left_behind[0], step
        if empty:
            asked = "select default_character_set_name, schema_comment from information_schema.schemata where schema_name = 'restored'"
            assert target.sql(asked) == "latin1\ttheirs" and target.sql("show tables", "restored") == "", step
        found = target.sql("select count(*) from `call`; select count(*) from both_parts", kept).split()
        assert found == ["3000", "2"], step
        target.sql(f"drop database {kept}")
    monkeypatch.undo()
    assert go(site, url(target, "restored")).code == 0


def test_empty_database_that_is_used_meanwhile_is_not_replaced(site: Site, target: MariaSource) -> None:
    target.sql("create database restored")
    with restoring(Job(site.loaded(), "crm"), request(site, target), site.services(), Quiet()) as one:
        target.sql("create table theirs (id int)", "restored")
        one.carry_out(Quiet())
    assert one.result.result == "FAILED" and "not empty" in str(one.result.reason)
    assert target.sql("select count(*) from theirs", "restored") == "0"
    (kept,) = databases(target) - {"restored"}
    assert kept in one.result.left_behind[0], "it is whole: it is not thrown away"
    assert target.sql("select count(*) from `call`", kept) == "3000"


# --- it is stopped --------------------------------------------------------------------------------------------------


@contextmanager
def stopped(site: Site, target: MariaSource) -> Iterator[subprocess.Popen[str]]:
    """A restore that is in the middle of its load: as soon as its database is there, nobody may write any more."""
    login = ["--password-file", str(site.root / "pw"), "--yes-i-mean", "restored"]
    process = site.start("restore", "p", "--asset", "crm", "--to", url(target, "restored"), *login)
    assert process.stderr and process.stdout
    for stream in (process.stdout, process.stderr):
        threading.Thread(target=stream.read, daemon=True).start()
    assert eventually(lambda: bool(databases(target)), 60)
    with target.session("flush tables with read lock", "mysql"):
        waiting = "select count(*) from information_schema.processlist where state like 'Waiting for%' and user = 'dba'"
        assert eventually(lambda: target.sql(waiting) != "0", 60), "it is not in its load"
        (working,) = databases(target)
        assert working.startswith("restored_ccdr_restore_")
        yield process


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_load_leaves_nothing(site: Site, target: MariaSource, sign: int) -> None:
    with stopped(site, target) as process:
        process.send_signal(sign)
    process.wait(90)
    assert process.returncode == 3
    untouched(target)
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("FAILED", "interrupted", [])
    assert_clean(site)


def test_killed_load_leaves_nothing_under_the_final_name(site: Site, target: MariaSource) -> None:
    with stopped(site, target) as process:
        process.kill()
        process.wait(60)
    busy = "select count(*) from information_schema.processlist where user = 'dba'"
    assert eventually(lambda: target.sql(busy) == "0", 90), "the server does not go on without us"
    (kept,) = databases(target)
    assert kept.startswith("restored_ccdr_restore_")
    assert site.run("sandbox", "reap").code == 0
    done = go(site, url(target, "restored"))
    assert done.code == 0 and any(kept in note for note in done.json["notes"]), done.stdout + done.stderr
    target.sql(f"drop database {kept}")


def test_connection_lost_in_the_load_is_not_the_backups_fault(site: Site, target: MariaSource) -> None:
    with stopped(site, target) as process:
        target.sql("delimiter //\nbegin not atomic for a in (select id from information_schema.processlist where user = 'dba')"
                   " do kill a.id; end for; end//", check=False)  # fmt: skip
    process.wait(90)
    record = end(site)
    assert process.returncode == 3 and "could not take it" in record["reason"], record
    untouched(target)
    assert_clean(site)


def test_server_that_dies_is_told_with_what_is_left_there(site: Site) -> None:
    with mariadb_server("--skip-log-bin") as own:
        own.sql(f"create user dba@localhost identified by {_text(PASSWORD)}")
        own.sql("grant all privileges on *.* to dba@localhost with grant option")
        with contextlib.suppress(BrokenPipeError), stopped(site, own) as process:
            own.kill()
        process.wait(120)
    record = end(site)
    assert process.returncode == 3 and record["result"] == "FAILED"
    assert any("restored_ccdr_restore_" in left for left in record["left_behind"]), record
    assert_clean(site)


def test_killed_at_the_end_is_marked_as_unfinished(
    site: Site, target: MariaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes it back where ccdr is gone: the database's comment says what it is, and it is never taken for one."""
    real = Writer.run

    def run(self: Writer, script: str, what: str, *rest: Any) -> str:
        if what == "making events":
            os._exit(9)
        return real(self, script, what, *rest)

    monkeypatch.setattr(Writer, "run", run)
    child = os.fork()
    if child == 0:
        with restoring(Job(site.loaded(), "crm"), request(site, target), site.services(), Quiet()) as one:
            one.carry_out(Quiet())
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    monkeypatch.undo()
    asked = "select schema_comment from information_schema.schemata where schema_name = 'restored'"
    assert target.sql(asked).startswith(UNFINISHED)
    assert site.run("sandbox", "reap").code == 0
    done = go(site, url(target, "restored"))
    assert done.code == 2 and "left unfinished" in done.json["error"] and "DROP DATABASE" in done.json["hint"], done
    for database in databases(target):
        target.sql(f"drop database {database}")
    assert go(site, url(target, "restored")).code == 0


def test_interrupted_when_it_has_its_name_the_server_is_asked(
    site: Site, target: MariaSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is stopped when the server has done it, and has not said so."""
    real = Writer.run

    def run(self: Writer, script: str, what: str, *rest: Any) -> str:
        said = real(self, script, what, *rest)
        if what == "naming it":
            raise KeyboardInterrupt
        return said

    monkeypatch.setattr(Writer, "run", run)
    with pytest.raises(KeyboardInterrupt):
        with restoring(Job(site.loaded(), "crm"), request(site, target), site.services(), Quiet()) as one:
            one.carry_out(Quiet())
    assert databases(target) == {"restored"}
    record = end(site)
    assert (record["result"], record["reason"], record["left_behind"]) == ("RESTORED", None, [])


def test_who_was_erased_is_not_handed_over(stored: Site, target: MariaSource, tmp_path: Path) -> None:
    """Nor what refers to them, in tables with a transaction and without; a text is found as the column compares it."""
    (root := tmp_path / "own").mkdir()
    own = with_own_repository(stored, root)
    own.write("pw", f"{PASSWORD}\n", mode=0o600)
    added(own, "asset: crm\nrows: [{table: customer, key: {id: 17}}, {table: part1, key: {id: 1}}]\n")
    added(own, "asset: crm\ntable: live_agent\nkey: {agent: A1}\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n")
    assert go(own, url(target, "restored")).code == 0
    asked = "select (select count(*) from customer where id = 17), (select count(*) from `call` where customer_id = 17)"
    assert target.sql(asked, "restored") == "0\t0"
    assert target.sql("select (select count(*) from part1), (select count(*) from part2)", "restored") == "0\t1"
    (replay,) = own.records("erasure.replay")
    assert (replay["result"], replay["atomic"]) == ("PROVEN", False)
    assert [(one["found_before"], one["beside"], one["found_after"]) for one in replay["found"]] == [
        (2, 15, 0),
        (1, 0, 1),
    ]
    added(own, "asset: crm\ntable: customer\nkey: {id: somebody}\n")
    assert go(own, url(target, "again"), name="again").code == 1, "MariaDB takes that for 0"
    assert "again" not in databases(target)
