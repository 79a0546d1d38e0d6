"""MariaDB: a capture that is not true for one instant, or not whole, is a failed backup; its undamaged twin is stored."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.faults.test_secrets import watching
from tests.support.harness import Damage, Quiet, Ran, Site, eventually, in_background
from tests.support.mariadb_source import (
    BY_TRANSACTION,
    MAJOR,
    PASSWORD,
    USER,
    ZONES,
    MariaSource,
    crm,
    image_of,
    maria_damage,
    mariadb_server,
    small_database,
)
from tests.support.stored import assert_clean, with_repository

from ccdr.engines.mariadb.dump import Dump, files
from ccdr.engines.mariadb.dump.capture import Dumper, RowDump
from ccdr.engines.mariadb.server import LOGIN
from ccdr.jobs.backup import BackupResult, backup
from ccdr.model.errors import BackupBad
from ccdr.model.values import Manifest, Verdict
from ccdr.plans.job import Job
from ccdr.ports.place import Place

IDENTICAL = "restore_test: crm\nchecks:\n  - {kind: identical}\n"


@pytest.fixture
def database(maria: MariaSource, request: pytest.FixtureRequest) -> Iterator[str]:
    with small_database(maria, f"m{abs(hash(request.node.name)) % 10**8}") as name:
        yield name


@pytest.fixture
def centre(site: Site, maria: MariaSource, database: str) -> Site:
    return crm(with_repository(site), maria, database, "limits: {lock_wait: 4s}")


def failed(done: Ran, site: Site, *words: str) -> None:
    """Exit 1, recorded as FAILED with its reason, nothing left behind, no snapshot."""
    assert (done.code, done.json["result"], done.json["snapshot"]) == (1, "FAILED", None), done
    for word in words:
        assert word in done.json["reason"], done.json["reason"]
    assert PASSWORD not in done.stdout + done.stderr
    assert_clean(site)


def passes(site: Site) -> dict[str, Any]:
    done = site.run("test", "p")
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert_clean(site)
    found: dict[str, Any] = done.json
    return found


def here(site: Site) -> BackupResult:
    """A backup in this process, so that a test can step in."""
    return backup(Job(site.loaded(), "crm"), site.services(), Quiet())


# --- one instant ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def writing(maria: MariaSource, database: str, statements: str) -> Iterator[None]:
    """Somebody who does not stop: `statements` again and again, each by itself, in a loop of the server's own. Between
    two calls of a client there would be pauses, and a dump might fall into one: this one waits a millisecond, and a
    dump takes hundreds; without it, it would have a processor to itself."""
    loop = f"loop {statements} do sleep(0.001); end loop;"
    maria.sql(f"delimiter //\ncreate procedure write_on() begin {loop} end//\ndelimiter ;", database)
    thread = in_background(lambda: maria.sql("call write_on()", database, check=False))
    try:
        yield
    finally:
        ids = maria.sql(f"select id from information_schema.processlist where db = '{database}' and command <> 'Sleep'")
        maria.sql("".join(f"kill {i};" for i in ids.split()), check=False)
        thread.join(30)


PAIR = """
create table a_first (id int auto_increment primary key, at datetime(6)) engine = {engine};
create table z_last (id int auto_increment primary key, at datetime(6)) engine = {engine};
create table m_between (id int auto_increment primary key, filler varchar(2000)) engine = {engine};
insert into m_between (filler) select repeat('x', 2000) from seq_1_to_8000;
"""
BOTH = "insert into a_first (at) values (now(6)); insert into z_last (at) values (now(6));\n"


@pytest.mark.parametrize("engine", ["myisam", "aria", "innodb"])
def test_tables_that_are_written_meanwhile_agree(maria: MariaSource, database: str, centre: Site, engine: str) -> None:
    """Two tables that differ by one row at most, with one between them that takes its time."""
    maria.sql(PAIR.format(engine=engine), database)
    with writing(maria, database, BOTH):
        assert eventually(lambda: int(maria.sql("select count(*) from z_last", database)) > 50)
        done = here(centre)
    assert done.snapshot is not None, done.reason
    found: Any = centre.services().catalogue.manifest(done.snapshot).contents["tables"]
    assert found["a_first"]["rows"] - found["z_last"]["rows"] in (0, 1), found
    assert found["z_last"]["rows"] < int(maria.sql("select count(*) from z_last", database))
    passes(centre)


def test_tables_that_may_not_be_locked_are_refused(maria: MariaSource, database: str, centre: Site) -> None:
    crm(centre, maria, database, "non_transactional: refuse")
    failed(centre.run("backup", "p"), centre, "3 tables are not transactional", "agent_log (MyISAM)")
    said = centre.run("doctor", "p")
    assert said.code == 1 and "3 tables are not transactional" in said.stdout, said
    maria.sql("drop table agent_log, agent_log_archive, live_agent; drop event tick", database)
    centre.backed_up()


# --- definitions that change ----------------------------------------------------------------------------------------

MEANWHILE = {
    "truncated": "truncate emptied",
    "rebuilt": "alter table rebuilt add c int first",
    "replaced by another": "rename table replaced to was_replaced, cdr to replaced",
    "engine changed": "alter table moved engine = myisam",
    "trigger made": "create trigger third before insert on triggered for each row set new.a = 1",
    "view changed": "create or replace view a_last as select 1 as id",
    "routine replaced": "create or replace function minutes_of(s int) returns int deterministic return 0",
    "event dropped": "drop event tick",
    "dropped": "drop table dropped",
}


def test_what_is_altered_during_the_dump_is_seen_and_the_dump_made_again(
    maria: MariaSource, database: str, centre: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by itself, in a table of its own where it is about one. The last backup holds what all of them have left."""
    for name in ("emptied", "rebuilt", "replaced", "moved", "triggered", "dropped"):
        maria.sql(f"create table {name} like unkeyed; insert into {name} select * from unkeyed", database)
    attempts: list[str] = []
    real = Dumper._definitions

    def meanwhile(self: Dumper, into: Path, *rest: Any) -> None:
        if what not in attempts:
            maria.sql(MEANWHILE[what], database)
        attempts.append(what)
        real(self, into, *rest)

    monkeypatch.setattr(Dumper, "_definitions", meanwhile)
    for what in MEANWHILE:
        done = here(centre)
        assert done.snapshot is not None and attempts.count(what) == 2, (what, done.reason, attempts)
        manifest = centre.services().catalogue.manifest(done.snapshot)
        tables: Any = manifest.contents["tables"]
        of_rows = {name for name in manifest.files if name.startswith(f"{files.ROWS}/")}
        assert of_rows == {table["file"] for table in tables.values()}, "nothing of the first attempt is left"
        assert {name: table["rows"] for name, table in tables.items()} == rows_of(maria, database), what
    found = passes(centre)
    assert found["snapshot"]["id"] == done.snapshot.id


def rows_of(maria: MariaSource, database: str) -> dict[str, int]:
    """Of each table, as the server counts them now; of one that keeps its history, with that."""
    listed = maria.sql(
        "select hex(table_name), table_type from information_schema.tables"
        " where table_schema = database() and table_type in ('BASE TABLE', 'SYSTEM VERSIONED')",
        database,
    )
    names = {bytes.fromhex(name).decode(): kind for name, kind in (line.split("\t") for line in listed.splitlines())}
    counting = ""
    for name, kind in names.items():
        history = " for system_time all" if kind == "SYSTEM VERSIONED" else ""
        counting += "select count(*) from `{}`{};".format(name.replace("`", "``"), history)
    return dict(zip(names, map(int, maria.sql(counting, database).split()), strict=True))


AGAIN_AND_AGAIN = {"emptied": "truncate z_last", "renamed away": "rename table z_last{0} to z_last{1}"}


def test_tables_truncated_or_renamed_again_and_again_are_a_failed_backup(
    maria: MariaSource, database: str, centre: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the clients begin to read: what they then see is none of the table's states, an empty one, or none at all."""
    maria.sql(PAIR.format(engine="innodb"), database)
    real = RowDump._await_begun

    def meanwhile(self: RowDump, clients: Any) -> None:
        real(self, clients)
        attempts.append(what)
        sql = AGAIN_AND_AGAIN[what].format(attempts.count(what) - 1, attempts.count(what))
        in_background(lambda: maria.sql(sql, database))  # it waits for the lock to be released

    monkeypatch.setattr(RowDump, "_await_begun", meanwhile)
    attempts: list[str] = []
    for what in AGAIN_AND_AGAIN:
        done = here(centre)
        assert attempts.count(what) == 3
        assert done.snapshot is None, f"a table that was {what} must not be in a good backup"
        assert "z_last" in str(done.reason) and "at which no program makes, renames or" in str(done.hint), done
        maria.sql("rename table if exists z_last to z_last0", database)
    monkeypatch.undo()
    centre.backed_up()
    passes(centre)


# --- what is not whole ----------------------------------------------------------------------------------------------


def test_a_dump_that_was_cut_off_is_a_failed_backup(centre: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's output ends early, and it exits with 0."""
    monkeypatch.setattr(files, "PIPE", files.PIPE.replace('"$@" 2> "$log" |', '"$@" 2> "$log" | head -c 9000 |'))
    assert "head -c" in files.PIPE
    done = here(centre)
    assert done.snapshot is None and "mariadb-dump exited with 4" in str(done.reason), done.reason
    monkeypatch.undo()
    centre.backed_up()


CUT = ["rows/call.sql", "rows/live_agent.sql", "tables.sql", "code.sql", "views.sql"]


def test_a_file_without_its_trailer_is_not_loaded(centre: Site) -> None:
    """It would load with exit 0, and what is missing from it would be missing. In one sandbox, each in its turn; what
    nobody has cut is loaded there afterwards."""
    centre.backed_up()
    said: dict[str, str] = {}
    real = Dump.load

    def load(self: Dump, box: Place, restored: Path, manifest: Manifest) -> None:
        for name in CUT:
            path = restored / name
            text = path.read_bytes()
            path.write_bytes(text[: text.rindex(b"\n", 0, len(text) - 60) + 1])
            with pytest.raises(BackupBad) as refused:
                real(self, box, restored, manifest)
            said[name] = str(refused.value)
            assert str(manifest.contents["source"]) not in box.run(LOGIN.client(), stdin="show databases").stdout, (
                "nothing of it is loaded"
            )
            if name == cut_to_the_end:
                raise refused.value
            path.write_bytes(text)
        real(self, box, restored, manifest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dump, "load", load)
        cut_to_the_end = ""
        whole = centre.damaged_test(NOTHING)
        cut_to_the_end = CUT[0]
        done = centre.damaged_test(NOTHING)
    assert list(said) == CUT
    for name, words in said.items():
        assert f"{name} does not end as a complete dump" in words, said
    assert whole.verdict is Verdict.PASS, whole.reason
    assert done.verdict is Verdict.FAIL and f"{CUT[0]} does not end as a complete dump" in str(done.reason), done.reason


NOTHING: Damage = lambda box, restored, manifest: None  # noqa: E731


def test_rows_that_the_server_counts_and_the_dump_lacks(
    centre: Site, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        files,
        "SPLIT",
        files.SPLIT.replace("{ n++; print > out; next }", "{ if (++m != 9) { n++; print > out }; next }"),
    )
    done = here(centre)
    assert done.snapshot is None and "where the server counts" in str(done.reason), done.reason


BLIND = {
    "trigger": "the right TRIGGER on",
    "execute": "the right EXECUTE on",
    "event": "the right EVENT on",
    "show view": "the right SHOW VIEW on",
    "lock tables": "the right LOCK TABLES on",
}


def test_a_user_who_may_not_see_everything_is_a_failed_backup(maria: MariaSource, database: str, centre: Site) -> None:
    """mariadb-dump leaves out what its user may not see, and exits with 0. With every right back it is a backup."""
    user = f"{USER}_{database}@localhost"
    for right, told in BLIND.items():
        maria.sql(f"revoke {right} on {database}.* from {user}")
        failed(centre.run("backup", "p"), centre, told)
        said = centre.run("doctor", "p")
        assert said.code == 1 and f"GRANT {right.upper()} ON `{database}`.* TO" in said.stdout, said
        maria.sql(f"grant {right} on {database}.* to {user}")
    centre.backed_up()


def test_a_user_who_may_not_read_where_routines_are_kept(maria: MariaSource, database: str, centre: Site) -> None:
    user = f"{USER}_{database}@localhost"
    maria.sql(f"revoke select on mysql.* from {user}")
    failed(centre.run("backup", "p"), centre, "SELECT on mysql.*")
    maria.sql(f"grant select on mysql.* to {user}")
    centre.backed_up()


def test_a_view_that_no_longer_works_is_named_and_may_be_left_out(
    maria: MariaSource, database: str, centre: Site
) -> None:
    """mariadb-dump stops at it. What is left out stands in every record and report, and in what a PASS says."""
    maria.sql("create view broken as select b from unkeyed; create view upon as select * from broken", database)
    maria.sql(f"alter table unkeyed drop b; grant select on broken to {database}_reader", database)
    done = centre.run("backup", "p")
    failed(done, centre, "2 views do not work: broken, upon")
    assert "`leave_out:`" in done.json["hint"], done
    said = centre.run("doctor", "p")
    assert said.code == 1 and "2 views do not work: broken, upon" in said.stdout, said
    crm(centre, maria, database, "leave_out: [upon, call]")
    failed(centre.run("backup", "p"), centre, "leave_out names what is no view: call")
    crm(centre, maria, database, "leave_out: [upon, broken, gone]")
    left = ["view broken", "view upon"]
    done = centre.backed_up()
    assert done.json["left_out"] == left and any("view broken, view upon" in one for one in done.json["notes"])
    assert centre.run("doctor", "p").code == 0
    found = passes(centre)
    (named,) = [c for c in found["checks"] if c["name"].startswith("triggers")]
    assert found["left_out"] == left and "view broken, view upon" in named["actual"], found
    assert centre.run("report").json["assets"][0]["left_out"] == left
    for kind in ("html", "csv"):
        out = centre.root / kind
        assert centre.run("report", "--format", kind, "--out", str(out)).code == 0
        assert "view broken" in out.read_text("utf-8"), kind
    maria.sql("drop view broken, upon", database)
    centre.backed_up()
    assert passes(centre)["left_out"] == []


# A row that breaks a CHECK of its table, numbers of ARCHIVE, names with a line's end, a routine that another system's
# editor has written: a source may hold all of it.
ODD = """
delimiter //
create table debt (id int primary key, phone varchar(20), paid int, told json, constraint never_less check (paid >= 0))//
create table kept (id int auto_increment primary key, note varchar(9)) engine = archive//
insert into kept (note) values ('a'), ('b'), ('c')//
create table `two
lines` (id int primary key, `a
b` int as (id + 1) stored, note text)//
insert into `two
lines` (id, note) values (1, 'a`b'), (2, 'x\nINSERT INTO `debt` VALUES\n(1);')//
create trigger `of
it` before insert on `two
lines` for each row set new.note = '-'//
create view `seen
so` as select * from `two
lines`//
create procedure by_another() begin\r\n  select 1;\r\nend//
set session check_constraint_checks = 0//
insert into debt values (1, '0722000001', -5, 'no json'), (2, '0722000002', 5, '{}')//
"""


@pytest.fixture
def archive(maria: MariaSource) -> Iterator[None]:
    """A source that knows this engine."""
    maria.sql("install plugin archive soname 'ha_archive'")
    yield
    maria.sql("uninstall plugin archive")


def test_what_a_source_holds_against_its_own_rules_comes_back_and_is_told(
    maria: MariaSource, archive: None, database: str, centre: Site
) -> None:
    """Nothing of it is the backup's fault."""
    maria.sql(ODD, database)
    maria.sql(f"grant select on `two\nlines` to {database}_reader", database)
    maria.sql("xa start 'open'; insert into unkeyed values (99, 'x'); xa end 'open'; xa prepare 'open'", database)
    try:
        notes = centre.backed_up().json["notes"]
    finally:
        maria.sql("xa rollback 'open'")
    assert any("1 XA transaction prepared" in n for n in notes)
    found = {c["name"]: c["actual"] for c in passes(centre)["checks"] if c["kind"] == "identical"}
    assert "debt.never_less (1), debt.told (1)" in found["tables"], found
    assert "by the rows of kept (ARCHIVE)" in found["auto-increments"], found


def test_a_number_of_archive_that_is_ahead_of_its_rows_fails_and_names_the_source(
    maria: MariaSource, archive: None, database: str, centre: Site
) -> None:
    maria.sql("create table kept (id int auto_increment, key (id)) engine = archive auto_increment = 90", database)
    centre.backed_up()
    passes(centre)
    maria.sql("insert into kept values (7); flush tables", database)
    centre.backed_up()
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    (said,) = [c["actual"] for c in done.json["checks"] if c["name"] == "auto-increments"]
    assert "kept: 90 captured, 8 restored: " in said


def test_rows_that_a_key_forbids_fail_and_name_the_source(maria: MariaSource, database: str, centre: Site) -> None:
    maria.sql("create table near (f float primary key); insert into near values (16777216), (16777218)", database)
    centre.backed_up()
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "rows of near that a key or a rule" in done.json["reason"]
    assert "ERROR 1062" in done.json["reason"] and "16777" not in done.stdout + done.stderr
    maria.sql("alter table near modify f double", database)
    maria.sql(DATED, database)  # and by a cascade that ends its history before that begins
    centre.backed_up()
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    assert "rows of past whose history" in done.json["reason"] and "2033" not in done.stdout
    maria.sql("delete history from past", database)
    centre.backed_up()
    passes(centre)


# Bytes that are no character, or one of two that are one in utf8mb4; members of ENUM and SET that have no text.
UNWRITABLE = r"""
create table cyr (id int primary key, a varchar(20) charset cp1251, b text charset cp1250, d char(9) charset greek,
  j varchar(20) charset cp932, `l ``l` varchar(20) charset latin1, u varchar(9) charset ucs2) engine = myisam;
insert into cyr values (1, _cp1251 x'9841', _cp1250 x'8141', _greek x'FF41', _cp932 x'ED40', _latin1 x'8141', 'ș'),
  (2, 'ж', 'ș', 'λ', '中', 'é', null);
create table `old one` (id int primary key, b varbinary(20)) with system versioning;
insert into `old one` values (1, x'41E942'), (2, 'x');
set system_versioning_alter_history = keep; alter table `old one` modify b varchar(20) charset ascii;
delete from `old one` where id = 1;
set sql_mode = '';
create table enums (id int primary key, e enum('a', '') not null, s set('a', ''), x set('', 'it''s', 'b'),
  healthy enum('\\', 'a)', ''), bits set('a', ''), called enum('', 'ă'));
insert into enums values (1, 'z', 0, 0, 1, 3, 'ă'), (2, '', 2, 3, 3, 1, ''), (3, 'a', 1, 2, null, 0, 'Ă');
"""
UNWRITTEN = {"cyr.a", "cyr.b", "cyr.d", "cyr.j", "old one.b", "enums.e", "enums.s", "enums.x"}
WRITABLE = """
delete from cyr where id = 1; delete history from `old one`; update enums set e = 'a', s = 'a', x = 'b';
create table parts (id int primary key) partition by hash (id) partitions 1;
alter table parts partition by range (id) (partition p0 values less than maxvalue data directory = '/tmp');
set global sql_mode = 'ALLOW_INVALID_DATES'; set sql_mode = default; create table dates (id int primary key, d date default '2020-02-31', t datetime(3));
insert into dates (id, t) values (1, '2021-02-29 23:00:00'), (2, '2021-04-31 12:00:00.5');
"""


def test_values_that_a_dump_cannot_hold_fail_and_are_named(maria: MariaSource, database: str, centre: Site) -> None:
    maria.sql(UNWRITABLE, database)
    assert any("no dump holds as they are: cyr.a, cyr.b" in note for note in centre.backed_up().json["notes"])
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
    manifest = next((centre.state / "catalogue" / "p" / "crm").glob("*.json")).read_text("utf-8")
    assert json.loads(json.loads(manifest)["manifest"])["contents"]["changed"] == dict.fromkeys(UNWRITTEN, 1)
    (said,) = [c["actual"] for c in done.json["checks"] if c["status"] == "FAIL"]
    assert "cyr.a: 1 value" in said and "cyr.l" not in said, said
    # Its twin, with a partition that lies elsewhere, dates that no calendar has, and a server that leaves out quotes.
    mode = maria.sql("select @@global.sql_mode")
    maria.sql("set global sql_quote_show_create = 0")
    try:
        maria.sql(WRITABLE, database)
        centre.backed_up()
    finally:
        maria.sql(f"set global sql_quote_show_create = 1, sql_mode = '{mode}'")
    passes(centre)


def test_a_session_that_is_not_utf8mb4_is_no_dump(maria: MariaSource, database: str, centre: Site) -> None:
    """mariadb-dump says no character set of its own: both dumps would hold the same `?`. A user for whom the server's
    statement does not run has a backup, as has one for whom it says the right one."""
    maria.sql(
        "set names utf8mb4; insert into customer (name) values ('\N{TELEPHONE RECEIVER}'); create view `v語` as select 1",
        database,
    )
    try:
        for says in ("utf8mb3", "latin1"):
            maria.sql(f"set global init_connect = 'SET NAMES {says}'")
            failed(centre.run("backup", "p"), centre, f"a session of this user {says}")
            said = centre.run("doctor", "p")
            assert said.code == 1 and "GRANT CONNECTION ADMIN ON *.* TO" in said.stdout, said
        maria.sql("set global init_connect = 'SET NAMES utf8mb4'")
        centre.backed_up()
        maria.sql(
            f"set global init_connect = 'SET NAMES utf8'; grant connection admin on *.* to {USER}_{database}@localhost"
        )
        centre.backed_up()
    finally:
        maria.sql("set global init_connect = default")
    passes(centre)


DATED = """
create table owner (id int primary key);
create table past (id int primary key, o int, foreign key (o) references owner (id) on delete cascade)
  with system versioning;
insert into owner values (1), (2); set timestamp = unix_timestamp('2033-01-01');
insert into past values (1, 1); set timestamp = default; insert into past values (2, 2); delete from owner where id = 1;
"""


def test_a_view_on_another_database_proves_nothing_until_it_has_that(
    maria: MariaSource, database: str, centre: Site
) -> None:
    other = f"{database}_other"
    maria.sql(f"create database {other}; create table {other}.tariff (id int)")
    try:
        maria.sql(f"create view rated as select c.id from `call` c join {other}.tariff using (id)", database)
        centre.backed_up()
        done = centre.run("test", "p")
        assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
        assert f"view rated reads the database {other}, which is not in this backup" in done.json["reason"], done
        assert "`method: physical` would prove it" in done.json["reason"]
        maria.sql(f"create table {other}.part (id int) engine = myisam; drop view rated", database)
        maria.sql(f"create table parts (id int) engine = merge union = ({other}.part)", database)
        centre.backed_up()
        done = centre.run("test", "p")
        assert done.code == 3 and f"table parts reads the database {other}, " in done.json["reason"], done
        maria.sql(f"drop table parts; alter table {other}.tariff add primary key (id)", database)
        maria.sql(f"create table toll (id int, foreign key (id) references {other}.tariff (id))", database)
        centre.backed_up()
        done = centre.run("test", "p")
        assert done.code == 3 and f"table toll reads the database {other}, " in done.json["reason"], done
        maria.sql(f"create table parts (id int) engine = merge union = ({other}.part)", database)
        stand_in = f"CREATE DATABASE {other}; CREATE TABLE {other}.tariff (id INT PRIMARY KEY)"
        stand_in += f"; CREATE TABLE {other}.part (id INT) ENGINE=MyISAM"
        crm(centre, maria, database, f'prepare_sql: ["{stand_in}"]')
        maria.sql(f"create view rated as select c.id from `call` c join {other}.tariff using (id)", database)
        centre.backed_up()
        passes(centre)
    finally:
        maria.sql(f"drop table if exists toll; drop database {other}", database)


# --- what is in the way ---------------------------------------------------------------------------------------------


def test_a_lock_that_cannot_be_had_is_given_up(maria: MariaSource, database: str, centre: Site) -> None:
    """A long statement writes: the lock waits for it, and whoever writes waits for the lock. No longer than said."""
    slow = in_background(lambda: maria.sql("update customer set note = sleep(60) limit 1", database, check=False))
    assert eventually(lambda: "sleep(60)" in maria.sql("select info from information_schema.processlist"))
    try:
        failed(centre.run("backup", "p"), centre, "got no read lock within 4 s", "connection")
        maria.sql("insert into agent_log (event) values ('nobody waits')", database)
    finally:
        ids = maria.sql("select id from information_schema.processlist where info like 'update customer%'").split()
        maria.sql("".join(f"kill {i};" for i in ids))
        slow.join(30)
    centre.backed_up()


def test_nobody_waits_for_a_backup_but_those_who_write_to_locked_tables(
    maria: MariaSource, database: str, centre: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While rows are read: transactional tables are written, others are read, small ones are let go first."""
    maria.sql(PAIR.format(engine="myisam"), database)
    seen: dict[str, bool] = {}
    real = RowDump._read_lists

    def meanwhile(self: RowDump, *rest: Any) -> Any:
        maria.sql(
            "set lock_wait_timeout = 1; insert into customer (name) values ('new'); select count(*) from z_last",
            database,
        )
        seen["written"] = True
        return real(self, *rest)

    monkeypatch.setattr(RowDump, "_read_lists", meanwhile)
    assert here(centre).snapshot is not None and seen


def test_wrong_password_is_a_failed_backup(centre: Site) -> None:
    centre.write("plans/crm.pw", "wrong\n", mode=0o600)
    failed(centre.run("backup", "p"), centre, "error 1045")
    said = centre.run("doctor", "p")
    assert said.code == 1 and "check `connection:`, its password" in said.stdout, said
    centre.write("plans/crm.pw", f"{PASSWORD}\n", mode=0o600)
    centre.backed_up()


def kill_connection(source: MariaSource, database: str) -> None:
    """The client's that reads the table; not our own, whose statement names it too."""
    reading = "info like '%FROM `m_between`%' and id <> connection_id()"
    (reader,) = source.sql(f"select id from information_schema.processlist where {reading}").split()
    source.sql(f"kill {reader}")


def kill_server(source: MariaSource, database: str) -> None:
    source.kill()


@pytest.mark.parametrize("kill", [kill_connection, kill_server])
def test_killed_while_dumping_is_a_failed_backup(
    site: Site, kill: Callable[[MariaSource, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with mariadb_server("--skip-log-bin") as source, small_database(source, "crm", goes=True) as name:
        crm(with_repository(site), source, name)
        site.backed_up()
        source.sql(
            PAIR.format(engine="innodb") + "insert into m_between (filler) select filler from m_between;" * 3, name
        )
        process = site.start("backup", "p", "--json")
        assert eventually(lambda: any(p.stat().st_size > 10**6 for p in site.state.rglob("m_between.sql")), 60)
        kill(source, name)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 1 and '"FAILED"' in out, out
        assert_clean(site)
        done = site.run("test", "p")
        assert (done.code, done.json["verdict"]) == (1, "FAIL") and done.json["snapshot"]["verdict"] == "PASS"


# --- secrets --------------------------------------------------------------------------------------------------------


def test_the_password_is_never_seen(centre: Site) -> None:
    with watching(centre) as seen:
        centre.backed_up()
        passes(centre)
    assert any("mariadb-dump" in line for line in seen.lines), "the watch saw the client"
    everything = "".join(seen.lines) + "".join(seen.containers.values())
    everything += "".join(p.read_text("utf-8", "replace") for p in (centre.state / "ledger").rglob("*.jsonl"))
    assert PASSWORD not in everything and PASSWORD.replace("\\", "\\\\") not in everything
    assert all(mode & 0o077 == 0 for path, mode in seen.modes.items() if path.endswith("client.cnf"))


# --- time -----------------------------------------------------------------------------------------------------------


def test_times_are_those_of_the_source_whatever_its_zone_and_its_sql(site: Site) -> None:
    """A DATETIME has no zone: it is read in the source's, by the offset that it had. The sandbox's server is set up
    as the source is, which may read programs as Oracle does."""
    with (
        mariadb_server("--skip-log-bin", "--default-time-zone=+05:30") as source,
        small_database(source, "crm") as name,
    ):
        source.sql("create table z (a datetime, b timestamp); insert into z values (now(), now());", name)
        source.sql(ZONES)
        source.sql("create view odd as select convert_tz('2026-01-01', 'Test/Odd', '+00:00') as at", name)
        source.sql("set global sql_mode = 'ORACLE'")
        fresh = "  - {{kind: freshness, query: select max({}) from z, within: 10m}}\n"
        by_name = "  - {kind: sql, name: by name, query: select at from odd, expect: '2025-12-31 22:30:00'}\n"
        crm(with_repository(site), source, name, checks=IDENTICAL + by_name + fresh.format("a") + fresh.format("b"))
        site.backed_up()
        found = passes(site)
        assert [c["status"] for c in found["checks"] if c["kind"] == "freshness"] == ["PASS", "PASS"]
        later = "set sql_mode = ''; update mysql.time_zone_transition_type set `offset` = 7200 where abbreviation = 'A'"
        done = site.damaged_test(maria_damage(later, "mysql"))
        assert done.checks, (done.reason, site.words())
        assert [c.name for c in done.checks if c.status is not Verdict.PASS] == ["time zones"]
        manifest = site.services().catalogue.manifest(site.services().catalogue.snapshots("p", "crm")[0])
        assert manifest.contents["binlog"] is None, "its binary log is off"
        source.sql("update z set a = now() - interval 11 minute", name)
        site.backed_up()
        done = site.run("test", "p")
        assert (done.code, done.json["reason"]) == (1, "failed: newest row within 10m"), done


def test_events_do_not_fire_and_null_is_not_the_text_null(maria: MariaSource, database: str, centre: Site) -> None:
    maria.sql(
        "create event now_and_then on schedule every 1 second do insert into agent_log (event) values ('x')", database
    )
    checks = """
      - {kind: sql, name: null, query: "select null", expect: null}
      - {kind: sql, name: text, query: "select 'NULL'", expect: "NULL"}
      - {kind: sql, name: markup, query: "select '<a> & \\"b\\" </field></row>\\n'", expect: "<a> & \\"b\\" </field></row>\\n"}
      - {kind: sql, name: truth, query: "select exists (select * from customer)", expect: true}
      - {kind: sql, name: nothing fired, query: "select count(*) from agent_log where event = 'x'", expect: 0}
    """
    crm(centre, maria, database, checks=IDENTICAL + checks.replace("\n    ", "\n"))
    centre.backed_up()
    passes(centre)


@pytest.mark.parametrize("sql", ["delete from customer", "create table x (id int)", "drop table `call`"])
def test_a_check_changes_nothing(centre: Site, sql: str) -> None:
    centre.write("restore_tests/crm.yaml", f'{IDENTICAL}  - {{kind: sql, name: it, query: "{sql}", expect: 1}}\n')
    centre.backed_up()
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (1, "FAIL")
    assert "SQLSTATE 25006" in done.json["checks"][-1]["actual"], done.json["checks"][-1]


def test_history_that_a_dump_cannot_hold_is_no_backup(
    site: Site, maria: MariaSource, wording: SnapshotAssertion
) -> None:
    """Says what can; it comes back in tests/faults/test_physical_mariadb.py."""
    with small_database(maria, "rates") as name:
        crm(site, maria, name)
        site.backed_up()
        maria.sql(BY_TRANSACTION, name)
        done = site.run("backup", "p")
    assert (done.code, done.json["result"]) == (1, "FAILED"), done
    assert done.json["reason"] == wording
    assert "`method: physical`" in done.json["hint"]


def test_a_database_of_code_alone_comes_back_and_what_is_lost_of_it_fails(
    maria: MariaSource, site: Site, wording: SnapshotAssertion
) -> None:
    """One that holds nothing at all, or that is not there, is no backup, and says which."""
    with small_database(maria, "coded") as name:
        maria.sql("drop database coded; create database coded")
        crm(with_repository(site), maria, name, checks=IDENTICAL)
        empty = site.run("backup", "p")
        assert empty.code == 1 and "coded holds nothing" in empty.json["reason"], empty
        maria.sql("create function half(n int) returns int deterministic return n / 2", name)
        maria.sql("create view seven as select half(14) as n; create event tick on schedule every 1 hour do do 0", name)
        doctor = site.run("doctor", "p")
        assert "coded holds nothing" not in doctor.stdout
        site.backed_up()
        passes(site)
        done = site.damaged_test(maria_damage("drop event tick", name))
        assert done.verdict is Verdict.FAIL, done
        maria.sql("drop database coded")
        gone = site.run("backup", "p")
        assert gone.code == 1 and gone.json["reason"] == wording, gone


@pytest.mark.parametrize(
    ("library", "uses", "named"),
    [
        ("auth_ed25519", "create user m_odd@localhost identified via ed25519 using password('x')", "ed25519"),
        ("ha_blackhole", "create table hole (id int) engine = blackhole", "BLACKHOLE"),
    ],
)
def test_a_plugin_that_the_image_lacks_proves_nothing_and_is_named(
    maria: MariaSource, database: str, centre: Site, library: str, uses: str, named: str
) -> None:
    """By a library that somebody once put on the source's host."""
    path = "/usr/lib/mysql/plugin"
    copied = f"cp {path}/{library}.so {path}/ours.so"
    subprocess.run(["docker", "exec", "-u", "root", maria.container, "sh", "-c", copied], check=True)
    maria.sql("install soname 'ours'")
    try:
        maria.sql(uses, database)
        centre.backed_up()
    finally:
        maria.sql("drop user if exists m_odd@localhost; drop table if exists hole", database)
        maria.sql("uninstall soname 'ours'")
    done = centre.run("test", "p")
    assert (done.code, done.json["verdict"]) == (3, "INCONCLUSIVE"), done
    reason = done.json["reason"]
    assert named in reason and f"the image {image_of(MAJOR)} lacks" in reason, reason


def test_how_the_client_was_connected_is_recorded_as_the_server_tells_it(maria: MariaSource, centre: Site) -> None:
    centre.backed_up()
    spoken = centre.records("backup.end")[-1].get("tls") or {"version": "", "verified": False}
    asked = "select variable_value from information_schema.session_status where variable_name = 'SSL_VERSION'"
    assert (spoken["version"], spoken["verified"]) == (maria.sql(asked), False)
